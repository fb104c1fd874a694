"""Chips that need not be here, and the time that a program takes on one at least."""
