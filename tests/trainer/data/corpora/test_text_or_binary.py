"""What counts as text."""

import gzip
import io
import tarfile
import zlib

import numpy as np
import pytest

from trainer.data.corpora import text_or_binary
from trainer.data.corpora.text_or_binary import NOT_UTF8, WITH_NUL, fault

RANDOM = np.random.RandomState(0)


def _tar():
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        member = tarfile.TarInfo("a.txt")
        member.size = 100_000
        archive.addfile(member, io.BytesIO(b"text " * 20_000))
    return stream.getvalue()


def _npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"x",
        b"def f():\r\n\treturn '\x1b[1m'\n\x0c",
        b"\xef\xbb\xbfwith a byte order mark",
        "Текст, 本文, متن, 🙂\n".encode() * 50,
        ("é" * 100).encode()[:-1],  # Cut within a character, as by `head -c`.
        "Der Weg ist schön und führt uns durch das alte Tor in die Stadt, die wir nicht kennen.\n".encode("latin-1")
        * 20,
        b"line\n" * 100_000 + b"\xff\xfe\x01",
        b"ACGT" * 1000,
    ],
)
def test_text(content):
    assert fault(content) == ""


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (RANDOM.bytes(10_000), WITH_NUL),
        (RANDOM.bytes(20).replace(b"\0", b"\1"), NOT_UTF8),
        (gzip.compress(RANDOM.bytes(5_000)), WITH_NUL),
        (zlib.compress(b"some words and some more")[2:-4].replace(b"\0", b"\1"), NOT_UTF8),
        (_tar(), WITH_NUL),  # Nearly all of it is text.
        (_npy(np.arange(10)), WITH_NUL),
        (_npy(RANDOM.rand(10)), WITH_NUL),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", WITH_NUL),
        ("UTF-16 has a NUL in each character.".encode("utf-16"), WITH_NUL),
        ("Текст в другой кодировке.".encode("koi8-r"), NOT_UTF8),
        (b"\x01\x02\x03\x04" * 10 + b"text", NOT_UTF8),
    ],
)
def test_no_text(content, expected):
    assert fault(content) == expected


def test_the_limit_is_one_in_twenty(monkeypatch):
    monkeypatch.setattr(text_or_binary, "_BLOCK", 7)  # No character is lost between two blocks.
    for strange in (b"\xff", b"\x01"):
        assert fault("ä".encode() * 5 + b"b" * 9 + strange) == ""
        assert fault("ä".encode() * 5 + b"b" * 8 + strange) == NOT_UTF8
