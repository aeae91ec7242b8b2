"""Search with a predictor of accuracy, and how many trainings it saves (Mauch et al., arXiv 2011.12043)."""
