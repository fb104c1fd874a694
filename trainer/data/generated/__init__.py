"""Data sets that are made from a seed: pure functions of their arguments, the same on every machine."""
