"""Tests of several devices, processes and machines."""
