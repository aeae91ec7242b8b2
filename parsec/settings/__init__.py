"""The typed tree of all settings, and what is made from it: job settings, file plan, schema, documentation."""
