"""The stages of a training step: their costs by formula, their times, and the limits of the machine."""
