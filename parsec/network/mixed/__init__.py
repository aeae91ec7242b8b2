"""Continuous relaxations: every edge a weighted sum of all primitives, reading the shared weights."""
