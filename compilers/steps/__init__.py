"""Training steps as programs: lowered for a chip, compiled, and read."""
