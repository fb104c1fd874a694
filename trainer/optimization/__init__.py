"""The optimizer, its learning rate, and what goes with an update."""
