"""Long, repeatable runs: checkpoints, signals, devices, randomness, logs."""
