"""Provenance and results of runs, and the records that are kept of them."""
