"""Analysis of programs compiled by XLA: memory and operations."""
