"""The data of a run: a corpus by name, and datasets in which the batch of step s is a pure function of (seed, s)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import ml_collections
import tensorflow as tf

from reformer_tf.tokenizers import Tokenizer
from trainer import config as configs
from trainer.data import corpora, numbered_documents, segments
from trainer.data.corpora import SOURCES, Corpus, Scored, corpus, validation
from trainer.data.documents import Documents
from trainer.data.example_set import ExampleSet
from trainer.data.examples import LAYOUTS, Examples
from trainer.data.id_documents import IdDocuments
from trainer.data.labelled_documents import LabelledDocuments
from trainer.data.length_groups import grouped_indices
from trainer.data.pair_documents import PairDocuments
from trainer.data.sharding import Shard
from trainer.data.shuffle import random_bits, shuffled_indices

__all__ = [
    "Corpus",
    "ExampleSet",
    "Examples",
    "Scored",
    "cut_examples",
    "load_corpus",
    "load_scored",
    "train_dataset",
    "validation_dataset",
]

# Contents of a source -> class of the documents, and of what is labelled.
_KINDS: dict[str, tuple[type, ...]] = {
    corpora.TEXT: (Documents,),
    corpora.IDS: (IdDocuments,),
    corpora.LABELLED_TEXT: (LabelledDocuments, Documents),
    corpora.LABELLED_IDS: (LabelledDocuments, IdDocuments),
    corpora.TEXT_PAIRS: (PairDocuments,),
}

# AutoGraph finds nothing to translate in the functions of a dataset, but its search takes longer than all the rest.
_UNTRANSLATED = tf.autograph.experimental.do_not_convert


def load_corpus(config: Mapping[str, Any] | ml_collections.ConfigDict) -> Corpus:
    """Loads the documents that `config.data` names.

    Args:
        config: `config.data`; fields that are missing take their defaults.

    Returns:
        The corpus, with `train` and `validation` documents: the same bytes at every call.

    Raises:
        ValueError: if a field is unknown or out of range, or if what it names cannot be read or is empty. The message
            names the field, the rule and what was received.
    """
    resolved = _resolve(config)
    source = SOURCES[resolved.name]
    loaded = _load(resolved)
    if source.contents != corpora.TEXT:
        return loaded
    size = loaded.validation.num_bytes
    # An older run that has so little to validate on goes on.
    if size <= 1 and validation.resolve_rule(resolved) != validation.WHOLE_DOCUMENTS:
        raise ValueError(
            "config.data must leave more than one byte to validate on: a larger config.data.validation_fraction, or "
            "documents of their own (config.data.validation_path, config.data.tfds_validation_split). "
            f"Received: {size} of {size + loaded.train.num_bytes:,} bytes with config.data.validation_fraction="
            f"{resolved.validation_fraction}"
        )
    return loaded


def load_scored(config: Mapping[str, Any] | ml_collections.ConfigDict, overrides: Collection[str] = ()) -> Scored:
    """Loads the documents to score a model on, and no more of the corpus than that takes.

    Args:
        config: `config.data`.
        overrides: names of the fields that were set anew, instead of the run's. All documents that they name are
            scored, unless they are the rule or the fraction that choose the validation documents.

    Returns:
        The documents that `overrides` name; the validation documents by default.

    Raises:
        ValueError: as `load_corpus` does.
    """
    resolved = _resolve(config)
    source = SOURCES[resolved.name]
    if source.scored is not None:
        return source.scored(resolved, overrides)
    return corpus.validation_part(_load(resolved))


def _load(resolved: ml_collections.ConfigDict) -> Corpus:
    """Loads a corpus and checks that it is what its source says, which for one's own sources nothing else does."""
    source = SOURCES[resolved.name]
    loaded, kinds = source.load(resolved), _KINDS[source.contents]
    parts = (loaded.train, loaded.validation) if isinstance(loaded, Corpus) else ()
    if not parts or not all(isinstance(each, kind) for part in parts for each, kind in _with_kinds(part, kinds)):
        received = ", ".join(_describe(part) for part in parts) or type(loaded).__name__
        expected = " of ".join(kind.__name__ for kind in kinds)
        raise ValueError(
            f"config.data.name must name a source of {source.contents} that returns a Corpus of two {expected}. "
            f"Received: {resolved.name!r}, which returns {received}"
        )
    return loaded


