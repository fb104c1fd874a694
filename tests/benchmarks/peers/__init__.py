"""Tests of the models that are compared with."""
