"""Searches replayed on tabular benchmarks: a training is a look-up, so that hundreds of repeats take seconds."""
