"""The layers that are compared: what is registered, and what other implementations there are."""

import pytest

from benchmarks.measuring import layer_subjects
from benchmarks.measuring.layer_subjects import LayerSubject

KINDS = {
    "full": {"causal": True, "bidirectional": True, "state": "all keys and values"},
    "low_rank": {"causal": False, "bidirectional": True, "state": None},
}


def test_all_registered_kinds_and_the_peers():
    full, low_rank, keras = layer_subjects.choose(KINDS, [], ["keras"])
    assert full == LayerSubject("full", causal=True, state="all keys and values", peer=False)
    assert (low_rank.label, low_rank.causal, keras.label, keras.peer) == ("low_rank", False, "keras", True)
    assert full.without_decoding == ""
    assert "both directions only" in low_rank.without_decoding
    assert "no decoding cache" in keras.without_decoding
    assert [subject.label for subject in layer_subjects.choose(KINDS, ["low_rank", "low_rank"], [])] == ["low_rank"]


def test_what_is_not_there_is_refused(monkeypatch):
    with pytest.raises(ValueError, match=r"--kinds must be of the registered ones, .*Received: \['fast'\]"):
        layer_subjects.choose(KINDS, ["full", "fast"], [])
    with pytest.raises(ValueError, match="--peer must be of .*Received: 'full'"):
        layer_subjects.choose(KINDS, [], ["full"])
    monkeypatch.setitem(layer_subjects.PEERS, "performer_pytorch", ("json", "no_such_package"))
    with pytest.raises(ValueError, match=r"--peer=performer_pytorch, without \['no_such_package'\]"):
        layer_subjects.choose(KINDS, [], ["performer_pytorch"])
    assert layer_subjects.installed_peers() == ["keras"]


def test_kinds_that_cannot_be_listed(monkeypatch):
    failed = {"status": "failed", "seconds": 1.0, "reason": "exit code 1: no kinds"}
    monkeypatch.setattr(layer_subjects.limited_process, "run", lambda *_, **__: failed)
    with pytest.raises(ValueError, match="The registered kinds could not be listed: failed .*no kinds"):
        layer_subjects.registered()
