"""What a model starts from: how large its weights are, and what that does to its first loss."""

import keras
import numpy as np
import pytest

from reformer_tf.layers import ChunkedFeedForward, FullSelfAttention, LocalSelfAttention, LSHSelfAttention
from reformer_tf.models import ReformerCausalLM

WIDTH = 32


@pytest.mark.parametrize("num_layers", [1, 8])
@pytest.mark.parametrize("kind", ["full", "local", "lsh"])
def test_output_projections_start_smaller_the_more_branches_there_are(kind, num_layers):
    model = ReformerCausalLM(257, 64, num_layers, WIDTH, 4, 8, 4 * WIDTH, [kind])
    branches = model.backbone.get_layer("stack").branches
    found = {v.path.rsplit("/", 1)[1]: np.std(v) for branch in branches for v in branch.layer.trainable_variables}
    # Glorot's deviation, of a square matrix and of the feed-forward layer's.
    square, oblong = (np.sqrt(2 / (WIDTH + other)) for other in (WIDTH, 4 * WIDTH))
    smaller = np.sqrt(2 * num_layers)
    np.testing.assert_allclose(found["value"], square, rtol=0.05)
    np.testing.assert_allclose(found["output"], square / smaller, rtol=0.05)
    np.testing.assert_allclose(found["inner_kernel"], oblong, rtol=0.05)
    np.testing.assert_allclose(found["outer_kernel"], oblong / smaller, rtol=0.05)


@pytest.mark.parametrize("vocabulary_size", [16, 4096])
def test_a_head_of_its_own_starts_near_the_loss_of_no_knowledge(vocabulary_size):
    model = ReformerCausalLM(vocabulary_size, 256, 2, WIDTH, 4, 8, 64, ["lsh"], tie_embeddings=False)
    ids = np.random.default_rng(0).integers(0, vocabulary_size, (4, 256))
    # Logits of deviation 0.25 cost half its square.
    assert abs(np.mean(model.token_losses(ids)) - np.log(vocabulary_size) - 0.03) < 0.03


@pytest.mark.parametrize(
    "layer",
    [
        ChunkedFeedForward(64, gated=True, output_initializer="zeros"),
        FullSelfAttention(2, 8, output_initializer="zeros"),
        LocalSelfAttention(2, 8, output_initializer="zeros"),
        LSHSelfAttention(2, 8, output_initializer="zeros"),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_output_initializer_is_of_the_output_projection_alone(layer):
    copy = type(layer).from_config(layer.get_config())
    x = np.random.default_rng(0).normal(size=(1, 20, WIDTH)).astype("float32")
    np.testing.assert_array_equal(copy(x), np.zeros_like(x))
    kernels = [v for v in copy.trainable_variables if "bias" not in v.path]
    assert [bool(np.any(v)) for v in kernels] == [True] * (len(kernels) - 1) + [False]
    assert isinstance(copy.output_initializer, keras.initializers.Zeros)
