"""TPU support without a TPU: messages about what is missing, and the trace of the program for one."""

import contextlib
import socket
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from configs import tiny
from tests.testing import tiny_models, xla_ops
from tests.trainer import fake_tpu
from trainer import config as configs
from trainer import config_checks
from trainer.data import datasets
from trainer.distribution import dispatch, tpu
from trainer.optimization import optimizer
from trainer.tasks import LanguageModel
from trainer.training.evaluation import Evaluation
from trainer.training.step import TrainStep

ROWS, LENGTH = 4, 40


@pytest.mark.parametrize("address", ["", "Local", "grpc://", "grpc://10.0.0.1:port", "10.0.0.1:8470", "my tpu", "a,b"])
def test_addresses_that_name_nothing(address):
    with pytest.raises(ValueError, match="`config.tpu_address` must be 'local' .* Received: '"):
        tpu.check_address(address)


@pytest.mark.parametrize("address", ["local", "grpc://10.0.0.1:8470", "grpc://tpu-host", "my-tpu-2"])
def test_addresses_that_name_something(address):
    tpu.check_address(address)


def test_the_address_is_a_field_of_the_config(tmp_path):
    config = tiny.get_config()
    assert config.tpu_address == "local"
    config_checks.check_config(config)
    config.tpu_address = "10.0.0.1"
    with pytest.raises(ValueError, match="`config.tpu_address` must be 'local'"):
        config_checks.check_config(config)
    del config.tpu_address  # A run older than the field.
    configs.write_config(config, tmp_path / "config.json")
    assert configs.read_config(tmp_path / "config.json").tpu_address == "local"


@contextlib.contextmanager
def _refused_within(seconds, match):
    start = time.monotonic()
    with pytest.raises(ValueError, match=match):
        yield
    assert time.monotonic() - start < seconds


def test_this_machine_has_no_tpu():
    with _refused_within(
        20, r"(?s)needs a TPU: .*`pip install tensorflow-tpu`.*Received: `config.tpu_address` 'local'"
    ):
        tpu.make_tpu_strategy("local")


def test_nothing_answers_at_an_address():
    with contextlib.closing(socket.socket()) as bound:  # Bound, but it does not listen.
        bound.bind(("127.0.0.1", 0))
        address = f"grpc://127.0.0.1:{bound.getsockname()[1]}"
        with _refused_within(20, f"nothing that could be used answers at this address.*'{address}': .*refused"):
            tpu.make_tpu_strategy(address)


def test_a_name_is_not_found_where_there_is_no_google_cloud(monkeypatch):
    # Where names are asked for: a port of this machine that is closed.
    monkeypatch.setenv("GCE_METADATA_HOST", "127.0.0.1:1")
    before = socket.getdefaulttimeout()
    with _refused_within(20, r"a name is looked up from a machine in Google Cloud.*'my-tpu': "):
        tpu.make_tpu_strategy("my-tpu")
    assert socket.getdefaulttimeout() == before


def test_what_is_installed_is_said(monkeypatch):
    monkeypatch.setattr(tpu.importlib.metadata, "version", lambda name: "2.20.0")
    with pytest.raises(ValueError, match="needs a TPU: ") as refused:
        tpu.make_tpu_strategy("local")
    assert "without the package tensorflow-tpu" not in str(refused.value)


def test_the_steps_to_a_strategy_come_in_sequence(monkeypatch):
    calls = []

    def noted(name, function):
        def call(*args, **kwargs):
            calls.append((name, *args, *kwargs.values()))
            return function(*args, **kwargs)

        return call

    monkeypatch.setattr(tf.distribute.cluster_resolver, "TPUClusterResolver", noted("resolve", fake_tpu.Resolver))
    monkeypatch.setattr(tf.config, "experimental_connect_to_cluster", noted("connect", lambda resolver: None))
    monkeypatch.setattr(tf.tpu.experimental, "initialize_tpu_system", noted("initialize", lambda resolver: None))
    made = fake_tpu.make_strategy()
    monkeypatch.setattr(tf.distribute, "TPUStrategy", noted("strategy", lambda resolver: made))
    assert tpu.make_tpu_strategy("local") is made
    assert [call[0] for call in calls] == ["resolve", "connect", "initialize", "strategy"]
    resolver = calls[1][1]
    assert isinstance(resolver, fake_tpu.Resolver) and resolver.tpu == "local"
    assert all(call[1:] == (resolver,) for call in calls[1:])


@pytest.fixture(scope="module")
def strategy():
    return fake_tpu.make_strategy()


def _made(strategy, name="adam", dtype="float32", kinds=("lsh", "full"), **options):
    with strategy.scope():
        model = tiny_models.every_kind(dtype, kinds, **options)
        config = configs.default_config().optimizer
        config.name, config.weight_decay, config.ema_momentum = name, 0.1, 0.9
        return model, optimizer.make_optimizer(config, 10, model.trainable_variables)


