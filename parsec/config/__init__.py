"""Typed settings, what each job reads of them, and where every file is."""
