"""Trains the models of `reformer_tf`: `python -m trainer.task --config=configs/NAME.py --workdir=DIR`."""

import os

# What TensorFlow says about the machine while it is imported would hide what a command says. It must be set before.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
