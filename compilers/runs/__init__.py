"""Lowered steps on the device of a machine, where TensorFlow need not be: planned, run, compared with the CPU."""
