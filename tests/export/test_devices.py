"""Exports for another device than that of this process."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from reformer_tf.export import export_saved_model
from tests.export.conftest import make_model


def test_an_export_for_another_device(tmp_path):
    model = make_model(num_layers=1, attention_layers=["lsh"], max_sequence_length=512)
    folder = export_saved_model(model, tmp_path, None, device="TPU", memory_bytes=np.int64(2**20))
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    functions = saved.meta_graphs[0].graph_def.library.function
    # Elsewhere permutations are inverted by scatters, which a TPU does slowly.
    assert "ScatterNd" not in {node.op for function in functions for node in function.node_def}
    score = tf.saved_model.load(folder).signatures["score_ids"]
    ids = np.random.default_rng(1).integers(0, 257, (2, 500)).astype(np.int32)
    # In a graph of any length, because eager mode rounds differently, which can move a token to another bucket.
    signature = [tf.TensorSpec([None, None], tf.int32)]
    losses = tf.function(model.token_losses, input_signature=signature, autograph=False)(ids).numpy()
    np.testing.assert_allclose(score(ids=tf.constant(ids))["token_log_probabilities"], -losses, atol=1e-5)


@pytest.mark.parametrize(
    ("device", "memory", "message"),
    [
        (None, 8, "memory_bytes must be None unless device is GPU or TPU. Received: memory_bytes=8, device=None"),
        ("CPU", 8, "memory_bytes must be None unless device is GPU or TPU. Received: memory_bytes=8, device='CPU'"),
        ("gpu", None, "device must be one of .* Received: device='gpu'"),
        ("XPU", None, "device must be one of .* Received: device='XPU'"),
        (3, None, "device must be one of .* Received: device=3"),
        ("GPU", 0, "memory_bytes must be a positive integer. Received: memory_bytes=0"),
        ("GPU", 1.5, "memory_bytes must be a positive integer. Received: memory_bytes=1.5"),
        ("GPU", True, "memory_bytes must be a positive integer. Received: memory_bytes=True"),
    ],
)
def test_what_is_refused(tmp_path, device, memory, message):
    with pytest.raises(ValueError, match=message):
        export_saved_model(keras.Sequential(), tmp_path / "models", device=device, memory_bytes=memory)
    assert not (tmp_path / "models").exists()
