"""Kills, stops and damages training runs, which must then end as undisturbed ones: `python -m tests.faults`."""
