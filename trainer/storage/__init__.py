"""The files in the folder of a run: config, checkpoints, metrics and events."""
