"""Identifiers use the words of the field: none has a word of the table in CONTRIBUTING.md that went."""

import ast
import functools
import pathlib
import re

import pytest

from tools import imports

ROOT = pathlib.Path(__file__).resolve().parents[1]
TREES = ("reformer_tf", "trainer", "compilers", "benchmarks", "tools")
# Names that stay, each where it is: config fields, SentencePiece's pieces, and terms of the field.
EXCEPTIONS = {
    ("trainer/config.py", "outstanding_steps"),
    ("trainer/data/documents.py", "order"),  # of a source that draws each byte given those before it
    ("reformer_tf/models/seq2seq.py", "share_embeddings"),
    ("reformer_tf/tokenizers/sentencepiece_tokenizer.py", "piece"),
    ("reformer_tf/tokenizers/sentencepiece_tokenizer.py", "pieces"),
}
# Segments after which a word is the field's: `sorted_order`, `in_place`.
TERMS = {("sorted", "order"), ("sorted", "orders"), ("byte", "order"), ("in", "place"), ("sentence", "piece")}


def _segments(name: str) -> list[str]:
    return [part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


@functools.cache
def _identifiers(file: str) -> set[str]:
    """Names that a file gives: its own, and those of classes, functions, parameters, attributes and constants."""
    names = {pathlib.PurePosixPath(file).stem, *pathlib.PurePosixPath(file).parts[:-1]}
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


@functools.cache
def _words() -> list[tuple[str, str]]:
    """Words that went, each with the folder that this holds for."""
    table = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("| goes | where | take |")[1]
    words = []
    for line in table.splitlines()[2:]:
        goes, where, _ = (cell.strip() for cell in line.strip("|").split("|"))
        words += [(word, where.strip("`")) for word in re.findall(r"`([^`]+)`", goes)]
    return words


def _has(name: str, word: str) -> bool:
    """Whether a name has a word as segments; a word with a capital or `()` is a whole name."""
    if word != word.lower() or word.endswith("()"):
        return name.strip("_") == word.removesuffix("()")
    parts, wanted = _segments(name), word.split()
    found = [start for start in range(len(parts)) if parts[start : start + len(wanted)] == wanted]
    return any(tuple(parts[max(start - 1, 0) : start + 1]) not in TERMS for start in found)


def test_the_table_is_read():
    words = dict(_words())
    assert len(words) >= 30
    assert words["slopes"] == "" and words["execution"] == "trainer" and words["of()"] == ""


@pytest.mark.parametrize(
    ("name", "word", "has"),
    [
        ("d_slopes", "slopes", True),
        ("KeptConfig", "kept", True),
        ("_KEPT", "kept", True),
        ("unkept", "kept", False),
        ("hash_u", "u", True),
        ("sorted_order", "order", False),
        ("hash_order", "order", True),
        ("SignOfLife", "sign of life", True),
        ("sign_bit", "sign of life", False),
        ("Single", "Single", True),
        ("single", "Single", False),
        ("of", "of()", True),
        ("size_of", "of()", False),
        ("SentencePieceTokenizer", "piece", False),
        ("in_place", "place", False),
        ("outstanding_steps", "outstanding", True),
    ],
)
def test_segments_are_found(name, word, has):
    assert _has(name, word) == has


@pytest.mark.parametrize(("word", "where"), _words())
def test_no_identifier_has_a_word_that_went(word, where):
    files = [file for file in imports.python_files(ROOT) if file.startswith(TREES) and file.startswith(where)]
    assert files
    found = {(file, name) for file in files for name in _identifiers(file) if _has(name, word)}
    assert not found - EXCEPTIONS


def test_every_exception_is_there():
    assert all(name in _identifiers(file) for file, name in EXCEPTIONS)
