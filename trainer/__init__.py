"""Trains the models of `reformer_tf`: `python -m trainer.task --config=configs/NAME.py --workdir=DIR`."""

from trainer import quiet_import

quiet_import.install()
