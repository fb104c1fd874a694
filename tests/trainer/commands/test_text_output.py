"""Text of any bytes on a terminal and in a pipe."""

import io

import pytest

from trainer.commands.text_output import TextOutput

CONTENT = b"a\x1b[31mred\x07\r\n\ttab \xc3\xa9\xff\x00 \xc2\x9b \xe2\x80\xae \xf0\x9f\x99\x82\\"


class _Stream(io.TextIOWrapper):
    def __init__(self, is_terminal, encoding="utf-8"):
        super().__init__(io.BytesIO(), encoding=encoding)
        self._is_terminal = is_terminal

    def isatty(self):
        return self._is_terminal

    @property
    def written(self):
        return self.buffer.getvalue()


def _write(fragments, is_terminal, **options):
    stream = _Stream(is_terminal, **options)
    output = TextOutput(stream)
    for fragment in fragments:
        output.write(fragment)
    output.end()
    return stream.written


@pytest.mark.parametrize("fragments", [[CONTENT], [bytes([byte]) for byte in CONTENT]])
def test_bytes_of_a_pipe_and_of_a_terminal(fragments):
    assert _write(fragments, False) == CONTENT
    assert _write(fragments, True).decode() == r"a\x1b[31mred\x07\r" + "\n\ttab é" + r"\xff\x00 \x9b \u202e " + "🙂\\\n"
    shown = _write(fragments, True, encoding="ascii")
    assert shown.decode() == r"a\x1b[31mred\x07\r" + "\n\ttab " + r"\xe9\xff\x00 \x9b \u202e \U0001f642" + "\\\n"


def test_no_byte_reaches_a_terminal_raw():
    for byte in range(256):
        (shown,) = [_write([bytes([byte])], True)]
        assert all(32 <= value < 127 or value in b"\n\t" for value in shown)


def test_each_fragment_is_there_at_once():
    stream = _Stream(True)
    output = TextOutput(stream)
    came = []
    for byte in "aé".encode():
        output.write(bytes([byte]))
        came.append(stream.written.decode())
    assert came == ["a", "a", "aé"]
    output.write(b"\xc3")
    output.end()
    assert stream.written.decode() == "aé" + r"\xc3" + "\n"


def test_line_ends_between_texts():
    stream = _Stream(False)
    output = TextOutput(stream)
    output.write(b"one")
    output.end(line_end=True)
    output.write(b"two")
    output.end()
    assert stream.written == b"one\ntwo"
