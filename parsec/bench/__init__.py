"""Benchmarks against plain references that are measured in the same run, and against what the machine allows."""
