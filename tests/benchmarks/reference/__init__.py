"""Tests of the reference implementations."""
