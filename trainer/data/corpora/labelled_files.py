"""Reads a file of labelled texts: `.jsonl`, `.csv` or `.tsv`, see `record_files`.

Each record has a string for each text, and a string or, in `.jsonl`, an integer for the label.
"""

from __future__ import annotations

from reformer_tf import local_paths
from trainer.data.corpora import record_files
from trainer.data.corpora.labelled_rows import LabelledRows


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
    if file.suffix not in record_files.SUFFIXES:
        endings = ", ".join(record_files.SUFFIXES)
        raise ValueError(f"{name} must name a file that ends in {endings}. Received: {path!r}")
    try:
        if not file.is_file():  # A pipe would wait for ever.
            raise ValueError(f"{name} must name an existing file. Received: {path!r}")
        content = file.read_bytes()
    except OSError as error:
        raise ValueError(f"{name} must name a file that can be read. Received: {path!r} ({error.strerror})") from error
    text_keys = [text_key, *([pair_key] if pair_key else [])]
    lines: list[int] = []
    texts: list[list[bytes]] = [[] for _ in text_keys]
    labels: list[str] = []
    for record in record_files.records(file, content, [*text_keys, label_key]):
        for key, found in zip(text_keys, texts, strict=True):
            found.append(record.text(key))
        labels.append(_label(record, label_key))
        lines.append(record.line)
    if not lines:
        raise ValueError(f"{name} must name a file with at least one labelled text. Received: {path!r} without any")
    return LabelledRows(texts[0], texts[1] if pair_key else None, labels, lambda index: f"{file}, line {lines[index]}")


def _label(record: record_files.Record, key: str) -> str:
    value = record.value(key)
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise record.error(f"the label {key!r} must be a string or an integer, not empty", repr(value))
    return str(value)
