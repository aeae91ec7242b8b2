"""Data sets kept as JPEGs in a few large tar shards with an index, for images too many to be stored as pixels."""
