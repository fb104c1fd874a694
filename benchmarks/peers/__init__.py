"""Other implementations of models of the same sizes, one in each file."""
