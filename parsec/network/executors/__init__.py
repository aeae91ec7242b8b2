"""Ways to run K children of the shared weights on one minibatch; all give the same numbers."""
