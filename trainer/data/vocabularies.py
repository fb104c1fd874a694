"""Trains SentencePiece models (Kudo and Richardson, "SentencePiece", EMNLP 2018) on texts and pairs of texts.

Text is taken as it is: nothing is normalised, blanks, tabs and line ends stay, and characters that have no piece become
their UTF-8 bytes. So ids turned into text are the text again, except that the sign U+2581, by which SentencePiece
writes a blank, becomes a blank.

The first ids are fixed: 0 is the boundary before a document, 1 the end of a target, 2 stands for nothing, and the 256
bytes follow.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from reformer_tf import local_paths
from trainer import config as configs
from trainer.data.corpora import found_files, pair_files
from trainer.data.corpora.found_pairs import FoundPairs

MODEL_TYPES = ("unigram", "bpe")
FIXED_IDS = 3 + 256
"""Ids that do not depend on the text."""

_SHORT_LINE = 4096  # Bytes; SentencePiece has a least value, too.
_THREADS = 8  # The trained probabilities depend on it in their last digits.


@dataclasses.dataclass(frozen=True)
class Lines:
    """Lines of text to train on.

    Attributes:
        lines: The lines in UTF-8, none of them empty, without their ends.
        note: Where they are from, for people.
    """

    lines: list[bytes]
    note: str


def read(paths: Sequence[str], pattern: str = "*", source_key: str = "source", target_key: str = "target") -> Lines:
    """Reads lines of text files, and of both texts of pairs.

    Args:
        paths: Files, or folders, of which all files are read that match `pattern`. Those that end in one of
            `pair_files.SUFFIXES` are read as pairs.
        pattern: Which file names of folders to take.
        source_key: Key or column of the sources of pairs.
        target_key: That of the targets.

    Raises:
        ValueError: If a file cannot be read, there is no text, or an argument is not used.
    """
    reading, has_folder = _Reading(source_key, target_key), False
    for path in paths:
        root = local_paths.checked("`input`", path)
        is_folder = found_files.is_folder("`input`", root)
        try:
            if is_folder:
                reading.read_folder(root, pattern)
            else:
                reading.read_file(root)
        except OSError as error:
            raise ValueError(
                f"`input` must name files and folders that can be read. "
                f"Received: {str(error.filename or path)!r} ({error.strerror})"
            ) from error
        has_folder |= is_folder
    if not reading.lines:
        raise ValueError(f"`input` must hold text. Received: {', '.join(paths)}, with {reading.note()}")
    defaults = configs.default_data_config()
    has_keys, no_keys = reading.found.has_keys, "no file has keys or columns"
    for field, value, is_used, where in (
        ("pattern", pattern, has_folder, "`input` names no folder"),
        ("source_key", source_key, has_keys, no_keys),
        ("target_key", target_key, has_keys, no_keys),
    ):
        if value != defaults[field] and not is_used:
            raise ValueError(f"`{field}` must be {defaults[field]!r} where {where}. Received: {value!r}")
    return Lines(reading.lines, reading.note())


class _Reading:
    """Lines as they are read.

    Args:
        source_key: Key or column of the sources of pairs.
        target_key: That of the targets.
    """

    def __init__(self, source_key: str, target_key: str):
        self.lines: list[bytes] = []
        self.found = FoundPairs()
        self._keys = (source_key, target_key)
        self._names: list[str] = []
        self._left_out: dict[str, list[str]] = {}

    def read_folder(self, root: Path, pattern: str) -> None:
        for name in sorted(found_files.list_names(root, pattern, (), self._left_out)):
            reason = self._read(root / name)
            if reason:
                self._left_out.setdefault(reason, []).append(name)

    def read_file(self, file: Path) -> None:
        reason = self._read(file)
        if reason:
            raise ValueError(f"`input` must name files of text that can be read. Received: {str(file)!r}, {reason}")

    def note(self) -> str:
        described = found_files.FoundFiles(self._names, [], self._left_out)
        rest = f"; left out: {described.summary()}" if self._left_out else ""
        return f"{len(self.lines):,} line(s) in {len(self._names):,} file(s), {found_files.shown(self._names)}{rest}"

    def _read(self, file: Path) -> str:
        """Reads a file; returns the reason why it is none of text, or an empty string."""
        is_of_pairs = file.suffix in pair_files.SUFFIXES
        content, reason = found_files.read(file, any_bytes=is_of_pairs)
        if reason:
            return reason
        texts = [content]
        if is_of_pairs:
            first = len(self.found.pairs)
            pair_files.read_records_or_catalog(file, content, *self._keys, self.found)
            texts = [text for pair in self.found.pairs[first:] for text in pair]
        self.lines += (line for text in texts for line in text.splitlines() if line.strip())
        self._names.append(file.name)
        return ""


def choose(lines: Sequence[bytes], count: int, seed: int = 0) -> list[bytes]:
    """Chooses some of the lines at random, always the same ones for a seed.

    Args:
        lines: All lines.
        count: How many; 0 for all.
        seed: Seed of the choice.

    Raises:
        ValueError: If an argument is negative, or the seed has nothing to choose.

    Example:
        >>> choose([b"a", b"b", b"c"], count=2, seed=1)
        [b'a', b'c']
    """
    if count < 0 or not 0 <= seed < 2**32:
        raise ValueError(
            f"`sentences` must not be negative, and `seed` from 0 to 2**32 - 1. Received: {count} and {seed}"
        )
    if not count and seed:
        raise ValueError(f"`seed` must be 0 where `sentences` is 0, by which all lines are taken. Received: {seed}")
    if not 0 < count < len(lines):
        return list(lines)
    drawn = np.random.RandomState(seed).random_sample(len(lines))
    return [lines[index] for index in sorted(np.argsort(drawn, kind="stable")[:count])]


def train(lines: Sequence[bytes], size: int, model_type: str = "unigram", coverage: float = 0.9995) -> bytes:
    """Trains a SentencePiece model.

    Args:
        lines: Lines of text in UTF-8.
        size: Number of ids, the `FIXED_IDS` among them.
        model_type: `"unigram"` or `"bpe"`.
        coverage: Fraction of all characters whose kinds get pieces; rarer kinds become bytes.

    Returns:
        The content of the model's file, always the same for the same arguments.

    Raises:
        ValueError: If the package sentencepiece is not there, an argument is out of range, or the lines are too few or
            too varied for the size.
    """
    if model_type not in MODEL_TYPES:
        raise ValueError(f"`model_type` must be one of {', '.join(MODEL_TYPES)}. Received: {model_type!r}")
    if not 0.9 <= coverage <= 1.0:
        raise ValueError(f"`coverage` must be from 0.9 to 1. Received: {coverage}")
    if size <= FIXED_IDS:
        raise ValueError(f"`size` must be above {FIXED_IDS}, the ids that every model has. Received: {size}")
    try:
        import sentencepiece
    except ImportError as error:
        raise ValueError(
            "A vocabulary of SentencePiece takes the package sentencepiece, which the extra `sentencepiece` installs "
            '(pip install "reformer_tf[sentencepiece]"). Received: an environment without'
        ) from error
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=model,
            vocab_size=size,
            model_type=model_type,
            character_coverage=coverage,
            byte_fallback=True,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            max_sentence_length=max(_SHORT_LINE, *map(len, lines)),  # Longer ones would be left out in silence.
            pad_id=0,  # `SentencePieceTokenizer` has 0 as its boundary.
            eos_id=1,
            unk_id=2,
            bos_id=-1,
            num_threads=_THREADS,
            minloglevel=2,
        )
    except RuntimeError as error:
        said = str(error).rpartition("] ")[2].partition(" Increase ")[0]  # By flags of another command.
        raise ValueError(f"`size` and `coverage` must fit the text: {said} Received: {size} and {coverage}") from error
    return model.getvalue()
