"""Tests of reversible layers."""
