"""What a kind of attention can do, as its class declares it: one table for models, decoding, errors, tests and docs."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

# The capability that an argument of a layer needs when it is set, and what is to be said of a kind without it.
_NEEDED = {
    "causal": ("causal", "attends in both directions only"),
    "dropout": (
        "pair_dropout",
        "forms no probabilities of pairs of tokens that could be dropped: drop outputs of layers, or take another kind",
    ),
    "shared_query_key": ("shared_query_key", "cannot share queries and keys: FullSelfAttention has it"),
    "rotary": ("rotary", "cannot rotate queries and keys"),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecodingCache:
    """What a kind stores of the tokens before the next one, and what grows with their number.

    Attributes:
        state: what is stored, in words.
        time_grows: whether the time of a decoding step grows.
        state_grows: whether the size of the state grows.
    """

    state: str
    time_grows: bool
    state_grows: bool


# For a causal kind whose layers have no `cache()`: each new token runs its prefix again.
PREFIX_AGAIN = DecodingCache(state="the ids", time_grows=True, state_grows=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttentionCapabilities:
    """What a kind of self-attention can do. A class declares it as `capabilities`, every field by name.

    Attributes:
        causal: whether its layers can keep a token from seeing later tokens.
        bidirectional: whether they can let a token see later tokens.
        segments: which tokens see each other with `segment_ids`: `"equal"`, those of equal ids; `"runs"`, those of one
            run of equal ids; None if the kind does not take them.
        pair_dropout: whether it forms probabilities of pairs, of which `dropout` drops some in training.
        shared_query_key: whether queries and keys can share their projection.
        rotary: whether queries and keys can be rotated by their positions.
        decoding_cache: of layers that are causal; None if a model with the kind cannot generate.
        cross_attention: whether it can attend from one sequence to another.
        model_arguments: arguments of a layer, with the argument of the model that each follows. Besides these, layers
            in a model get `num_heads`, `key_dim`, a `seed` and a dtype, and if the kind has them `causal` and, from
            `attention_dropout`, `dropout`.

    Raises:
        ValueError: for capabilities that exclude each other.

    Example:
        >>> from reformer_tf.layers.attention import AttentionCapabilities, DecodingCache
        >>> means = AttentionCapabilities(
        ...     causal=True,
        ...     bidirectional=True,
        ...     segments=None,
        ...     pair_dropout=False,
        ...     shared_query_key=False,
        ...     rotary=False,
        ...     decoding_cache=DecodingCache(state="a sum and a count", time_grows=False, state_grows=False),
        ...     cross_attention=False,
        ...     model_arguments={"kernel_initializer": "kernel_initializer"},
        ... )
        >>> means.decoding_cache.state
        'a sum and a count'
    """

    causal: bool
    bidirectional: bool
    segments: Literal["equal", "runs"] | None
    pair_dropout: bool
    shared_query_key: bool
    rotary: bool
    decoding_cache: DecodingCache | None
    cross_attention: bool
    model_arguments: Mapping[str, str]

    def __post_init__(self) -> None:
        if not (self.causal or self.bidirectional):
            raise ValueError("causal or bidirectional must be True. Received: causal=False, bidirectional=False")
        if self.segments not in ("equal", "runs", None):
            raise ValueError(f'segments must be "equal", "runs" or None. Received: segments={self.segments!r}')
        if self.decoding_cache is not None and not self.causal:
            raise ValueError(
                "decoding_cache must be None unless causal=True."
                f" Received: causal={self.causal}, decoding_cache={self.decoding_cache}"
            )

    def check(self, owner: str, options: Mapping[str, Any]) -> None:
        """Refuses arguments of a layer that ask for what the kind cannot do.

        Args:
            owner: what the arguments are of, for the error.
            options: some arguments of a layer.

        Raises:
            ValueError: for the first such argument.
        """
        for name, (capability, reason) in _NEEDED.items():
            if options.get(name) and not getattr(self, capability):
                raise ValueError(
                    f"{name} must be left out of {owner}, which {reason}. Received: {name}={options[name]!r}"
                )
        if not (self.bidirectional or options.get("causal", True)):
            raise ValueError(
                f"causal must be True in {owner}, which is causal only. Received: causal={options['causal']}"
            )


def declared_by(cls: type) -> AttentionCapabilities:
    """The capabilities that a class declares.

    Raises:
        ValueError: if it declares none.
    """
    declared = getattr(cls, "capabilities", None)
    if not isinstance(declared, AttentionCapabilities):
        fields = ", ".join(field.name for field in dataclasses.fields(AttentionCapabilities))
        raise ValueError(
            "A kind of attention must declare what it can do, as a class attribute"
            f" `capabilities = AttentionCapabilities(...)` of {fields}."
            f" Received: {cls.__name__} with capabilities={declared!r}"
        )
    return declared
