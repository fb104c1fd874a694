"""Sweeps over sizes: points, results, and what follows from them."""
