"""Output shapes of models, known before any call, so that Keras' containers take them."""

import keras
import numpy as np
import pytest

from tests.models import cases

V, C = cases.VOCABULARY, 3
SHAPES = {
    "causal_lm": lambda *ids: (*ids, V),
    "classifier": lambda *ids: (ids[0], C),
    "span_predictor": lambda *ids: {"start": ids, "end": ids},
}
each = pytest.mark.parametrize("case", SHAPES)
ONE = {"num_layers": 1, "attention_layers": ["local"], "attention_options": None}


@each
def test_shapes_of_ids_and_dicts(case):
    model, expected = cases.make(case, **ONE, dtype="mixed_bfloat16"), SHAPES[case]
    for shape in ((2, 7), (2, None), (None, None)):
        assert model.compute_output_shape(shape) == expected(*shape)
        assert model.compute_output_shape({"ids": shape, "mask": shape}) == expected(*shape)
    inputs = {"ids": keras.KerasTensor(shape, "int32"), "mask": keras.KerasTensor(shape, "bool")}
    spec = model.compute_output_spec(inputs)
    assert keras.tree.map_structure(lambda x: tuple(x.shape), spec) == expected(*shape)
    assert {x.dtype for x in keras.tree.flatten(spec)} == {"float32"}
    model.summary(print_fn=lambda *args, **kwargs: None)
    assert model.backbone.compute_output_shape((None, None))[:2] == (None, None)


def test_a_symbolic_call_checks_what_is_known():
    with pytest.raises(ValueError, match="at most"):
        cases.make("classifier", **ONE)(keras.Input((cases.LONGEST + 1,), dtype="int32"))


@pytest.mark.parametrize("case", ["causal_lm", pytest.param("classifier", marks=pytest.mark.slow)])
def test_time_distributed(case, tmp_path):
    inner = cases.make(case, **ONE)
    inputs = keras.Input((2, 9), dtype="int32")
    model = keras.Model(inputs, keras.layers.TimeDistributed(inner)(inputs))
    assert model.output_shape == (None, 2, *SHAPES[case](None, 9)[1:])
    ids = np.stack([cases.ids(3, 9, seed) for seed in (1, 2)], axis=1)
    expected = np.stack([inner(ids[:, i]) for i in (0, 1)], axis=1)
    np.testing.assert_allclose(model(ids), expected, atol=1e-5)
    model.save(tmp_path / "model.keras")
    np.testing.assert_allclose(keras.models.load_model(tmp_path / "model.keras")(ids), expected, atol=1e-5)
    unknown = keras.layers.TimeDistributed(inner)(keras.Input((None, None), dtype="int32"))
    assert unknown.shape == (None, None, *SHAPES[case](None, None)[1:])
