"""Data sets: sources, splits, shards, loading and augmentation."""
