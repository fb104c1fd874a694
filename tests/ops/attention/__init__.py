"""Tests of attention as a function of tensors."""
