"""Tests of the code and the statements in the documentation."""
