"""Processes of their own: with limits, ending with their parent, and those that have JAX in place of TensorFlow."""
