"""Injects faults into training runs."""
