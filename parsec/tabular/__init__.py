"""Tabular benchmarks and the searches that are simulated on them; no torch."""
