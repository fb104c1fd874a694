"""The run and its training loop."""
