"""What a new model begins with: its first loss."""

import numpy as np
import pytest

from reformer_tf.models import ReformerCausalLM


@pytest.mark.parametrize("vocabulary_size", [16, 4096])
def test_a_head_of_its_own_starts_near_the_loss_of_no_knowledge(vocabulary_size):
    model = ReformerCausalLM(vocabulary_size, 256, 2, 32, 4, 8, 64, ["lsh"], tie_embeddings=False)
    ids = np.random.default_rng(0).integers(0, vocabulary_size, (4, 256))
    # Logits of deviation 0.25 cost half its square.
    assert abs(np.mean(model.token_losses(ids)) - np.log(vocabulary_size) - 0.03) < 0.03
