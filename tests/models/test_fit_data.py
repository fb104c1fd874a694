"""Arguments of fit, evaluate, train_on_batch and test_on_batch are used, or refused by name before any work."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.models.test_ids_outside import VOCABULARY, make

LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
ids = np.random.default_rng(0).integers(0, VOCABULARY, (4, 8)).astype("int32")
ones = np.ones(4, "float32")
SPAN = {"start": np.zeros(4, "int32"), "end": np.ones(4, "int32")}
CLASS_WEIGHT = r"class_weight must be left out.*Received: class_weight=\{1: 2.0\}"
ONLY_IDS, NO_WEIGHT = "fit takes ids alone.*Received: y=", "fit takes no sample_weight.*Received: sample_weight of type"


class _Data(keras.utils.PyDataset):
    """One batch."""

    def __init__(self, batch):
        super().__init__()
        self.batch = batch

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return self.batch


def _generator(batch):
    yield batch


def _dataset(batch):
    return tf.data.Dataset.from_tensors(batch)


@pytest.fixture(scope="module")
def untouched():
    """Compiled models without a loss whose calls are errors, to show that arguments are refused before any call."""
    found = {}
    for case in ("causal_lm", "masked_lm", "span_predictor"):
        found[case] = make(case)
        found[case].compile("sgd", run_eagerly=True)
        found[case].encode = None
    return found


REFUSED = {
    "causal_lm": [
        ({"x": ids, "y": ids}, ONLY_IDS),
        ({"x": ids, "sample_weight": ones}, NO_WEIGHT),
        ({"x": ids, "class_weight": {1: 2.0}}, CLASS_WEIGHT),
    ],
    "masked_lm": [
        ({"x": ids}, "fit takes ids and targets. Received: no targets"),
        ({"x": ids, "y": ids, "class_weight": {1: 2.0}}, CLASS_WEIGHT),
    ],
    "span_predictor": [
        ({"x": ids}, "targets .*start.*end.*Received: no targets"),
        ({"x": ids, "y": {"start": ones}}, r"targets .*Received: keys \['start'\]"),
        ({"x": ids, "y": SPAN, "sample_weight": {"begin": ones}}, r"sample_weight must.*Received: keys \['begin'\]"),
        ({"x": ids, "y": SPAN, "class_weight": {1: 2.0}}, CLASS_WEIGHT),
    ],
}
each = pytest.mark.parametrize(
    "case, passed, message", [(case, *refused) for case, cases in REFUSED.items() for refused in cases]
)


@each
def test_arguments_are_refused(untouched, case, passed, message):
    model = untouched[case]
    training = [model.fit, model.train_on_batch]
    for method in training if "class_weight" in passed else [*training, model.evaluate, model.test_on_batch]:
        with pytest.raises(ValueError, match=message):
            method(**passed)


def test_arguments_by_position_are_refused(untouched):
    with pytest.raises(ValueError, match=CLASS_WEIGHT):
        untouched["causal_lm"].train_on_batch(ids, None, None, {1: 2.0})
    with pytest.raises(ValueError, match=NO_WEIGHT):
        untouched["causal_lm"].test_on_batch(ids, None, ones)


def _batch(passed):
    """The arguments as a generator or a dataset yields them."""
    parts = [passed.get(name) for name in ("x", "y", "sample_weight")]
    return tuple(parts) if parts[2] is not None else tuple(parts[:2]) if parts[1] is not None else (ids,)


yielded = pytest.mark.parametrize(
    "kind, case, passed, message",
    [
        (kind, case, *refused)
        for kind in (_Data, _generator, _dataset)
        for case, cases in REFUSED.items()
        for refused in cases
        # No dataset can yield None.
        if "class_weight" not in refused[0] and not (kind is _dataset and any(x is None for x in _batch(refused[0])))
    ],
)


@yielded
def test_what_is_yielded_is_refused(untouched, kind, case, passed, message):
    with pytest.raises(ValueError, match=message):
        untouched[case].fit(kind(_batch(passed)), verbose=0)


@yielded
def test_validation_data_are_refused_before_the_first_epoch(untouched, kind, case, passed, message):
    good = {"causal_lm": (ids,), "masked_lm": (ids, ids), "span_predictor": (ids, SPAN)}[case]
    for data in (kind(_batch(passed)), _batch(passed)):
        with pytest.raises(ValueError, match=message):
            untouched[case].fit(*good, validation_data=data, verbose=0)


def test_class_weight_beside_what_is_yielded_is_refused(untouched):
    for kind in (_Data, _generator, _dataset):
        with pytest.raises(ValueError, match=CLASS_WEIGHT):
            untouched["masked_lm"].fit(kind((ids, ids)), class_weight={1: 2.0}, verbose=0)


def test_a_validation_generator_loses_nothing():
    model = make("causal_lm")
    model.compile("sgd", run_eagerly=True)
    batches = ((ids[i : i + 1],) for i in range(4))
    history = model.fit(ids, validation_data=batches, verbose=0).history
    assert history["val_loss"][0] == pytest.approx(model.evaluate(ids, verbose=0), rel=1e-5)


def test_class_weight_of_labels_of_tokens_is_refused_with_a_loss_too():
    for case in ("causal_lm", "masked_lm"):
        model = make(case)
        model.compile("sgd", LOGITS, run_eagerly=True)
        for method in (model.fit, model.train_on_batch):
            with pytest.raises(ValueError, match=CLASS_WEIGHT):
                method(ids, ids, class_weight={1: 2.0})


@pytest.mark.parametrize("case", ["causal_lm", "classifier", "span_predictor"])
def test_no_targets_are_refused_with_a_loss(case):
    model = make(case)
    model.compile("sgd", {"start": LOGITS, "end": LOGITS} if case == "span_predictor" else LOGITS, run_eagerly=True)
    for method in (model.fit, model.evaluate, model.train_on_batch, model.test_on_batch):
        with pytest.raises(ValueError, match="y must be given where compile has a loss.*Received: y=None"):
            method(ids)


def test_class_weight_of_a_classifier_is_used():
    labels, weights = np.array([0, 1, 1, 2]), {0: 1.0, 1: 3.0, 2: 0.5}
    losses = []
    for options in ({"class_weight": weights}, {"sample_weight": np.array([1.0, 3.0, 3.0, 0.5])}):
        model = make("classifier")
        model.compile("sgd", LOGITS, run_eagerly=True)
        losses += [model.fit(ids, labels, verbose=0, **options).history["loss"][0]]
        losses += [model.train_on_batch(ids, labels, **options)]
    np.testing.assert_allclose(losses[:2], losses[2:], rtol=1e-5)


def test_loss_weights_without_a_loss_are_refused():
    for case in ("causal_lm", "span_predictor", "classifier"):
        with pytest.raises(
            ValueError, match=r"loss_weights must be left out without a loss. Received: loss_weights=\[2"
        ):
            make(case).compile("sgd", loss_weights=[2.0])


def test_no_optimizer_is_refused_by_name(untouched):
    model = make("causal_lm")
    model.compile(None, run_eagerly=True)
    model.evaluate(ids, verbose=0)
    with pytest.raises(ValueError, match="optimizer must be given to compile to train. Received: optimizer=None"):
        model.fit(ids, verbose=0)


@pytest.mark.parametrize("case", ["causal_lm", "classifier", "span_predictor"])
def test_inputs_of_an_unknown_name_and_twice_are_refused(case):
    model = make(case)
    with pytest.raises(ValueError, match=r"x must be ids, or a dict.*Received: \['attention_mask', 'ids'\]"):
        model.predict({"ids": ids, "attention_mask": ids}, verbose=0)
    for name in ("mask", "segment_ids"):
        with pytest.raises(ValueError, match=f"{name} must be in x or an argument of the call, not both"):
            model({"ids": ids, name: ids}, **{name: ids})


@pytest.mark.slow
def test_a_last_batch_that_is_smaller_is_trained_on():
    model = make("causal_lm", reversible=True)
    model.compile("sgd", jit_compile=False)
    assert np.isfinite(model.fit(ids, batch_size=3, verbose=0).history["loss"][0])
