"""What keeps a long run alive and repeatable: checkpoints, signals, devices, randomness, logs."""
