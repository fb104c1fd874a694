"""Checks the sizes in a Hugging Face config against the tensors, before a model of these sizes takes memory."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from reformer_tf.ops import bucket_counts

_MOST_ROTATIONS = 2**27
"""The largest count of numbers in a layer's rotations, which no file holds; published models have about a million."""


def check(arguments: Mapping[str, Any], tensors: Mapping[str, np.ndarray], prefix: str, source: str) -> None:
    """Checks every size of the config that decides how much memory a model takes.

    Args:
        arguments: of the model, as `huggingface_config.model_arguments` returns them.
        tensors: by name.
        prefix: the prefix of the names of the backbone's tensors.
        source: the origin of the tensors, for the message.

    Raises:
        ValueError: if a tensor is missing or has another shape than the config says, or if the config asks for
            absurdly large rotations.
    """
    for name, shape in _shapes(arguments, prefix):
        found = tensors.get(name)
        if found is None or list(found.shape) != shape:
            what = "is missing" if found is None else f"has {list(found.shape)}"
            raise ValueError(
                "The tensors must be those of the model that the config describes, one for each weight."
                f" Received: {source}: {name} must have the shape {shape} and {what}"
            )
    head = tensors.get("classifier.out_proj.weight")
    if "num_classes" in arguments and head is not None and head.shape[0] != arguments["num_classes"]:
        raise ValueError(
            f"num_labels must be the number of rows of classifier.out_proj.weight. Received: {source}: num_labels="
            f"{arguments['num_classes']} and the shape {list(head.shape)}"
        )
    if "lsh" in arguments["attention_layers"]:
        numbers = _rotations(arguments)
        if numbers > _MOST_ROTATIONS:
            raise ValueError(
                f"num_hashes and num_buckets must give a layer at most {_MOST_ROTATIONS:,} numbers for its rotations."
                f" Received: {source}: {numbers:,} with num_hashes={arguments['num_hashes']} and num_buckets="
                f"{arguments['num_buckets']}"
            )


def _shapes(arguments: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, list[int]]]:
    """Names of tensors, and the shapes that they have by the sizes of the config."""
    width, inner = arguments["hidden_dim"], arguments["intermediate_dim"]
    heads = arguments["num_heads"] * arguments["key_dim"]
    yield f"{prefix}embeddings.word_embeddings.weight", [arguments["vocabulary_size"], width]
    if arguments["positions"] == "learned":
        shape = [arguments["max_sequence_length"], width]
        yield f"{prefix}embeddings.position_embeddings.embedding.weight", shape
    else:
        for axis, (size, depth) in enumerate(zip(arguments["axial_shape"], arguments["axial_dims"], strict=True)):
            shape = [1] * len(arguments["axial_shape"])
            shape[axis] = size
            yield f"{prefix}embeddings.position_embeddings.weights.{axis}", [*shape, depth]
    for layer in range(arguments["num_layers"]):
        yield f"{prefix}encoder.layers.{layer}.feed_forward.dense.dense.weight", [inner, width]
        yield f"{prefix}encoder.layers.{layer}.attention.self_attention.value.weight", [heads, width]


def _rotations(arguments: Mapping[str, Any]) -> int:
    """The count of numbers in the rotations of an LSH layer."""
    options, chunk = arguments["attention_options"]["lsh"], arguments["chunk_length"]
    if arguments["num_buckets"] is None:
        longest = options.get("max_sequence_length", arguments["max_sequence_length"])
        padded = -(-longest // options["length_multiple"]) * options["length_multiple"]
        columns = bucket_counts.most_columns(chunk, padded, longest)
    else:
        columns = bucket_counts.rotation_columns(bucket_counts.bucket_factors(arguments["num_buckets"]))
    return arguments["num_heads"] * arguments["key_dim"] * arguments["num_hashes"] * columns
