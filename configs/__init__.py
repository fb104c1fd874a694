"""Runnable experiments, one a file: `python -m trainer.task --config=configs/NAME.py --workdir=DIR`."""
