"""Processes that benchmarks start, each of which measures one point and prints it as one JSON object."""
