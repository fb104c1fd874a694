"""Tests of runs that begin with the weights of another run."""
