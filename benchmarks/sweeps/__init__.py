"""Sweeps over sizes: points, results, and their evaluation."""
