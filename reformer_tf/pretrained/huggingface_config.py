"""Translates a Hugging Face Reformer config to a model class of this package and its arguments."""

import math
from collections.abc import Collection
from typing import Any

import keras

from reformer_tf import models
from reformer_tf.layers import arguments
from reformer_tf.models.backbone import ReformerBackbone

# By the name in `architectures` of a config: the model class here, and the prefix of the tensors of its head.
_ARCHITECTURES: dict[str, tuple[type[keras.Model], str]] = {
    "ReformerModelWithLMHead": (models.ReformerCausalLM, "lm_head."),
    "ReformerForMaskedLM": (models.ReformerMaskedLM, "lm_head."),
    "ReformerForSequenceClassification": (models.ReformerClassifier, "classifier."),
    "ReformerForQuestionAnswering": (models.ReformerSpanPredictor, "qa_outputs."),
    "ReformerModel": (ReformerBackbone, ""),
}

# Values of fields that a config leaves out (the defaults of ReformerConfig in transformers). All other fields are
# ignored: they do not change the outputs of a trained model, or belong to other models.
_DEFAULTS: dict[str, Any] = {
    "attention_head_size": 64,
    "attn_layers": ["local", "lsh"] * 3,
    "axial_pos_embds": True,
    "axial_pos_embds_dim": [64, 192],
    "axial_pos_shape": [64, 64],
    "classifier_dropout": None,
    "feed_forward_size": 512,
    "hash_seed": None,
    "hidden_act": "relu",
    "hidden_dropout_prob": 0.05,
    "hidden_size": 256,
    "is_decoder": False,
    "layer_norm_eps": 1e-12,
    "local_attention_probs_dropout_prob": 0.05,
    "local_attn_chunk_length": 64,
    "local_num_chunks_after": 0,
    "local_num_chunks_before": 1,
    "lsh_attention_probs_dropout_prob": 0.0,
    "lsh_attn_chunk_length": 64,
    "lsh_num_chunks_after": 0,
    "lsh_num_chunks_before": 1,
    "max_position_embeddings": 4096,
    "num_attention_heads": 12,
    "num_buckets": None,
    "num_hashes": 1,
    "vocab_size": 320,
}

# Activations of this package by `hidden_act`.
ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_10": "gelu_clipped",
    "gelu_accurate": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_new": "gelu_tanh",
    "gelu_python": "gelu",
    "gelu_python_tanh": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "hardswish": "hard_silu",
    "laplace": "laplace",
    "leaky_relu": "slight_leaky_relu",
    "linear": "linear",
    "mish": "mish",
    "quick_gelu": "quick_gelu",
    "relu": "relu",
    "relu2": "squared_relu",
    "relu6": "relu6",
    "sigmoid": "sigmoid",
    "silu": "silu",
    "sqrtsoftplus": "sqrt_softplus",
    "swish": "silu",
    "tanh": "tanh",
}
WITH_WEIGHTS = ("prelu", "xielu")


def model_class(config: dict[str, Any], tensors: Collection[str]) -> type[keras.Model]:
    """The model class of a checkpoint, by `architectures` or otherwise by the names of its tensors.

    Raises:
        ValueError: if the config is not that of a Reformer, or the architecture is unknown.
    """
    if config.get("model_type", "reformer") != "reformer":
        raise ValueError(f"model_type must be 'reformer'. Received: model_type={config['model_type']!r}")
    named = config.get("architectures") or []
    if not isinstance(named, list) or len(named) > 1 or any(name not in list(_ARCHITECTURES) for name in named):
        raise ValueError(f"architectures must be one of {list(_ARCHITECTURES)}. Received: architectures={named!r}")
    if named:
        return _ARCHITECTURES[named[0]][0]
    if any(name.startswith("lm_head.") for name in tensors):
        return models.ReformerCausalLM if config.get("is_decoder") else models.ReformerMaskedLM
    for model, prefix in _ARCHITECTURES.values():
        if any(name.startswith(prefix) for name in tensors):
            return model
    raise ValueError("The weights must hold tensors. Received: none")


def model_arguments(config: dict[str, Any], model: type[keras.Model]) -> dict[str, Any]:
    """The keyword arguments of the model that a config describes.

    Args:
        config: the content of `config.json`.
        model: the class that `model_class` returned.

    Raises:
        ValueError: for a value that is not valid or not supported; the message names the field.
    """
    fields = {**_DEFAULTS, **config}
    sizes = {
        ours: arguments.positive_integer(theirs, fields[theirs])
        for ours, theirs in {
            "vocabulary_size": "vocab_size",
            "hidden_dim": "hidden_size",
            "num_heads": "num_attention_heads",
            "key_dim": "attention_head_size",
            "intermediate_dim": "feed_forward_size",
        }.items()
    }
    kinds = fields["attn_layers"]
    if not isinstance(kinds, list | tuple) or not kinds or any(kind not in ("local", "lsh") for kind in kinds):
        raise ValueError(f'attn_layers must be a list of "local" and "lsh". Received: attn_layers={kinds!r}')
    for field in ("pruned_heads", "add_cross_attention"):
        if config.get(field):
            raise ValueError(f"{field} must be empty or absent. Received: {field}={config[field]!r}")
    if not isinstance(fields["hidden_act"], str) or fields["hidden_act"] not in ACTIVATIONS:
        why = " (that one has weights of its own)" if fields["hidden_act"] in WITH_WEIGHTS else ""
        raise ValueError(
            f"hidden_act must be one of {sorted(ACTIVATIONS)}. Received: hidden_act={fields['hidden_act']!r}{why}"
        )
    if not isinstance(fields["layer_norm_eps"], int | float) or not 0 < fields["layer_norm_eps"] < math.inf:
        raise ValueError(f"layer_norm_eps must be positive. Received: layer_norm_eps={fields['layer_norm_eps']!r}")
    used = {kind: _attention(kind, fields) for kind in ("lsh", "local") if kind in kinds}
    chunks = {kind: options.pop("chunk_length") for kind, options in used.items()}
    multiple = math.lcm(*chunks.values())
    for kind, options in used.items():
        # Sequences longer than the shortest chunk are padded to the multiple. They get exact attention in the layers
        # for which the multiple is one chunk. (Seen twice by wrapping around, that chunk would give the same outputs
        # except for the rounding of penalties.)
        options["length_multiple"] = multiple
        options["exact_length"] = multiple if multiple == chunks[kind] else min(chunks.values())
    positions = _positions(fields, sizes["hidden_dim"])
    if "lsh" in used and positions["max_sequence_length"] != fields["max_position_embeddings"]:
        # In transformers the rule for factors of the number of buckets uses this length, whatever the positions reach.
        used["lsh"]["max_sequence_length"] = fields["max_position_embeddings"]
    result = {
        **sizes,
        **positions,
        "num_layers": len(kinds),
        "attention_layers": list(kinds),
        **_sizes_of_kinds(chunks, fields),
        "dropout": arguments.rate("hidden_dropout_prob", fields["hidden_dropout_prob"]),
        "activation": ACTIVATIONS[fields["hidden_act"]],
        "attention_options": used,
        "combine_streams": "concatenate",
        "layer_norm_epsilon": fields["layer_norm_eps"],
        "embedding_scale": 1.0,
    }
    return result | _head_arguments(fields, model)


