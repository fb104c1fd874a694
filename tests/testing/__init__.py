"""Slow and obvious references that the tests compare with."""
