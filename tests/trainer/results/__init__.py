"""Tests of what a run makes at its end."""
