"""Tests that run over every registered attention kind."""