def _attention(kind: str, fields: dict[str, Any]) -> dict[str, Any]:
    """The arguments of the attention layers of a kind, with their chunk length."""
    names = {
        "chunk_length": f"{kind}_attn_chunk_length",
        "chunks_before": f"{kind}_num_chunks_before",
        "chunks_after": f"{kind}_num_chunks_after",
    }
    for name in (names["chunks_before"], names["chunks_after"]):
        if arguments.integer(name, fields[name]) < 0:
            raise ValueError(f"{name} must not be negative. Received: {name}={fields[name]}")
    # Transformers accepts None for both kinds.
    dropout = f"{kind}_attention_probs_dropout_prob"
    return {
        "window": "chunk",
        "wrap": True,
        "chunk_length": arguments.positive_integer(names["chunk_length"], fields[names["chunk_length"]]),
        "chunks_before": fields[names["chunks_before"]],
        "chunks_after": fields[names["chunks_after"]],
        "dropout": arguments.rate(dropout, fields[dropout] or 0.0),
    }


def _sizes_of_kinds(chunks: dict[str, int], fields: dict[str, Any]) -> dict[str, Any]:
    """The arguments of the model that only layers of a kind in use follow."""
    sizes: dict[str, Any] = {}
    if "local" in chunks:
        sizes["local_chunk_length"] = chunks["local"]
    if "lsh" in chunks:
        sizes["chunk_length"] = chunks["lsh"]
        sizes["num_hashes"] = arguments.positive_integer("num_hashes", fields["num_hashes"])
        sizes["num_buckets"] = fields["num_buckets"]
        # With a seed, transformers draws the same rotations at every call.
        sizes["redraw_rotations"] = fields["hash_seed"] is None
    return sizes


def _positions(fields: dict[str, Any], hidden_dim: int) -> dict[str, Any]:
    longest = arguments.positive_integer("max_position_embeddings", fields["max_position_embeddings"])
    if not fields["axial_pos_embds"]:
        return {"positions": "learned", "max_sequence_length": longest}
    axes = {name: fields[name] for name in ("axial_pos_shape", "axial_pos_embds_dim")}
    for name, values in axes.items():
        if not isinstance(values, list | tuple) or len(values) != len(fields["axial_pos_shape"]):
            raise ValueError(f"axial_pos_shape and axial_pos_embds_dim must be lists of one length. Received: {axes}")
        for value in values:
            arguments.positive_integer(name, value)
    shape, widths = axes.values()
    if sum(widths) != hidden_dim:
        raise ValueError(
            "axial_pos_embds_dim must sum to hidden_size."
            f" Received: axial_pos_embds_dim={list(widths)}, hidden_size={hidden_dim}"
        )
    return {
        "positions": "axial",
        "axial_shape": list(shape),
        "axial_dims": list(widths),
        "max_sequence_length": min(longest, math.prod(shape)),
    }


def _head_arguments(fields: dict[str, Any], model: type[keras.Model]) -> dict[str, Any]:
    """The arguments of the head, and of causality, which differ between the models."""
    causal = bool(fields["is_decoder"])
    if model in (models.ReformerCausalLM, models.ReformerMaskedLM):
        expected = model is models.ReformerCausalLM
        if causal != expected:
            raise ValueError(f"is_decoder must be {expected} for {model.__name__}. Received: is_decoder={causal}")
        return {
            "tie_embeddings": False
        }  # In transformers the head has its own kernel whatever tie_word_embeddings says.
    names = fields.get("id2label") or {}
    if not isinstance(names, dict | list):
        raise ValueError(f"id2label must be an object. Received: id2label={names!r}")
    labels = fields["num_labels"] if "num_labels" in fields else len(names) or 2
    if model is models.ReformerClassifier:
        return {
            "causal": causal,
            "num_classes": arguments.positive_integer("num_labels", labels),
            "head_dropout": fields["classifier_dropout"],
        }
    if model is models.ReformerSpanPredictor and labels != 2:
        raise ValueError(f"num_labels must be 2, start and end, to answer questions. Received: num_labels={labels}")
    return {"causal": causal}
