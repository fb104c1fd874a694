"""Tests of processes with limits and of those that have JAX."""
