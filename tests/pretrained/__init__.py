"""Tests of loading weights of other implementations."""
