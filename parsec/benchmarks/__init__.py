"""Tabular benchmarks: architectures whose training somebody has done, read from tables; no torch in here."""
