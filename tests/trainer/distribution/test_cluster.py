"""The task of a process, from `TF_CONFIG` or from flags, and values that are refused."""

import json

import pytest

from trainer.distribution import cluster, strategy

WORKERS = ["a:1", "b:1"]


def _set(monkeypatch, value):
    monkeypatch.setenv("TF_CONFIG", value if isinstance(value, str) else json.dumps(value))


def test_no_cluster(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert cluster.from_environment() is None
    _set(monkeypatch, {"cluster": {}, "task": {"type": "worker", "index": 0}})
    assert cluster.from_environment() is None


@pytest.mark.parametrize(
    ("addresses", "kind", "index", "is_chief"),
    [
        ({"worker": WORKERS}, "worker", 0, True),
        ({"worker": WORKERS}, "worker", 1, False),
        ({"chief": ["c:1"], "worker": WORKERS}, "chief", 0, True),
        ({"chief": ["c:1"], "worker": WORKERS}, "worker", 0, False),
        ({"chief": ["c:1"], "worker": WORKERS, "ps": ["d:1"]}, "ps", 0, False),
    ],
)
def test_who_writes_the_files(monkeypatch, addresses, kind, index, is_chief):
    _set(monkeypatch, {"cluster": addresses, "task": {"type": kind, "index": str(index)}, "environment": "cloud"})
    task = cluster.from_environment()
    assert (task.kind, task.index, task.is_chief) == (kind, index, is_chief)
    _set(monkeypatch, task.to_json())
    assert cluster.from_environment() == task


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{", "must be JSON. Received: '{'"),
        ([], "must be an object with the objects `cluster` and `task`"),
        ({"cluster": {"worker": WORKERS}}, "must have a `task` with `type` and `index`"),
        ({"cluster": {"worker": "a:1"}, "task": {"type": "worker", "index": 0}}, "must list the `host:port` of each"),
        ({"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 0}}, "must list the `host:port` of each"),
        (
            {"cluster": {"worker": WORKERS}, "task": {"type": "worker", "index": 2}},
            "has 2 worker. Received: 'worker' 2",
        ),
        ({"cluster": {"worker": WORKERS}, "task": {"type": "ps", "index": 0}}, "Received: 'ps' 0"),
        ({"cluster": {"worker": WORKERS}, "task": {"type": "worker", "index": "x"}}, "must be an integer"),
        (
            {"cluster": {"evaluator": ["a:1"]}, "task": {"type": "evaluator", "index": 0}},
            "kinds chief, worker, ps only",
        ),
        ({"cluster": {"worker": ["a:1", "a:1"]}, "task": {"type": "worker", "index": 0}}, "addresses of their own"),
        ({"cluster": {"chief": WORKERS}, "task": {"type": "chief", "index": 0}}, "one chief at most"),
    ],
)
def test_refused(monkeypatch, value, message):
    _set(monkeypatch, value)
    with pytest.raises(ValueError, match=message):
        cluster.from_environment()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("multi_worker", "", "must have a cluster: the environment variable `TF_CONFIG`"),
        ("parameter_server", "", "must have a cluster: the environment variable `TF_CONFIG`"),
        (
            "parameter_server",
            {"cluster": {"chief": ["c:1"], "worker": WORKERS}, "task": {"type": "chief", "index": 0}},
            "Received: no ps in",
        ),
        (
            "multi_worker",
            {"cluster": {"worker": WORKERS, "ps": ["d:1"]}, "task": {"type": "ps", "index": 0}},
            "has no parameter servers",
        ),
        (
            "mirrored",
            {"cluster": {"worker": WORKERS}, "task": {"type": "worker", "index": 0}},
            "must be multi_worker or parameter_server in a cluster",
        ),
        ("mirrord", "", "must be one of one_device, mirrored, multi_worker, parameter_server"),
    ],
)
def test_what_a_strategy_needs(monkeypatch, name, value, message):
    _set(monkeypatch, value)
    with pytest.raises(ValueError, match=message):
        strategy.check_strategy(name)
