"""Reads files of records: `.jsonl`, `.csv` or `.tsv`, in UTF-8, with or without a byte order mark.

- `.jsonl`: a JSON object a line.
- `.csv`, `.tsv`: columns between commas or tabs. The first line names them. Fields with quotes, commas, tabs or line
  ends in them stand in double quotes, as the module csv writes them.

Every error names the file and the line.
"""

from __future__ import annotations

import codecs
import csv
import dataclasses
import io
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer import json_text

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
SUFFIXES = (".jsonl", *_DELIMITERS)


@dataclasses.dataclass(frozen=True)
class Record:
    """One record of a file.

    Attributes:
        file: The file.
        line: Number of its first line, from 1.
        fields: Values by key or column.
    """

    file: Path
    line: int
    fields: Mapping[str, Any]

    def value(self, key: str) -> Any:
        """The value of a key.

        Raises:
            ValueError: If there is none.
        """
        if key not in self.fields:
            raise self.error(f"a line must have the key {key!r}", ", ".join(map(repr, self.fields)) or "none")
        return self.fields[key]

    def text(self, key: str) -> bytes:
        """The text of a key in UTF-8.

        Raises:
            ValueError: If there is none.
        """
        value = self.value(key)
        if not isinstance(value, str):
            raise self.error(f"{key!r} must be a string", repr(value))
        try:
            return value.encode("utf-8")
        except UnicodeEncodeError as error:  # JSON may hold halves of characters.
            raise self.error(f"{key!r} must be text", ascii(value[error.start : error.end])) from error

    def error(self, rule: str, received: str) -> ValueError:
        """Makes an error about this record."""
        return line_error(self.file, self.line, rule, received)


def records(file: Path, content: bytes, keys: Sequence[str]) -> Iterator[Record]:
    """Reads the records of a file.

    Args:
        file: The file; the end of its name, one of `SUFFIXES`, says how it is read.
        content: What it holds.
        keys: The columns that there must be.

    Raises:
        ValueError: If a line breaks a rule.
    """
    text = _decoded(file, content.removeprefix(codecs.BOM_UTF8))
    return _json_lines(file, text) if file.suffix == ".jsonl" else _columns(file, text, keys)


def line_error(file: Path, line: int, rule: str, received: str) -> ValueError:
    """Makes an error about a line of a file."""
    return ValueError(f"{file}, line {line}: {rule}. Received: {received}")


def _decoded(file: Path, content: bytes) -> str:
    zero = content.find(b"\0")
    if zero >= 0:
        raise line_error(file, content.count(b"\n", 0, zero) + 1, "there must be no NUL byte", "one")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise line_error(file, line, "text must be UTF-8", repr(content[error.start : error.end])) from error


def _json_lines(file: Path, text: str) -> Iterator[Record]:
    for line, content in enumerate(text.split("\n"), 1):
        if content.strip():
            try:
                yield Record(file, line, json_text.parse_object(content))
            except ValueError as error:
                raise line_error(file, line, "a line must be a JSON object", str(error)) from error


def _columns(file: Path, text: str, keys: Sequence[str]) -> Iterator[Record]:
    limit = csv.field_size_limit(sys.maxsize)  # The module's own, 128 KiB, is less than many texts have.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_DELIMITERS[file.suffix], strict=True)
    try:
        header = next(reader, [])
        for key in keys:
            if header.count(key) != 1:
                rule = f"the first line must have a column {key!r}, once"
                raise line_error(file, 1, rule, ", ".join(map(repr, header)) or "nothing")
        begins = reader.line_num + 1
        for fields in reader:
            if fields and len(fields) != len(header):
                rule = f"a line must have as many fields as the first, {len(header)}"
                raise line_error(file, begins, rule, str(len(fields)))
            if fields:
                yield Record(file, begins, dict(zip(header, fields, strict=True)))
            begins = reader.line_num + 1
    except csv.Error as error:
        rule = "fields must be quoted as the module csv does it"
        raise line_error(file, reader.line_num, rule, str(error)) from error
    finally:
        csv.field_size_limit(limit)
