"""A Reformer that predicts the next token."""

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from reformer_tf.generation import generate, samplers
from reformer_tf.layers import arguments
from reformer_tf.models import model_arguments
from reformer_tf.models.backbone import ReformerBackbone
from reformer_tf.models.headed_model import as_ids
from reformer_tf.models.own_loss_model import Scored
from reformer_tf.models.token_model import TokenModel


@keras.saving.register_keras_serializable("reformer_tf")
class ReformerCausalLM(TokenModel):
    """A causal language model: ids `[B, L]` to logits `[B, L, V]`, each position scoring the token after it.

    `token_losses` gives the losses of known tokens without forming the logits; `compile(optimizer)` without a loss and
    `fit(ids)` train with it, where `ids` may also be a dict of `"ids"`, `"mask"` and `"segment_ids"`; metrics of
    `compile` score the next token. With a loss, the model trains like any Keras model, and forms the logits.

    Args:
        vocabulary_size: V, the number of token ids; none is reserved.
        max_sequence_length: the longest input.
        num_layers: the number of blocks.
        hidden_dim: M, the width of each residual stream.
        num_heads: H, the number of attention heads.
        key_dim: D, the size of a head.
        intermediate_dim: the inner width of the feed-forward layers.
        attention_layers: the kind of attention of each layer, or a pattern of kinds that is repeated.
        chunk_length: C of LSH layers.
        local_chunk_length: C of local layers; `chunk_length` if None.
        num_hashes: R, hash rounds of LSH layers.
        num_buckets: buckets of LSH layers; by default they follow from `max_sequence_length`.
        dropout: fraction of embeddings and branch outputs to drop in training.
        attention_dropout: fraction of attention probabilities to drop in training.
        reversible: whether the stack saves memory by recomputation.
        tie_embeddings: whether the head's kernel is the table of the token embedding. Not possible with
            `combine_streams="concatenate"`.
        head_bias: whether the head has a bias for each token.
        seed: non-negative integer from which each layer's own seed comes.
        dtype: dtype policy of all layers, for instance `"mixed_bfloat16"`. Logits and losses are float32.
        name: of the model.
        trainable: see `keras.Model`.
        **options: further arguments of `ReformerBackbone` (`local_round`, `redraw_rotations`, `positions`, ...).

    Call arguments:
        inputs: integers `[B, L]`, 1 <= L <= max_sequence_length; or a dict of them as `"ids"` and of `"mask"` and
            `"segment_ids"`.
        mask: boolean `[B, L]`, True for real tokens.
        segment_ids: integers `[B, L]`; tokens of different segments do not see each other.
        seed: int32 `[2]` = (base, step) or `[3]` = (base, step, row offset), decides all randomness of a training call.
        training: whether this is a training call.

    Raises:
        ValueError: for sizes that are not positive, unknown kinds, lists that do not fit, or tied embeddings with
            concatenated streams.

    Example:
        >>> model = ReformerCausalLM(257, 1024, 2, 32, 2, 16, 64, ["local", "lsh"])
        >>> model(np.zeros((1, 1000), "int32")).shape
        TensorShape([1, 1000, 257])
        >>> model.token_losses(np.zeros((1, 1000), "int32")).shape
        TensorShape([1, 999])
    """

    def __init__(
        self,
        vocabulary_size: int,
        max_sequence_length: int,
        num_layers: int,
        hidden_dim: int,
        num_heads: int,
        key_dim: int,
        intermediate_dim: int,
        attention_layers: Sequence[str],
        chunk_length: int = 64,
        local_chunk_length: int | None = None,
        num_hashes: int = 4,
        num_buckets: int | Sequence[int] | None = None,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        reversible: bool = True,
        tie_embeddings: bool = True,
        head_bias: bool = True,
        seed: int = 0,
        dtype: Any = None,
        name: str | None = None,
        trainable: bool = True,
        **options: Any,
    ):
        if "causal" in options:
            raise ValueError(f"causal is always True in ReformerCausalLM. Received: causal={options['causal']}")
        model_arguments.refuse_unknown([type(self), ReformerBackbone], options)
        backbone = ReformerBackbone(
            vocabulary_size,
            max_sequence_length,
            num_layers,
            hidden_dim,
            num_heads,
            key_dim,
            intermediate_dim,
            attention_layers,
            chunk_length=chunk_length,
            local_chunk_length=local_chunk_length,
            num_hashes=num_hashes,
            num_buckets=num_buckets,
            dropout=dropout,
            attention_dropout=attention_dropout,
            reversible=reversible,
            causal=True,
            seed=seed,
            dtype=dtype,
            name="backbone",
            **options,
        )
        super().__init__(backbone, tie_embeddings, head_bias, seed, name, trainable)

    def token_losses(
        self,
        ids: tf.Tensor,
        mask: tf.Tensor | None = None,
        training: bool = False,
        seed: tf.Tensor | None = None,
        segment_ids: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """The loss of predicting each token from the tokens before it, computed without holding all logits.

        Args:
            ids: integers `[B, L]`, 2 <= L <= max_sequence_length + 1.
            mask: boolean `[B, L]`, True for real tokens.
            training: whether this is a training call.
            seed: int32 `[2]` or `[3]`, decides all randomness of a training call.
            segment_ids: integers `[B, L]`; tokens of different segments do not see each other.

        Returns:
            float32 `[B, L - 1]`, nats; zero where the target is masked. In a graph, a token that is outside the
            vocabulary and not masked makes its own loss NaN, and the losses of the tokens that see it.

        Raises:
            ValueError: if `ids` is not `[B, L]` with two tokens or more, or too long; in eager mode for ids outside the
                vocabulary that are not masked.
        """
        hidden, targets, counted = self._hidden_and_targets(ids, mask, segment_ids, training, seed)
        losses = self.head.token_losses(hidden, targets)
        return losses if mask is None else tf.where(counted, losses, tf.zeros([], losses.dtype))

    def token_scores(
        self,
        ids: tf.Tensor,
        mask: tf.Tensor | None = None,
        training: bool = False,
        seed: tf.Tensor | None = None,
        segment_ids: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The losses of `token_losses`, and whether the likeliest token is the right one. For evaluations.

        Args:
            ids: as `token_losses` takes them, like all other arguments.
            mask: boolean `[B, L]`, True for real tokens.
            training: whether this is a training call.
            seed: int32 `[2]` or `[3]`, decides all randomness of a training call.
            segment_ids: integers `[B, L]`; tokens of different segments do not see each other.

        Returns:
            float32 `[B, L - 1]`, nats, and boolean `[B, L - 1]`; zero and False where the target is masked.

        Raises:
            ValueError: as `token_losses` does.

        Example:
            >>> model = ReformerCausalLM(257, 1024, 1, 16, 2, 8, 32, ["local"])
            >>> losses, right = model.token_scores(np.zeros((2, 100), "int32"))
            >>> losses.shape, right.shape
            (TensorShape([2, 99]), TensorShape([2, 99]))
        """
        return self.scores_of_tokens(*self._hidden_and_targets(ids, mask, segment_ids, training, seed))

    def _hidden_and_targets(
        self, ids: tf.Tensor, mask: Any, segment_ids: Any, training: bool, seed: Any
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The vectors of all tokens but the last, the token after each, and whether that token is real."""
        ids = as_ids(ids)
        if ids.shape[1] is not None and ids.shape[1] < 2:
            raise ValueError(f"ids must be integers [batch, length] with length >= 2. Received: shape {ids.shape}")
        inputs, targets, counted = None, ids[:, 1:], tf.ones_like(ids[:, 1:], tf.bool)
        if mask is not None:
            mask = arguments.per_token("mask", mask, tf.bool, ids)
            inputs, counted = mask[:, :-1], mask[:, 1:]
            # Ids under the mask may be anything.
            targets = tf.where(counted, targets, tf.zeros_like(targets))
        segments = None
        if segment_ids is not None:
            segments = arguments.per_token("segment_ids", segment_ids, tf.int32, ids)[:, :-1]
        seed = self.resolve_seed(seed, training, ids)
        return self.encode(ids[:, :-1], inputs, segments, seed, training), targets, counted

    def check_own_data(self, x: Any, y: Any, sample_weight: Any) -> None:
        if y is not None:
            raise ValueError(
                f"Without a loss in compile, fit takes ids alone: targets are shifted inside. Received: y={y}"
            )
        if sample_weight is not None:
            raise ValueError(
                'Without a loss in compile, fit takes no sample_weight: mask tokens by x={"ids": ids, "mask": mask}.'
                f" Received: sample_weight of type {type(sample_weight).__name__}"
            )

    def scored(self, inputs: dict[str, Any], y: Any, sample_weight: Any, training: bool) -> Scored:
        return self.scored_tokens(*self._hidden_and_targets(**inputs, training=training, seed=None))

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        max_new_tokens: int,
        sampler: str | samplers.Sampler | samplers.BeamSearch = "greedy",
        seed: int | Sequence[int] | None = None,
        stop_tokens: Sequence[int] = (),
        **options: Any,
    ) -> list[list[int]]:
        """Continues prompts: runs them once, then token after token with caches.

        The cost of a token does not grow with the context in LSH and local layers; a full layer attends to all of it.
        With `window="chunk"` in any layer each new token runs its prefix again, since a longer sequence changes the
        outputs of earlier tokens.

        Args:
            prompts: rows of at least one id, which may differ in length: lists, an array, a tensor, or a ragged tensor.
            max_new_tokens: how many ids to add to each row that no stop token ends.
            sampler: a sampler, or its name: `"greedy"`, the likeliest token; `"random"`, a draw from the distribution;
                `"top_k"`, `"top_p"`, a draw from the likeliest tokens; `"beam"`, the likeliest continuation found by
                beam search. See `reformer_tf.generation.samplers`.
            seed: of the draws, for all rows or one for each; drawn for each row if None. The result of a row depends on
                its prompt and its seed, not on the other rows.
            stop_tokens: ids that end a row; the first one to appear is the row's last id.
            **options: of a sampler that is passed by name: `temperature`, `k`, `p`, `repetition_penalty`; `num_beams`,
                `length_penalty`.

        Returns:
            The new ids, row by row.

        Raises:
            ValueError: for prompts that are no rows of ids, ids beyond the vocabulary, a result beyond
                `max_sequence_length`, an unknown sampler or option, seeds that are not one for each row, or a kind of
                attention that cannot decode.

        Example:
            >>> model = ReformerCausalLM(257, 1024, 1, 16, 2, 8, 32, ["local"])
            >>> rows = model.generate([[1, 2, 3], [4]], max_new_tokens=20, sampler="top_p", p=0.9, seed=1)
            >>> [len(row) for row in rows]
            [20, 20]
        """
        return generate.generate(self, prompts, max_new_tokens, sampler, seed, stop_tokens, **options)

    def stream(
        self,
        prompt: Sequence[int],
        max_new_tokens: int,
        sampler: str | samplers.Sampler = "greedy",
        seed: int | None = None,
        stop_tokens: Sequence[int] = (),
        **options: Any,
    ) -> Iterator[int]:
        """Continues a prompt as `generate` does, and yields each new id as soon as it is there.

        Args:
            prompt: ids, at least one.
            max_new_tokens: how many ids to add unless a stop token ends the text.
            sampler: as in `generate`, except `"beam"`, which decides all tokens at the end.
            seed: of the draws; drawn if None.
            stop_tokens: ids that end the text; the first one to appear is the last id.
            **options: of a sampler that is passed by name.

        Returns:
            An iterator of ids. `reformer_tf.generation.streamed_text.stream_text` turns them into text.

        Raises:
            ValueError: as `generate` does, at once.

        Example:
            >>> model = ReformerCausalLM(257, 1024, 1, 16, 2, 8, 32, ["local"])
            >>> tokens = []
            >>> for token in model.stream([1, 2, 3], max_new_tokens=20):
            ...     tokens.append(token)
            >>> len(tokens)
            20
        """
        return generate.stream(self, prompt, max_new_tokens, sampler, seed, stop_tokens, **options)
