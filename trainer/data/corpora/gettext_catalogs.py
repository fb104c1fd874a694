"""Reads pairs of texts from gettext catalogues, `.po` and `.mo`, of which free software has many in many languages.

The package babel reads the files; the extra `translation` installs it.

A message's id is the source, and its translation the target. Messages that are not translated, that are obsolete, or
whose translation is marked as fuzzy are left out, and so is the header. Of a message with plural forms the catalogue's
own expression says which form is for which number:

- The first id goes with the form for 1, the plural id with the form for 2, in languages with two forms.
- In languages with one form, the plural id goes with it; the first id, for one thing alone, with none.
- In languages with more forms, the first id goes with the form for 1. For the plural id it depends on the number which
  form is right, so it is left out.
"""

from __future__ import annotations

import codecs
import gettext
import io
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainer.data.corpora import gettext_headers, record_files
from trainer.data.corpora.found_pairs import FoundPairs

SUFFIXES = (".po", ".mo")
NOT_TRANSLATED = "not translated"
FUZZY = "fuzzy"
OBSOLETE = "obsolete"
AMBIGUOUS = "plural whose form depends on the number"

# What babel raises for damaged files, beside its own error.
_DAMAGES = (ValueError, LookupError, TypeError, AssertionError, OSError, struct.error)


def read(file: Path, content: bytes, found: FoundPairs) -> None:
    """Reads a catalogue. Messages that differ only in their context are one pair.

    Args:
        file: The file; the end of its name, one of `SUFFIXES`, says how it is read.
        content: What it holds.
        found: Takes the pairs.

    Raises:
        ValueError: If the package babel is not there, or the file is damaged.
    """
    catalog = _parse_po(file, content) if file.suffix == ".po" else _parse_mo(file, content)
    try:
        form_for = gettext.c2py(catalog.plural_expr)
        one, two = form_for(1), form_for(2)
    except ValueError as error:
        rule = "the plural forms in the header must be an expression of n"
        raise ValueError(f"{file}: {rule}. Received: {catalog.plural_expr!r}") from error
    found.left_out.update({OBSOLETE: len(catalog.obsolete)} if catalog.obsolete else {})
    for message in catalog:
        if not message.id:
            continue  # The header.
        if message.fuzzy:
            found.left_out[FUZZY] += 1
        elif isinstance(message.id, str):
            _take(found, message.id, message.string)
        else:
            _take_plural(found, message.id, message.string, one, two)


def _take(found: FoundPairs, source: str, target: str) -> None:
    if target:
        found.add_once(source.encode("utf-8"), target.encode("utf-8"))
    else:
        found.left_out[NOT_TRANSLATED] += 1


def _take_plural(found: FoundPairs, ids: Sequence[str], forms: Sequence[str], one: int, two: int) -> None:
    """Takes both ids of a message, each with its form; see the module."""
    singular, plural = ids
    for source, form, is_clear in ((singular, one, len(forms) > 1), (plural, two, len(forms) <= 2)):
        if is_clear:
            _take(found, source, forms[form] if form < len(forms) else "")
        else:
            found.left_out[AMBIGUOUS] += 1


def _parse_po(file: Path, content: bytes) -> Any:
    pofile = _babel().pofile
    content = content.removeprefix(codecs.BOM_UTF8)
    try:
        return pofile.read_po(io.BytesIO(gettext_headers.readable_po(content)), abort_invalid=True)
    except pofile.PoFileError as error:
        said = str(error).removesuffix(f" on {error.lineno}")
        raise _line_error(file, error.lineno + 1, said) from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, content.find(error.object)) + 1
        raise _line_error(file, line, str(error)) from error
    except _DAMAGES as error:
        raise _damaged(file, error) from error


def _parse_mo(file: Path, content: bytes) -> Any:
    mofile = _babel().mofile
    try:
        return mofile.read_mo(io.BytesIO(gettext_headers.readable_mo(content)))
    except _DAMAGES as error:
        raise _damaged(file, error) from error


def _line_error(file: Path, line: int, received: str) -> ValueError:
    return record_files.line_error(file, line, "a catalogue must be one of gettext", received)


def _damaged(file: Path, error: Exception) -> ValueError:
    return ValueError(f"{file}: a catalogue must be one of gettext. Received: {type(error).__name__}: {error}")


def _babel() -> Any:
    try:
        import babel.messages.mofile
        import babel.messages.pofile
    except ImportError as error:
        raise ValueError(
            "Catalogues of gettext take the package babel, which the extra `translation` installs "
            '(pip install "reformer_tf[translation]"). Received: an environment without'
        ) from error
    return babel.messages
