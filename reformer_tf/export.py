"""Models as SavedModels that TensorFlow Serving and plain TensorFlow run without this package.

Shape letters: B batch, L length, V vocabulary size.
"""

import os
import pathlib
import re
import shutil
import tempfile

import keras
import tensorflow as tf

__all__ = ["export_saved_model"]

_VERSION = re.compile(r"\d+")


def export_saved_model(model: keras.Model, directory: str | os.PathLike[str]) -> pathlib.Path:
    """Exports a language model as the next version in a folder: 1, then 2, and so on.

    The signature `predict`, which is also the default one, takes `ids` `[B, L]` int32 with any B and L and gives
    `logits` `[B, L, V]` float32. A version appears as a whole or not at all, so a server may watch the folder.

    Args:
        model: Gives logits when called on ids, such as `ReformerCausalLM`.
        directory: Folder of the versions. Made if it is not there.

    Returns:
        The folder of the new version.

    Raises:
        ValueError: If `model` is not a Keras model.

    Example:
        >>> export_saved_model(model, "/models/reformer")
        PosixPath('/models/reformer/1')
    """
    if not isinstance(model, keras.Model):
        raise ValueError(f"`model` must be a Keras model. Received: {type(model).__name__}")
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    # Not a number, so that no server takes it for a version before it is complete.
    unfinished = pathlib.Path(tempfile.mkdtemp(prefix=".unfinished-", dir=directory))
    try:
        unfinished.chmod(0o755)
        module = _Exported(model)
        predict = module.predict.get_concrete_function()
        tf.saved_model.save(module, str(unfinished), signatures={"predict": predict, "serving_default": predict})
        return _rename_to_next_version(unfinished, directory)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


class _Exported(tf.Module):
    """What goes into the SavedModel: the weights and the signatures, nothing of Keras."""

    def __init__(self, model: keras.Model):
        super().__init__()
        self._weights = [variable.value for variable in model.variables]
        # Not an attribute that TensorFlow would track and save as well.
        self._call = lambda ids: model(ids)

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32, name="ids")], autograph=False)
    def predict(self, ids: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"logits": tf.cast(self._call(ids), tf.float32)}


def _rename_to_next_version(folder: pathlib.Path, directory: pathlib.Path) -> pathlib.Path:
    while True:
        versions = [int(entry.name) for entry in directory.iterdir() if _VERSION.fullmatch(entry.name)]
        target = directory / str(max(versions, default=0) + 1)
        try:
            folder.rename(target)
        except OSError:
            if not target.exists():
                raise
            continue  # Another process was faster.
        return target
