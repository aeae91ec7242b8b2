"""Zero-cost proxies: scores of networks at initialisation."""
