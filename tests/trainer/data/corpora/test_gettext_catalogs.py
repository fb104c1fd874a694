"""Pairs of catalogues of gettext: which messages are taken, which are left out and why, and damaged files."""

import io
import pathlib
import struct
import sys
from collections import Counter

import pytest
from babel.messages import mofile, pofile

from trainer.data import datasets as data
from trainer.data.corpora import gettext_catalogs, gettext_headers
from trainer.data.corpora.found_pairs import FoundPairs

HEADER = """msgid ""
msgstr ""
"Content-Type: text/plain; charset=UTF-8\\n"
"Plural-Forms: nplurals={}; plural={};\\n"

"""
GERMAN = (
    HEADER.format(2, "(n != 1)")
    + """#: main.c:3
msgid "Open\\tthe \\"file\\"\\n"
msgstr "Öffne die "
"„Datei“\\n"

msgctxt "menu"
msgid "Quit"
msgstr "Beenden"

msgctxt "button"
msgid "Quit"
msgstr "Beenden"

msgctxt "verb"
msgid "Quit"
msgstr "Verlassen"

msgid "New"
msgstr ""

#, fuzzy, c-format
msgid "%d errors"
msgstr "%d Warnungen"

msgid "One file"
msgid_plural "%d files"
msgstr[0] "Eine Datei"
msgstr[1] "%d Dateien"

msgid "One folder"
msgid_plural "%d folders"
msgstr[0] ""
msgstr[1] "%d Ordner"

#~ msgid "Old"
#~ msgstr "Alt"
"""
)
PAIRS = [
    ('Open\tthe "file"\n', "Öffne die „Datei“\n"),
    ("Quit", "Beenden"),
    ("Quit", "Verlassen"),
    ("One file", "Eine Datei"),
    ("%d files", "%d Dateien"),
    ("%d folders", "%d Ordner"),
]


def _read(content, name="a.po"):
    found = FoundPairs()
    gettext_catalogs.read(pathlib.Path(name), content.encode() if isinstance(content, str) else content, found)
    return [(source.decode(), target.decode()) for source, target in found.pairs], found.left_out


def _compiled(text):
    """Compiles a catalogue, without the half translated message, which babel would fill up with its ids."""
    text = "\n\n".join(part for part in text.split("\n\n") if "folder" not in part and "Old" not in part)
    compiled = io.BytesIO()
    mofile.write_mo(compiled, pofile.read_po(io.BytesIO(text.encode())))
    return compiled.getvalue()


def test_messages_with_one_translation_that_is_sure():
    pairs, left_out = _read("\ufeff" + GERMAN)
    assert pairs == PAIRS
    assert left_out == Counter({"not translated": 2, "fuzzy": 1, "obsolete": 1, "repeated": 1})


def test_a_compiled_catalogue_has_the_same():
    pairs, left_out = _read(_compiled(GERMAN), "a.mo")
    assert Counter(pairs) == Counter(PAIRS[:-1])
    assert left_out == {"repeated": 1}  # The others are not there.


@pytest.mark.parametrize(
    ("count", "expression", "taken"),
    [
        (1, "0", ["things=0"]),
        (2, "n != 1", ["thing=0", "things=1"]),
        (2, "n > 1", ["thing=0", "things=1"]),
        (2, "n == 1", ["thing=1", "things=0"]),
        (3, "n%10==1 && n%100!=11 ? 0 : n%10>=2 && n%10<=4 && (n%100<10 || n%100>=20) ? 1 : 2", ["thing=0"]),
        (6, "n==0 ? 0 : n==1 ? 1 : n==2 ? 2 : n%100>=3 && n%100<=10 ? 3 : n%100>=11 ? 4 : 5", ["thing=1"]),
    ],
)
@pytest.mark.parametrize("compiled", [False, True])
def test_plural_forms_of_languages(count, expression, taken, compiled):
    """Japanese, German, French, one that counts its forms the other way, Russian and Arabic."""
    forms = "\n".join(f'msgstr[{number}] "{number}"' for number in range(count))
    text = HEADER.format(count, expression) + f'msgid "thing"\nmsgid_plural "things"\n{forms}\n'
    pairs, left_out = _read(_compiled(text), "a.mo") if compiled else _read(text)
    assert [f"{source}={target}" for source, target in pairs] == taken
    assert left_out == ({} if len(taken) == 2 else {"plural whose form depends on the number": 1})


ODD = (
    '# Jürgen\nmsgid ""\nmsgstr ""\n"Last-Translator: Jürgen\\n"\n"PO-Revision-Date: 2004-05-20 07:29:00 CET\\n"\n'
    '"POT-Creation-Date: Mon Feb 19 22:49:21 CST 2001\\n"\n"Language: {}\\n"\n'
    '"Content-Type: text/plain; charset=ISO-8859-1\\n"\n"Plural-Forms: {}\\n"\n\n'
    'msgid "PO-Revision-Date: today"\nmsgstr "Größe"\n\nmsgid "a"\nmsgid_plural "b"\nmsgstr[0] "c"\n'
)


