"""Tests of the sources of text."""
