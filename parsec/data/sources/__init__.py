"""Where images come from: one module a source, all with the form that `base` describes."""
