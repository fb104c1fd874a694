"""The task `masked_language_model`: what it sums, and its runs."""

import json
import math

import numpy as np
import pytest
import tensorflow as tf

from tests.testing import masking_reference
from tests.trainer import command_line, runs
from tests.trainer.training.test_step import _built, _SGD
from trainer import config as configs
from trainer import exits
from trainer.config_checks import check_config
from trainer.data.masked_examples import IGNORED, MaskedExamples, restored
from trainer.data.masking import Masking
from trainer.evaluate import evaluate
from trainer.export import exporting
from trainer.model import load_model
from trainer.results import final_report
from trainer.storage.workdir import Workdir
from trainer.tasks import MaskedLanguageModel
from trainer.training.evaluation import Evaluation
from trainer.training.run import Run
from trainer.training.step import TrainStep

TASK = MaskedLanguageModel(Masking(258, boundary=256))
LENGTH = 8


class _Unigrams(tf.Module):
    """The same logits at every position: the smallest masked language model, without a model of Keras around it."""

    def __init__(self):
        super().__init__()
        values = np.random.default_rng(0).normal(size=258).astype(np.float32)
        self.logits = tf.Variable(values)
        self.segments = None

    def token_scores(self, ids, targets, mask=None, segment_ids=None):
        self.segments = segment_ids
        counted = mask & (targets != IGNORED)
        labels = tf.where(counted, targets, 0)
        logits = tf.broadcast_to(self.logits, [*ids.shape, 258])
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        likeliest = tf.argmax(self.logits, output_type=tf.int32)
        return tf.where(counted, losses, 0.0), (likeliest == labels) & counted
