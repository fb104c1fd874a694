"""Budgets of work, by device and changed for a while."""

import threading

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.client import device_lib
from tensorflow.python.eager import context

from reformer_tf.ops.execution import budgets, device_budgets, devices, row_chunks


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


def test_a_target_holds_inside_in_all_threads():
    before, found = budgets.current(), []
    with budgets.override(heads_bytes=7), budgets.target("GPU", memory_bytes=2**34):
        thread = threading.Thread(target=lambda: found.append((budgets.device_kind(), budgets.current())))
        thread.start()
        thread.join()
        assert found == [("GPU", budgets.of_device("GPU", 2**34)._replace(heads_bytes=7))]
        with budgets.target("CPU"):
            assert budgets.current() == before._replace(heads_bytes=7)
    assert (budgets.device_kind(), budgets.current()) == ("CPU", before)


def test_an_accelerator_of_unknown_memory():
    with budgets.target("TPU"):
        assert budgets.current() == budgets.of_device("TPU", 16 * 2**30)


@pytest.mark.parametrize("kind", ["GPU", "TPU", "NEW"])
def test_the_accelerator_of_the_process(monkeypatch, kind):
    monkeypatch.setattr(devices, "kind", lambda: kind)
    monkeypatch.setattr(devices, "memory_bytes", {"GPU": 2**36}.get)
    expected = budgets.of_device(kind, 2**36 if kind == "GPU" else device_budgets.DEFAULT_MEMORY_BYTES)
    assert (budgets.device_kind(), budgets.current()) == (kind, expected)
    assert budgets.on_accelerator()


def test_memory_is_that_of_the_devices_that_tensorflow_has():
    assert devices.memory_bytes("CPU") == min(
        x.memory_limit for x in device_lib.list_local_devices() if x.device_type == "CPU"
    )
    assert devices.memory_bytes("TPU") is None


def test_a_device_that_is_connected_later(monkeypatch):
    monkeypatch.setattr(devices, "_sizes", {})
    with monkeypatch.context() as patch:
        patch.setattr(context.context(), "_initialized", False)
        assert devices.memory_bytes("CPU") is None
    assert devices.memory_bytes("CPU") > 0


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (["CPU"], "CPU"),
        (["CPU", "XLA_CPU"], "CPU"),
        (["CPU", "XLA_CPU", "GPU", "XLA_GPU"], "GPU"),
        (["CPU", "TPU_SYSTEM"], "CPU"),
        (["CPU", "TPU", "TPU_SYSTEM"], "TPU"),
    ],
)
def test_the_device_that_computes(monkeypatch, kinds, expected):
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda: [tf.config.LogicalDevice(x, x) for x in kinds])
    assert devices.kind() == expected


def test_memory_may_be_an_integer_of_numpy():
    with budgets.target("GPU", memory_bytes=np.int64(2**34)):
        assert budgets.current() == budgets.of_device("GPU", 2**34)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("gpu",), r"kind must be a name of a device in capitals.* Received: kind='gpu'"),
        (("GPU", 0), "memory_bytes must be a positive integer. Received: memory_bytes=0"),
        (("GPU", True), "memory_bytes must be a positive integer. Received: memory_bytes=True"),
        (("GPU", 1e9), r"memory_bytes must be a positive integer. Received: memory_bytes=1000000000\.0"),
    ],
)
def test_a_target_that_is_none(arguments, message):
    with pytest.raises(ValueError, match=message):
        budgets.target(*arguments)


def test_a_gradient_has_the_budgets_of_its_forward_pass():
    kinds = []

    def row(x):
        kinds.append(budgets.device_kind())
        return x * x

    x = tf.ones([4, 2])
    with tf.GradientTape() as tape:
        tape.watch(x)
        with budgets.target("GPU"), budgets.override(chunk_bytes=1):
            y = row_chunks.map_rows(row, [x], [], 2, tf.TensorSpec([None, 2]))
    tape.gradient(y, x)
    assert set(kinds) == {"GPU"}
    assert len(kinds) == 4
