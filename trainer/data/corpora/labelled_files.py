"""Reads a file of labelled texts: `.jsonl`, `.csv` or `.tsv`, in UTF-8, with or without a byte order mark.

- `.jsonl`: a JSON object a line, with a string for each text, and a string or an integer for the label.
- `.csv`, `.tsv`: columns between commas or tabs. The first line names them. Fields with quotes, commas, tabs or line
  ends in them stand in double quotes, as the module csv writes them.

Every error names the file and the line.
"""

from __future__ import annotations

import codecs
import csv
import io
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from reformer_tf import local_paths
from trainer import json_text
from trainer.data.corpora.labelled_rows import LabelledRows

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
SUFFIXES = (".jsonl", *_DELIMITERS)
_Entry = tuple[int, Mapping[str, Any]]  # Number of its line, and its fields.


def read(name: str, path: str, text_key: str, pair_key: str, label_key: str) -> LabelledRows:
    """Reads a file.

    Args:
        name: The field of the config that names the file, for messages.
        path: The file.
        text_key: Key or column of the texts.
        pair_key: That of the second texts; empty if there are none.
        label_key: That of the labels.

    Raises:
        ValueError: If the file cannot be read, or a line breaks a rule.
    """
    file = local_paths.checked(name, path)
    if file.suffix not in SUFFIXES:
        raise ValueError(f"{name} must name a file that ends in {', '.join(SUFFIXES)}. Received: {path!r}")
    try:
        if not file.is_file():  # A pipe would wait for ever.
            raise ValueError(f"{name} must name an existing file. Received: {path!r}")
        content = file.read_bytes().removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        raise ValueError(f"{name} must name a file that can be read. Received: {path!r} ({error.strerror})") from error
    text = _decoded(file, content)
    keys = [text_key, *([pair_key] if pair_key else []), label_key]
    entries = _json_lines(file, text) if file.suffix == ".jsonl" else _columns(file, text, keys)
    lines: list[int] = []
    texts: list[list[bytes]] = [[] for _ in keys[:-1]]
    labels: list[str] = []
    for line, fields in entries:
        for key, found in zip(keys, texts, strict=False):
            found.append(_text(file, line, fields, key))
        labels.append(_label(file, line, fields, label_key))
        lines.append(line)
    if not lines:
        raise ValueError(f"{name} must name a file with at least one labelled text. Received: {path!r} without any")
    return LabelledRows(texts[0], texts[1] if pair_key else None, labels, lambda index: f"{file}, line {lines[index]}")


def _decoded(file: Path, content: bytes) -> str:
    zero = content.find(b"\0")
    if zero >= 0:
        raise _error(file, content.count(b"\n", 0, zero) + 1, "there must be no NUL byte", "one")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _error(file, line, "text must be UTF-8", repr(content[error.start : error.end])) from error


def _json_lines(file: Path, text: str) -> Iterator[_Entry]:
    for line, content in enumerate(text.split("\n"), 1):
        if content.strip():
            try:
                yield line, json_text.parse_object(content)
            except ValueError as error:
                raise _error(file, line, "a line must be a JSON object", str(error)) from error


def _columns(file: Path, text: str, keys: list[str]) -> Iterator[_Entry]:
    limit = csv.field_size_limit(sys.maxsize)  # The module's own, 128 KiB, is less than many texts have.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_DELIMITERS[file.suffix], strict=True)
    try:
        header = next(reader, [])
        for key in keys:
            if header.count(key) != 1:
                rule = f"the first line must have a column {key!r}, once"
                raise _error(file, 1, rule, ", ".join(map(repr, header)) or "nothing")
        begins = reader.line_num + 1
        for fields in reader:
            if fields and len(fields) != len(header):
                rule = f"a line must have as many fields as the first, {len(header)}"
                raise _error(file, begins, rule, str(len(fields)))
            if fields:
                yield begins, dict(zip(header, fields, strict=True))
            begins = reader.line_num + 1
    except csv.Error as error:
        raise _error(file, reader.line_num, "fields must be quoted as the module csv does it", str(error)) from error
    finally:
        csv.field_size_limit(limit)


def _text(file: Path, line: int, fields: Mapping[str, Any], key: str) -> bytes:
    value = _value(file, line, fields, key)
    if not isinstance(value, str):
        raise _error(file, line, f"{key!r} must be a string", repr(value))
    try:
        return value.encode("utf-8")
    except UnicodeEncodeError as error:  # JSON may hold halves of characters.
        raise _error(file, line, f"{key!r} must be text", ascii(value[error.start : error.end])) from error


def _label(file: Path, line: int, fields: Mapping[str, Any], key: str) -> str:
    value = _value(file, line, fields, key)
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise _error(file, line, f"the label {key!r} must be a string or an integer, not empty", repr(value))
    return str(value)


def _value(file: Path, line: int, fields: Mapping[str, Any], key: str) -> Any:
    if key not in fields:
        raise _error(file, line, f"a line must have the key {key!r}", ", ".join(map(repr, fields)) or "none")
    return fields[key]


def _error(file: Path, line: int, rule: str, received: str) -> ValueError:
    return ValueError(f"{file}, line {line}: {rule}. Received: {received}")
