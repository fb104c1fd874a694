"""Tests of chips and their rooflines."""
