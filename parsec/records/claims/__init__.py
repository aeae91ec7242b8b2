"""The claims of the papers, and what our records show of them."""
