"""Processes of a run that have loaded other documents than the chief, or give them other ids, do not train."""

import sys

import pytest

from tests.trainer import clusters, runs
from trainer import exits
from trainer.data.corpora import Corpus
from trainer.data.documents import Documents
from trainer.distribution import process_group
from trainer.training import same_data
from trainer.training.run import Run


class _Group:
    """Two processes that check one after another, the chief first: what it sends is kept for the other."""

    processes = 2

    def __init__(self, differs_elsewhere=False):
        self._differs_elsewhere = differs_elsewhere
        self._chiefs = None

    def broadcast(self, value):
        self._chiefs = self._chiefs or value
        return self._chiefs

    def any(self, flag):
        return flag or self._differs_elsewhere


def _corpus(train=b"abcd", validation=b"efgh"):
    return Corpus("own", Documents([train]), Documents([validation]))


@pytest.fixture
def config(tmp_path):
    return runs.make_config(tmp_path)


def test_the_same_ones(config):
    group = _Group()
    for _ in range(2):
        same_data.check(group, config, _corpus())


@pytest.mark.parametrize(
    ("other", "what"), [({"train": b"abce"}, "train documents"), ({"validation": b"ef"}, "validation documents")]
)
def test_other_documents(config, other, what):
    group = _Group()
    same_data.check(group, config, _corpus())
    message = f"`config.data` must give the same {what} in every process .* Received: others .* in this process"
    with pytest.raises(ValueError, match=message):
        same_data.check(group, config, _corpus(**other))


def test_other_ids(config, tmp_path):
    group = _Group()
    config.data.tokens, path = "sentencepiece", tmp_path / "pieces.model"
    config.data.sentencepiece_model = str(path)
    path.write_bytes(b"one")
    same_data.check(group, config, _corpus())
    path.write_bytes(b"another")
    with pytest.raises(ValueError, match="`config.data` must give the same ids in every process"):
        same_data.check(group, config, _corpus())


def test_all_processes_refuse(config):
    with pytest.raises(ValueError, match="train documents .* Received: others than the chief's in another process"):
        same_data.check(_Group(differs_elsewhere=True), config, _corpus())


class _TwoProcesses(process_group.ProcessGroup):
    """The chief of two processes, of which the other differs in everything."""

    def __init__(self, strategy, task=None):
        super().__init__(strategy, task)
        self.processes = 2

    def broadcast(self, value):
        return value

    def any(self, flag):
        return True


def test_a_run_checks_it_before_it_trains(config, tmp_path, monkeypatch):
    runs.write_corpus(tmp_path / "corpus")
    config.data.path = str(tmp_path / "corpus")
    monkeypatch.setattr(process_group, "ProcessGroup", _TwoProcesses)
    with pytest.raises(ValueError, match="`config.data` must give the same train documents in every process"):
        Run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


MODULE = """
import json
import os

import trainer
from trainer.data.corpora import Corpus
from trainer.data.documents import Documents


def load(data):
    index = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
    return Corpus("drawn", Documents([bytes([97 + index]) * 2000]), Documents([b"ab" * 500]))


trainer.register_corpus("drawn", load)
"""


@pytest.mark.slow
def test_two_workers(config, tmp_path):
    (tmp_path / "drawn_by_workers.py").write_text(MODULE)
    config.data.name, config.data.module, config.data.path = "drawn", "drawn_by_workers", ""
    config.data.validation_fraction = 0.1
    environment = {"PYTHONPATH": f"{tmp_path}:{':'.join(filter(None, sys.path))}"}
    path, workdir = clusters.write_config(tmp_path, config), tmp_path / "run"
    said = clusters.run(path, workdir, environment=environment, workers=2, code=exits.REFUSED)
    assert said.count("`config.data` must give the same train documents in every process of the run") == 2
    assert not workdir.exists()
