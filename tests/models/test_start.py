"""The first loss and the initial weights of a new model."""

import numpy as np
import pytest

from reformer_tf.models import ReformerCausalLM


@pytest.mark.parametrize("vocabulary_size", [16, 4096])
def test_a_head_of_its_own_starts_near_the_loss_of_no_knowledge(vocabulary_size):
    model = ReformerCausalLM(vocabulary_size, 256, 2, 32, 4, 8, 64, ["lsh"], tie_embeddings=False)
    ids = np.random.default_rng(0).integers(0, vocabulary_size, (4, 256))
    # Logits of deviation 0.25 cost half its square.
    assert abs(np.mean(model.token_losses(ids)) - np.log(vocabulary_size) - 0.03) < 0.03


def _kernels(model: ReformerCausalLM) -> list[tuple[str, np.ndarray]]:
    """The kernels of the branches, as matrices of inputs by outputs."""
    matrices = []
    for weight in model.backbone.get_layer("stack").trainable_weights:
        value = weight.numpy()
        if weight.name == "output":
            matrices.append((weight.path, value.reshape(-1, value.shape[-1])))
        elif value.ndim > 1:
            matrices.append((weight.path, value.reshape(value.shape[0], -1)))
    return matrices


def test_kernels_start_within_the_root_of_what_enters():
    model = ReformerCausalLM(16, 256, 3, 32, 4, 16, 64, ["lsh", "local", "full"])
    kernels = _kernels(model)
    assert len(kernels) == 3 + 4 + 4 + 3 * 2  # In LSH layers queries and keys have one kernel.
    for path, kernel in kernels:
        limit = len(kernel) ** -0.5
        assert 0.9 * limit < np.abs(kernel).max() <= limit, path
        assert kernel.std() == pytest.approx(limit / 3**0.5, rel=0.1), path


def test_kernels_start_as_the_initializer_says_also_in_a_copy():
    model = ReformerCausalLM(16, 256, 2, 32, 4, 16, 64, ["lsh", "full"], kernel_initializer="glorot_uniform")
    for built in (model, ReformerCausalLM.from_config(model.get_config())):
        for path, kernel in _kernels(built):
            assert kernel.std() == pytest.approx((2 / sum(kernel.shape)) ** 0.5, rel=0.1), path