def _with_kinds(part: Any, kinds: tuple[type, ...]) -> list[tuple[Any, type]]:
    """A part of a corpus and what is labelled in it, each with the class that it must have."""
    return [(part, kinds[0]), *((documents, kinds[-1]) for documents in _labelled(part))]


def _labelled(part: Any) -> list[Any]:
    """The documents that have labels, and the second documents of pairs."""
    inside = (part.documents, part.pairs) if isinstance(part, LabelledDocuments) else ()
    return [documents for documents in inside if documents is not None]


def _describe(part: Any) -> str:
    inside = " and ".join(type(documents).__name__ for documents in _labelled(part))
    return f"{type(part).__name__}{f' of {inside}' if inside else ''}"


def _resolve(config: Mapping[str, Any] | ml_collections.ConfigDict) -> ml_collections.ConfigDict:
    """Checks `config.data` and adds the defaults of missing fields."""
    resolved = configs.default_data_config()
    for field, value in dict(config).items():
        if field not in resolved:
            raise ValueError(f"config.data has the fields {', '.join(sorted(resolved))}. Received: {field!r}")
        kind = type(resolved[field])
        if not isinstance(value, kind):
            raise ValueError(f"config.data.{field} must be of type {kind.__name__}. Received: {value!r}")
        resolved[field] = value
    corpora.import_module(resolved.module)
    if resolved.name not in SOURCES:
        raise ValueError(f"config.data.name must be one of {', '.join(SOURCES)}. Received: {resolved.name!r}")
    if resolved.layout not in LAYOUTS:
        raise ValueError(f"config.data.layout must be one of {', '.join(LAYOUTS)}. Received: {resolved.layout!r}")
    if resolved.train_windows < 0:
        raise ValueError(f"config.data.train_windows must not be negative. Received: {resolved.train_windows!r}")
    if not 0.0 < resolved.validation_fraction < 1.0:
        raise ValueError(
            "config.data.validation_fraction must lie between 0 and 1, both excluded. "
            f"Received: {resolved.validation_fraction!r}"
        )
    if resolved.validation_rule not in ("", *validation.RULES):
        raise ValueError(
            f"config.data.validation_rule must be one of {', '.join(validation.RULES)}, or empty. "
            f"Received: {resolved.validation_rule!r}"
        )
    return resolved


def cut_examples(
    config: ml_collections.ConfigDict,
    tokenizer: Tokenizer | None,
    documents: Any,
    count: int = 0,
    kind: Callable[..., Examples] = Examples,
) -> Examples:
    """Cuts documents of a corpus into the examples of a run.

    Args:
        config: the config of the run.
        tokenizer: turns the documents into ids; None for `IdDocuments`.
        documents: the documents.
        count: number of full examples; 0 for all examples, short ones too.
        kind: makes the examples; has the arguments of `Examples`.

    Returns:
        The examples.

    Raises:
        ValueError: if there is nothing to cut, or if documents must be told apart and their ids do not allow it.
    """
    if tokenizer is not None:
        documents = numbered_documents.number(documents, tokenizer)
        if segments.are_wanted(config.data):
            segments.check_boundaries(documents, tokenizer)
    return kind(documents, config.train.sequence_length, config.data.layout, count, config.data.length_buckets)


