"""Tests of what is read from compiled programs."""
