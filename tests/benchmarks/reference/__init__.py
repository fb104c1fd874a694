"""Tests of the plain forms."""
