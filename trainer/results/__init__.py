"""What a run makes at its end: export, report and sample."""
