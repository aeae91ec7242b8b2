"""Tables on NASWOT: its scores, its searches and its ablations beside what was published."""
