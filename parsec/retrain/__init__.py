"""Training a fixed genotype from scratch, and the one reading of the test set."""
