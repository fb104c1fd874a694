"""Processes of their own: with limits, ending with their parent, and compiling with JAX in place of TensorFlow."""
