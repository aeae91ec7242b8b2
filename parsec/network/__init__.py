"""Cell networks: the shared-weight network with its executors, the fixed network, and what they cost."""
