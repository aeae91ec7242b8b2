"""Executors: evaluate K sampled architectures on one minibatch."""
