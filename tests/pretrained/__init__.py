"""Tests of weights of other implementations."""
