"""Pickles that declare larger sizes than they hold, or hold more than a checkpoint, are refused with little memory."""

import gzip
import tracemalloc
import zlib

import pytest

from reformer_tf.pretrained import from_trax, trax, trax_file
from tests.pretrained import test_trax


def _measure_peak(action):
    """The peak of Python's memory while a file is refused."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="must") as error:
            action()
        return tracemalloc.get_traced_memory()[1], str(error.value)
    finally:
        tracemalloc.stop()


def _opcodes(*parts):
    return b"\x80\x04}\x94X\x07\x00\x00\x00weights" + b"".join(parts) + b"s."


_ZEROS = 1 << 27
_BOMBS = {
    # The unpickler's memo table would be as long as the index of an entry.
    "an index": _opcodes(b"]r\xff\xff\xff\x3f"),
    # Arrays with shapes and without bytes.
    "a call of ndarray": _opcodes(b"cnumpy\nndarray\nJ\x00\x00\x00\x40\x85R"),
    "a shape in the making": _opcodes(
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nJ\x00\x00\x00\x40\x85C\x01b\x87R"
    ),
    "a shape": _opcodes(
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R",
        b"(K\x01J\x00\x00\x00\x40\x85cnumpy\ndtype\nX\x02\x00\x00\x00f8\x85R\x89C\x08abcdefghtb",
    ),
    "an element": _opcodes(b"cnumpy\ndtype\nX\x0b\x00\x00\x00V1073741824\x85R"),
    "objects": _opcodes(
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R",
        b"(K\x01J\x00\x00\x00\x40\x85cnumpy\ndtype\nX\x02\x00\x00\x00O8\x85R\x89]tb",
    ),
    # The declared bytes are missing.
    "bytes of 8 bytes": _opcodes(b"\x8e" + (1 << 40).to_bytes(8, "little")),
    "bytes of 4 bytes": _opcodes(b"B" + (1 << 31).to_bytes(4, "little")),
    # Encoding as hex doubles the length.
    "an encoding": _opcodes(b"c_codecs\nencode\nX\x02\x00\x00\x00abX\x03\x00\x00\x00hex\x86R"),
}


_SAID = {
    "an index": "at most 1,000,000 parts",
    "a call of ndarray": "Received: a call of ndarray",
    "a shape in the making": "path must be a pickle",
    "a shape": "Received: 8 for [1073741824] of float64",
    "an element": "Received: the type 'V1073741824'",
    "objects": "Received: the type 'O8'",
    "bytes of 8 bytes": "must not unpack to more than 20 times its size",
    "bytes of 4 bytes": "must not unpack to more than 20 times its size",
    "an encoding": "Received: 'hex'",
}


@pytest.mark.parametrize("name", _BOMBS)
@pytest.mark.parametrize("compressed", [False, True])
def test_sizes_that_a_file_only_declares_take_no_memory(name, compressed, tmp_path):
    path = tmp_path / "model.pkl"
    path.write_bytes(gzip.compress(_BOMBS[name], 1) if compressed else _BOMBS[name])
    peak, message = _measure_peak(lambda: from_trax(path, **test_trax.ARGUMENTS))
    assert _SAID[name] in message
    assert peak < 32 << 20


@pytest.mark.parametrize("in_parts", [False, True])
def test_what_unpacks_to_more_than_a_checkpoint_does_takes_no_memory(in_parts, tmp_path):
    path = tmp_path / "model.pkl"
    compressor = zlib.compressobj(1, wbits=31)
    part = (b"B" + (1 << 20).to_bytes(4, "little") if in_parts else b"") + bytes(1 << 20)
    with path.open("wb") as file:
        file.write(compressor.compress(_opcodes()[:-2]))
        file.write(compressor.compress(b"" if in_parts else b"\x8e" + _ZEROS.to_bytes(8, "little")))
        for _ in range(_ZEROS >> 20):
            file.write(compressor.compress(part))
        file.write(compressor.compress(b"s.") + compressor.flush())
    peak, message = _measure_peak(lambda: from_trax(path, **test_trax.ARGUMENTS))
    assert (
        "A checkpoint must not unpack to more than 20 times its size. Received: one that asks for more than" in message
    )
    assert peak < 32 << 20


def test_pickles_of_very_many_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(trax_file, "_MOST_INSTRUCTIONS", 1000)
    path = tmp_path / "model.pkl"
    path.write_bytes(_opcodes(b"(" + b"]" * 2000 + b"l"))
    with pytest.raises(ValueError, match="A checkpoint must be made of at most 1,000 parts, counted one by one"):
        from_trax(path, **test_trax.ARGUMENTS)


def test_tuples_that_are_used_many_times(tmp_path, monkeypatch):
    monkeypatch.setattr(trax, "_MOST_PARTS", 1000)
    tree = ()
    for _ in range(40):
        tree = (tree, tree)
    weights = test_trax._replaced(test_trax._Made().weights, (2,), tree)
    with pytest.raises(ValueError, match="A checkpoint must have at most 1,000 weights. Received: more"):
        from_trax(test_trax._write(tmp_path / "model.pkl", weights), **test_trax.ARGUMENTS)


def test_tuples_in_tuples_without_end(tmp_path):
    path = tmp_path / "model.pkl"
    path.write_bytes(_opcodes(b")" + b"\x85" * 100_000))
    with pytest.raises(ValueError, match="path must be a pickle"):
        from_trax(path, **test_trax.ARGUMENTS)
