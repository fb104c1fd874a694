"""Budgets of work, by device and changed for a while."""

import threading

import pytest

from reformer_tf.ops.execution import budgets


def test_changes_hold_inside_in_all_threads():
    before, found = budgets.current(), []
    with budgets.override(group_bytes=1), budgets.override(group_bytes=2, chunk_bytes=3):
        thread = threading.Thread(target=lambda: found.append(budgets.current()))
        thread.start()
        thread.join()
        assert found == [before._replace(group_bytes=2, chunk_bytes=3)] == [budgets.current()]
    assert budgets.current() == before


def test_they_are_restored_after_an_error():
    before = budgets.current()
    with pytest.raises(RuntimeError), budgets.override(group_bytes=1):
        raise RuntimeError
    assert budgets.current() == before


def test_scopes_of_two_threads_may_overlap():
    before = budgets.current()
    first, second = budgets.override(group_bytes=2), budgets.override(group_bytes=3)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert budgets.current() == before._replace(group_bytes=3)
    second.__exit__(None, None, None)
    assert budgets.current() == before


def test_an_unknown_name_is_refused():
    message = r"changes must be among group_bytes, .*\. Received: group_byte$"
    with pytest.raises(ValueError, match=message), budgets.override(group_byte=1):
        pass


@pytest.mark.parametrize("device", ["GPU", "TPU", "a new kind"])
def test_each_kind_of_device_has_its_own(monkeypatch, device):
    own = budgets.Budgets(group_bytes=5)
    monkeypatch.setitem(budgets._BY_DEVICE, "GPU", own)
    assert budgets.current() == budgets.Budgets()
    monkeypatch.setattr(budgets, "device_kind", lambda: device)
    assert budgets.current() == (own if device == "GPU" else budgets.Budgets())
