"""Errors of gradients in half precision, weight by weight: `python -m tests.half_precision`."""
