"""Tests of the stages of a training step."""
