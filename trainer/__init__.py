"""Trains the models of `reformer_tf`: `python -m trainer.task --config=configs/NAME.py --workdir=DIR`."""
