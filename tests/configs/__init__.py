"""Tests of the configs."""
