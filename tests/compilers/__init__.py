"""Tests of what compilers say about programs."""
