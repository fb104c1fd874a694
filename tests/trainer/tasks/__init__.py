"""Tests of the tasks of the trainer."""
