"""Tests of steps that are lowered and compiled."""
