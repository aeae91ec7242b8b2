"""What a run leaves for others to trust: provenance, results, statistics."""
