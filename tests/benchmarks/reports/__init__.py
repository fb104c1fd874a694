"""Tests of what measurements say."""