@pytest.mark.parametrize("language", ["de_DE", "Deutsch (de)", ""])
def test_headers_that_babel_does_not_read(language):
    text = ODD.format(language, "nplurals=INTEGER; plural=EXPRESSION;")
    pairs, left_out = _read(text.encode("iso-8859-1"))
    assert pairs == [("PO-Revision-Date: today", "Größe"), ("a", "c")]
    assert left_out == {"not translated": 1}
    with pytest.raises(ValueError, match="^a.po, line 17: .* Received: Unknown or misformatted keyword"):
        _read(text.encode("iso-8859-1") + b"what is\n")


@pytest.mark.parametrize("byte_order", ["<", ">"])
def test_headers_of_compiled_catalogues(byte_order):
    """Written by hand, as other programs write them: babel would correct the header."""
    header = b"PO-Revision-Date: soon\nLast-Translator: J\xfcrgen\nContent-Type: text/plain; charset=ISO-8859-1\n"
    strings = [b"", b"day", header, b"T\xe4g"]
    tables = 28 + 16 * 2
    starts = [tables + sum(len(string) + 1 for string in strings[:index]) for index in range(4)]
    content = struct.pack(f"{byte_order}7I", 0x950412DE, 0, 2, 28, 44, 0, 0)
    content += b"".join(struct.pack(f"{byte_order}2I", len(s), at) for s, at in zip(strings, starts, strict=True))
    pairs, _ = _read(content + b"\0".join([*strings, b"\n"]), "a.mo")
    assert pairs == [("day", "Täg")]


def test_a_header_stays_as_long_as_it_was():
    for content in (GERMAN.encode(), ODD.format("???", "").encode(), b'msgid "a"\nmsgstr "b"\n', b""):
        readable = gettext_headers.readable_po(content)
        assert (len(readable), readable.count(b"\n")) == (len(content), content.count(b"\n"))
    assert gettext_headers.readable_po(GERMAN.encode()) == GERMAN.encode()
    for content in (b"", b"\xde\x12\x04\x95", _compiled(GERMAN)[:40]):
        assert gettext_headers.readable_mo(content) == content


def test_a_folder_of_catalogues(tmp_path):
    (tmp_path / "de").mkdir()
    (tmp_path / "de" / "a.po").write_text(GERMAN)
    (tmp_path / "de" / "a.mo").write_bytes(_compiled(GERMAN))
    (tmp_path / "b.po").write_text(HEADER.format(2, "n != 1") + 'msgid "Quit"\nmsgstr "Schluss"\n')
    config = {"name": "pairs", "path": str(tmp_path), "validation_fraction": 0.2}
    corpus = data.load_corpus(config)
    rows = [*zip(corpus.train.sources, corpus.train.targets, strict=True)]
    rows += [*zip(corpus.validation.sources, corpus.validation.targets, strict=True)]
    assert Counter(rows) == Counter((a.encode(), b.encode()) for a, b in [*PAIRS, ("Quit", "Schluss")])
    assert corpus.notes[0] == (
        f"{tmp_path}: 3 file(s), 'b.po', 'de/a.mo', 'de/a.po', with 7 pair(s); left out: fuzzy: 1; "
        "not translated: 2; obsolete: 1; repeated: 7."
    )
    with pytest.raises(ValueError, match=r"source_key must be 'source' where no file ends in .jsonl.* Received: 'en'"):
        data.load_corpus({**config, "source_key": "en"})


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.po",
            'msgid "a"\nmsgid "b"\n',
            "^a.po, line 1: a catalogue must be one of gettext. Received: missing msgstr",
        ),
        ("a.po", 'msgid "a"\nmsgstr "b"\nwhat is\n', "^a.po, line 3: .* Received: Unknown or misformatted keyword"),
        (
            "a.po",
            HEADER.format(2, "n").encode() + b'msgid "a"\nmsgstr "\xff"\n',
            "^a.po, line 7: .* 'utf-8' codec can't",
        ),
        (
            "a.po",
            HEADER.format(2, "n !! 1"),
            "^a.po: the plural forms .* must be an expression of n. Received: 'n !! 1",
        ),
        ("a.po", HEADER.format("two", "n"), "^a.po: a catalogue must be one of gettext. Received: ValueError: invalid"),
        ("a.mo", b"abc", "^a.mo: a catalogue must be one of gettext. Received: error: unpack requires"),
        ("a.mo", b"0123456789", "^a.mo: a catalogue must be one of gettext. Received: OSError: .*Bad magic number"),
        ("a.mo", _compiled(GERMAN)[:-30], "^a.mo: a catalogue must be one of gettext. Received: OSError: .*corrupt"),
    ],
)
def test_damaged_files(name, content, message):
    with pytest.raises(ValueError, match=message):
        _read(content, name)


def test_without_the_package(monkeypatch):
    for name in ("babel.messages.pofile", "babel.messages.mofile"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ValueError, match=r"take the package babel, which the extra `translation` installs .* without"):
        _read(GERMAN)
