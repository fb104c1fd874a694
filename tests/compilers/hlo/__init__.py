"""Tests of the readers of compiled programs."""