def train_dataset(
    examples: ExampleSet,
    batch_size: int,
    seed: int = 0,
    start_step: int = 0,
    shard: Shard | None = None,
    group_by_length: bool = False,
) -> tf.data.Dataset:
    """Makes an infinite dataset of batches, shuffled anew each epoch.

    Row r of step s is example `s * batch_size + r` of an endless list of epochs, each a permutation of all examples.
    The permutation is computed from (seed, epoch), so the dataset needs no state: starting at any step is instant,
    and every example comes exactly once an epoch, also where a batch holds the end of one epoch and the start of the
    next. For the same reason each of several processes can read only its own rows of each batch. What is random in a
    row is computed from the seed and the number of the row in that list.

    Args:
        examples: the examples, N of them.
        batch_size: B, the global batch size.
        seed: seed of the permutations.
        start_step: the step whose batch comes first.
        shard: which rows to read: each element has the b = B / replicas rows of one of its replicas, one replica after
            another. By default each element has all B rows.
        group_by_length: whether a batch holds examples of similar length: see `length_groups`, which permutes the
            examples of each epoch as well.

    Returns:
        An infinite dataset of what `gather` of the examples gives, for a language model ids `[b, L + 1]` int32 and mask
        `[b, L + 1]` bool. All dimensions are static, except L if the examples have length buckets.

    Raises:
        ValueError: if `batch_size` or `start_step` is out of range.

    Example:
        >>> from trainer.data.examples import Examples
        >>> dataset = train_dataset(Examples([b"abcdefgh"], 4), batch_size=2, seed=0)
        >>> ids, mask = next(iter(dataset))
        >>> ids.shape
        TensorShape([2, 5])
    """
    _check_batch_size(batch_size)
    if start_step < 0:
        raise ValueError(f"start_step must not be negative. Received: start_step={start_step!r}")
    shard, global_rows = shard or Shard(), tf.range(batch_size, dtype=tf.int64)
    sizes = tf.constant(examples.sizes, tf.int64) if group_by_length else None

    @_UNTRANSLATED
    def cut(element: tf.Tensor) -> tuple[tf.Tensor, ...]:
        step, rows = shard.rows(element, batch_size)
        first = step * batch_size
        if sizes is None:
            indices = shuffled_indices(first + global_rows, len(examples), seed)
        else:
            indices = grouped_indices(step, batch_size, sizes, seed)
        return examples.gather(tf.gather(indices, rows), among=indices, draws=random_bits(first + rows, seed))

    return _finish(tf.data.Dataset.counter(start_step * shard.count, dtype=tf.int64).map(cut), shard)


def validation_dataset(examples: ExampleSet, batch_size: int, shard: Shard | None = None) -> tf.data.Dataset:
    """Makes a dataset of all examples, once and always in the same order.

    Args:
        examples: the examples, N of them.
        batch_size: B, the global batch size.
        shard: which rows to read, as for `train_dataset`.

    Returns:
        A dataset of `ceil(N / B)` batches as those of `train_dataset`. The last one is filled up with rows that are all
        masked.

    Raises:
        ValueError: if `batch_size` is out of range.
    """
    _check_batch_size(batch_size)
    shard, global_rows = shard or Shard(), tf.range(batch_size, dtype=tf.int64)

    @_UNTRANSLATED
    def cut(element: tf.Tensor) -> tuple[tf.Tensor, ...]:
        batch, rows = shard.rows(element, batch_size)
        numbers = batch * batch_size + global_rows
        indices = tf.where(numbers < len(examples), numbers, -1)
        return examples.gather(tf.gather(indices, rows), among=indices)

    batches = -(-len(examples) // batch_size)
    return _finish(tf.data.Dataset.range(batches * shard.count).map(cut), shard)


def _check_batch_size(batch_size: int) -> None:
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"batch_size must be a positive integer. Received: batch_size={batch_size!r}")


def _finish(dataset: tf.data.Dataset, shard: Shard) -> tf.data.Dataset:
    options = tf.data.Options()
    options.deterministic = True
    return dataset.prefetch(2 * shard.count).with_options(options)
