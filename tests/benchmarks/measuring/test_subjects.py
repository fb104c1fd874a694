"""Labels of subjects."""

import re

import pytest

from benchmarks.measuring import subjects
from benchmarks.measuring.subjects import Subject


@pytest.mark.parametrize("label", ["ours", "ours:chunk:bfloat16", "ours_plain:chunk", "huggingface:bfloat16_forward"])
def test_labels_are_read_as_they_are_written(label):
    assert subjects.parse(label).label == label


@pytest.mark.parametrize(
    "label",
    ["our", "ours:half", "ours:bfloat16_forward", "huggingface:chunk", "keras_attention:bucket", "ours:chunk:chunk"],
)
def test_bad_labels_are_refused(label):
    with pytest.raises(ValueError, match=rf"subject.*Received: {re.escape(repr(label))}"):
        subjects.parse(label)


def test_open_labels_stand_for_every_precision_and_window():
    found = subjects.expand(["ours", "ours:bfloat16", "lucidrains"], ["float32", "bfloat16"], ["bucket", "chunk"])
    assert [subject.label for subject in found] == [
        "ours",
        "ours:bfloat16",
        "ours:chunk",
        "ours:chunk:bfloat16",
        "lucidrains",
        "lucidrains:bfloat16",
    ]
    assert subjects.expand(["ours:bucket"], ["float32"], ["chunk"]) == [Subject("ours")]


def test_commands():
    assert Subject("ours_plain", "bfloat16", "chunk").command() == [
        "benchmarks.train_step",
        "--attention=lsh",
        "--reversible=false",
        "--precision=mixed_bfloat16",
        "--window=chunk",
    ]
    assert Subject("lucidrains", "bfloat16").command() == [
        "benchmarks.points.peer_step",
        "--peer=lucidrains",
        "--precision=bfloat16",
    ]
    assert Subject("keras_attention").command()[0] == "benchmarks.peers.keras_attention"


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setitem(subjects.PEERS, "lucidrains", ("json", "no_such_package"))
    with pytest.raises(ValueError, match=r"--peer=lucidrains, without \['no_such_package'\]"):
        subjects.check_installed([Subject("ours"), Subject("lucidrains")])
