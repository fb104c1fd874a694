"""Tests of self-attention layers."""
