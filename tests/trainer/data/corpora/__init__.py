"""Tests of where text comes from."""
