"""Tests of what measurements share."""
