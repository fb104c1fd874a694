"""Runs that are disturbed, and how."""
