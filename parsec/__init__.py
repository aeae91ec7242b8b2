"""PARSEC: probabilistic neural architecture search (Casale, Gordon, Fusi; arXiv 1902.05116), from images to tables."""

__version__ = "0.1.0"
