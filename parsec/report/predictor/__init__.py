"""Tables of searches with a predictor: gains over random search, the paper's claims, what was chosen."""
