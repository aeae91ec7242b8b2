"""Training-free scores: how good a network promises to be, told from its untrained weights and one minibatch."""
