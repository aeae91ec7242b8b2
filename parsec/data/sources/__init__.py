"""Where images come from: one module per source, each with the interface in `base`."""
