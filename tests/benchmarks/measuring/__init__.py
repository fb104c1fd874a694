"""Tests of the common parts of measurements."""
