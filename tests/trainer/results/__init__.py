"""Tests of the results of a run after its last step."""
