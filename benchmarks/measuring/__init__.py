"""Common parts of the measurements: flags, points and their processes, results, memory, and the measured model."""
