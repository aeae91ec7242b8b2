"""Tables, figures, drawings and the checklist, made from result files only."""
