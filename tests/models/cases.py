"""Small models for tests, with weights that are not tiny, and data for them."""

from typing import Any

import keras
import numpy as np

from reformer_tf.models import ReformerCausalLM, ReformerClassifier, ReformerMaskedLM, ReformerSpanPredictor

VOCABULARY, LONGEST = 20, 90
ARGUMENTS: dict[str, Any] = {
    "vocabulary_size": VOCABULARY,
    "max_sequence_length": LONGEST,
    "num_layers": 2,
    "hidden_dim": 16,
    "num_heads": 2,
    "key_dim": 8,
    "intermediate_dim": 24,
    "attention_layers": ["local", "lsh"],
    "chunk_length": 8,
    "num_hashes": 2,
}
# Both streams, and options of each kind, so that the tests of all models cover them.
TWO_STREAMS: dict[str, Any] = {
    "combine_streams": "concatenate",
    "attention_options": {"lsh": {"num_buckets": [2, 4], "local_round": False}, "local": {"use_bias": True}},
    "layer_norm_epsilon": 1e-5,
    "embedding_scale": 2.0,
}
# The options of the published models, at small sizes.
_WINDOW = {"window": "chunk", "wrap": True, "length_multiple": 16, "exact_length": 8}
RELEASED: dict[str, Any] = {
    "combine_streams": "concatenate",
    "attention_options": {"lsh": dict(_WINDOW), "local": dict(_WINDOW)},
    "layer_norm_epsilon": 1e-12,
    "embedding_scale": 1.0,
    "activation": "relu",
}
MODELS: dict[str, tuple[type[keras.Model], dict[str, Any]]] = {
    "causal_lm": (ReformerCausalLM, {}),
    "causal_lm_as_released": (ReformerCausalLM, {**RELEASED, "tie_embeddings": False, "head_bias": False}),
    "masked_lm": (ReformerMaskedLM, {}),
    "classifier": (ReformerClassifier, {**TWO_STREAMS, "num_classes": 3, "pooling": "first"}),
    "classifier_of_means": (ReformerClassifier, {"num_classes": 3, "pooling": "mean", "causal": True}),
    "span_predictor": (ReformerSpanPredictor, {}),
}


def perturb(model: keras.Model) -> keras.Model:
    """Sets all trainable variables to random values of one size."""
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(0.4 * rng.normal(size=variable.shape))
    return model


def make(case: str, **changes: Any) -> keras.Model:
    """Builds the model of a case, optionally with other arguments."""
    model, arguments = MODELS[case]
    return perturb(model(**{**ARGUMENTS, **arguments, **changes}))


def ids(batch: int = 3, length: int = 50, seed: int = 1) -> np.ndarray:
    """Random ids `[B, L]`."""
    return np.random.default_rng(seed).integers(0, VOCABULARY, (batch, length)).astype("int32")


def mask(length: int = 50) -> np.ndarray:
    """Masks `[3, L]`: a full row, a shorter one, and one masked at random, its first token too."""
    result = np.ones((3, length), bool)
    result[1, length // 2 :] = False
    result[2] = np.random.default_rng(2).random(length) < 0.5
    result[2, 0] = False
    return result


def flat(outputs: Any) -> list[np.ndarray]:
    """The outputs of a model as arrays."""
    return [np.asarray(x) for x in keras.tree.flatten(outputs)]