def _batch(strategy):
    """Returns the first batch of a run, distributed over the cores as the trainer does it."""
    examples = datasets.Examples([b"some bytes to read " * 20], LENGTH)
    return next(
        dispatch.make_dispatch(strategy).batches(lambda shard: datasets.train_dataset(examples, ROWS, shard=shard))
    )


def _replicated(traced):
    """Finds the operations of the replicas' program by the attribute that TPUStrategy gives them."""
    return [op for op in traced.graph.get_operations() if "_tpu_replicate" in op.node_def.attr]


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("adam", "float32"),
        pytest.param("adafactor", "mixed_bfloat16", marks=pytest.mark.slow),
        pytest.param("muon", "mixed_float16", marks=pytest.mark.slow),
    ],
)
def test_the_whole_step_is_traced_for_a_tpu(strategy, name, dtype):
    model, slots = _made(strategy, name, dtype)
    task = LanguageModel(separate_documents=True)
    step = TrainStep(model, slots, strategy, accumulation_steps=2, clip_norm=1.0, jit_compile=True, task=task)
    ids, mask = _batch(strategy)
    assert [part.shape for part in strategy.experimental_local_results(ids)] == [(ROWS // 2, LENGTH + 1)] * 2
    scale = tf.constant(2.0**15) if dtype == "mixed_float16" else None
    traced = step.__call__.get_concrete_function((ids, mask), tf.constant([0, 0]), scale)
    found = xla_ops.examine(traced, also=xla_ops.TPU_STRATEGY_OPS)
    assert found.problems() == []
    # There is one program; the host only passes inputs and outputs.
    assert found.counts["TPUReplicateMetadata"] == 1
    own = {op.name for op in _replicated(traced)}
    for op in traced.graph.get_operations():
        if op.name not in own:
            assert op.type in {*xla_ops.TPU_STRATEGY_OPS, "Placeholder", "Const", "Identity", "NoOp"}, op
    # Counts, loss and every gradient are summed over the replicas; the program includes the updates.
    assert found.counts["CrossReplicaSum"] >= 2 + 2 + len(model.trainable_variables)
    updates = sum(number for op, number in found.counts.items() if op.startswith("Assign"))
    assert updates >= 2 * len(model.trainable_variables), "a weight and its average change together"
    assert {tuple(output.shape) for output in traced.outputs} == {()}


def test_the_evaluation_is_traced_for_a_tpu(strategy):
    model, _ = _made(strategy, kinds=["lsh", "full"])
    examples = datasets.Examples([b"some bytes to read " * 20], LENGTH)
    evaluation = Evaluation(model, strategy, examples, ROWS, jit_compile=True)
    traced = evaluation._batch_sums.get_concrete_function(_batch(strategy), tf.constant(0.0))
    assert xla_ops.examine(traced, also=xla_ops.TPU_STRATEGY_OPS).problems() == []


def test_every_length_of_the_batches_is_a_program_of_static_shapes(strategy):
    documents = [b"a short one"] * ROWS + [b"a longer one, " * 3] * ROWS
    examples = datasets.Examples(documents, LENGTH, layout="padded", length_buckets=(16,))
    batches = dispatch.make_dispatch(strategy).batches(lambda shard: datasets.validation_dataset(examples, ROWS, shard))
    model, slots = _made(strategy, kinds=["local"], reversible=False)
    step = TrainStep(model, slots, strategy)
    lengths = []
    for ids, mask in batches:
        shapes = {tuple(part.shape) for part in strategy.experimental_local_results(ids)}
        (rows, length) = next(iter(shapes))
        assert len(shapes) == 1 and rows == ROWS // 2
        if length in lengths:
            continue
        lengths.append(length)
        traced = step.__call__.get_concrete_function((ids, mask), tf.constant([0, 0]))
        assert xla_ops.examine(traced, also=xla_ops.TPU_STRATEGY_OPS).problems() == []
    assert sorted(lengths) == [17, LENGTH + 1]
    _assert_replicas_read_their_rows(traced)


def _assert_replicas_read_their_rows(traced):
    """Each core draws the dropout of its own rows: the index of its first row is computed from the core's number."""
    numbers = [op for op in traced.graph.get_operations() if op.type == "TPUReplicatedInput"]
    constants = [[tf.get_static_value(x) for x in op.inputs] for op in numbers]
    assert [0, 1] in constants
    core = numbers[constants.index([0, 1])].outputs[0]
    assert core.consumers(), "the number of the core is not used"


def test_weights_are_the_same_on_all_cores(strategy):
    keras.utils.set_random_seed(0)
    model, _ = _made(strategy, kinds=["lsh"])
    for variable in model.trainable_variables:
        first, second = (np.asarray(copy) for copy in strategy.experimental_local_results(variable.value))
        np.testing.assert_array_equal(first, second)
