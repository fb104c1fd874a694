"""Tests of the parts that the commands share."""
