"""Tests of the optimizer and what goes with it."""
