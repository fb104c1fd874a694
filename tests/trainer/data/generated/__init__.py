"""Tests of the data sets that are made from a seed."""
