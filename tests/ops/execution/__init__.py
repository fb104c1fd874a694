"""Tests of how work is carried out."""
