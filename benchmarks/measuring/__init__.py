"""Common parts of the measurements: sizes, flags, clocks, memory, processes, and the measured model."""
