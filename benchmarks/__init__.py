"""Reproducible measurements, each a command."""
