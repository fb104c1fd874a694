"""Small runs for the tests: a corpus, a config, and running it in this process."""

import json
import pathlib
import random

import numpy as np
from ml_collections import ConfigDict

from configs import tiny
from trainer import exits
from trainer.config import as_dict
from trainer.storage import metrics
from trainer.storage.checkpoints import Checkpoints
from trainer.training import loop
from trainer.training.run import Run


def write_corpus(folder: pathlib.Path) -> pathlib.Path:
    """Writes a few documents of made-up words, and returns their folder."""
    folder.mkdir()
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefgh", k=rng.randint(2, 6))) for _ in range(40)]
    for number in range(8):
        (folder / f"{number}.txt").write_text(" ".join(rng.choices(words, k=150)))
    return folder


def make_config(corpus: pathlib.Path, kind: str = "local") -> ConfigDict:
    """Makes the config of one layer with dropout on a small corpus, for 12 steps without a final report."""
    config = tiny.get_config()
    config.export = config.report = False
    config.data.name = "text"
    config.data.path = str(corpus)
    config.data.validation_fraction = 0.2
    config.model.num_layers, config.model.attention_layers, config.model.num_hashes = 1, (kind,), 1
    config.model.reversible = False  # Halves the time to trace.
    config.model.max_sequence_length = 64
    config.model.chunk_length = config.model.local_chunk_length = 8
    config.model.dropout = config.model.attention_dropout = 0.1
    config.train.sequence_length = 64
    config.train.steps = 12
    config.train.checkpoint_every = 4
    config.train.eval_every = 6
    return config


def set_field(config, field, value):
    """Sets a field by its full name, such as `train.steps`."""
    *path, last = field.split(".")
    for part in path:
        config = config[part]
    config[last] = value


class StopAfter(exits.StopRequest):
    """A stop request that is made after so many looks at it: one for each step, and one for each evaluation."""

    def __init__(self, looks: int):
        self._left = looks
        super().__init__()

    @property
    def requested(self) -> bool:
        self._left -= 1
        return self._left < 0

    @requested.setter
    def requested(self, value: bool) -> None:
        pass


def run(
    config: ConfigDict, workdir: pathlib.Path, stop: exits.StopRequest | None = None, checkpoint: str = "newest"
) -> int:
    """Runs in this process, and returns what the process would return."""
    return train(Run(config, workdir, checkpoint), stop)


class Programs:
    """Runs of one config that reuse the traced step and evaluation, because tracing takes seconds.

    Each run is made as usual, and its values are then assigned to the variables of the first run. So a variable that a
    checkpoint lacks is still noticed, but not other missing state: going on must also be tested without this class.
    """

    def __init__(self):
        self._runs: dict[str, Run] = {}

    def start(self, config: ConfigDict, workdir: pathlib.Path, checkpoint: str = "newest") -> Run:
        """Makes a run; close it before the next."""
        started = Run(config, workdir, checkpoint)
        first = self._runs.setdefault(self._key(started), started)
        if first is started:
            first._evaluation = first.make_evaluation(first.validation_examples())
        for name, variable in started._variables.items():
            first._variables[name].assign(variable)
        for part in ("strategy", "dispatch", "model", "_optimizer", "_variables", "_evaluation", "train_step"):
            setattr(started, part, getattr(first, part))
        return started

    def run(
        self,
        config: ConfigDict,
        workdir: pathlib.Path,
        stop: exits.StopRequest | None = None,
        checkpoint: str = "newest",
    ) -> int:
        """Runs in this process, and returns what the process would return."""
        return train(self.start(config, workdir, checkpoint), stop)

    @staticmethod
    def _key(run):
        """Returns all settings on which the traced functions and the evaluated examples depend."""
        config = as_dict(run.config)
        for field in ("checkpoint_every", "eval_every", "keep_checkpoints", "max_skipped_steps"):
            del config["train"][field]
        return json.dumps([config, run._description()["data"], run._first_steps], sort_keys=True)


def train(started: Run, stop: exits.StopRequest | None = None) -> int:
    """Trains to the end, and returns what the process would return."""
    try:
        return loop.train(started, stop or exits.StopRequest())
    finally:
        started.close()


def lines(workdir: pathlib.Path) -> list[dict]:
    """Returns the lines of the metrics file without measured fields: speed, memory and time."""
    records = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in record.items() if name not in metrics.MEASURED} for record in records]


def assert_same(workdir: pathlib.Path, undisturbed: pathlib.Path) -> None:
    """Two runs must have the same metrics and the same state, bit for bit."""
    assert lines(workdir) == lines(undisturbed)
    newest = [Checkpoints(folder / "checkpoints").newest() for folder in (workdir, undisturbed)]
    assert newest[0][1] == newest[1][1]
    assert newest[0][0].keys() == newest[1][0].keys()
    for name, array in newest[0][0].items():
        np.testing.assert_array_equal(array, newest[1][0][name], err_msg=name)


def checkpoint_files(workdir: pathlib.Path) -> dict[str, bytes]:
    """Returns the contents of the checkpoint files by name."""
    return {path.name: path.read_bytes() for path in sorted((workdir / "checkpoints").iterdir())}
