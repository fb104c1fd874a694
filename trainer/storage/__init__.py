"""What a run keeps in its folder: config, checkpoints, metrics and events."""
