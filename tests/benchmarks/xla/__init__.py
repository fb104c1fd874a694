"""Tests of the analysis of compiled programs."""
