"""Strings that end a text."""

from hypothesis import given
from hypothesis import strategies as st

from trainer.commands import stop_strings

TEXT = st.text("ab", max_size=12).map(str.encode)


def _expected(text, stops):
    """Reference, byte by byte: the text before the longest stop string that ends at the first end of one."""
    for end in range(len(text) + 1):
        ending = [stop for stop in stops if text[:end].endswith(stop)]
        if ending:
            return text[: end - max(map(len, ending))]
    return text


@given(st.lists(TEXT, max_size=8), st.lists(st.text("ab", min_size=1, max_size=4).map(str.encode), max_size=3))
def test_stops_are_found_wherever_fragments_end(fragments, stops):
    found = list(stop_strings.until(iter(fragments), stops))
    assert b"".join(found) == _expected(b"".join(fragments), stops)
    assert all(found)


def test_nothing_is_held_back_without_need():
    came = []

    def fragments():
        for fragment in (b"one ", b"E", b"x", b"EN", b"D", b"never"):
            came.append(fragment)
            yield fragment

    written = [(fragment, came[-1]) for fragment in stop_strings.until(fragments(), [b"END"])]
    assert written == [(b"one ", b"one "), (b"Ex", b"x")]
    assert came[-1] == b"D"  # No more was asked for.
