"""Tests of what is said of compiled programs."""
