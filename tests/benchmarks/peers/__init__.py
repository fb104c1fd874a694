"""Tests of the peers' models."""
