"""Text streamed from ids as they come."""

from hypothesis import given
from hypothesis import strategies as st

from reformer_tf.generation import streamed_text


@given(st.lists(st.integers(0, 300), max_size=40))
def test_streamed_text_is_the_text_of_the_ids(ids):
    written = bytes(token for token in ids if token < 256)
    assert "".join(streamed_text.stream_text(ids)) == written.decode("utf-8", errors="replace")


def test_what_a_new_id_costs_does_not_grow():
    asked = []

    def decode(ids):
        asked.append(len(ids))
        return streamed_text.to_bytes(ids)

    written = "aé€😀" * 50
    assert "".join(streamed_text.stream_text(written.encode(), decode)) == written
    assert max(asked) < 100


@given(st.text(max_size=20))
def test_every_character_comes_as_soon_as_it_is_complete(written):
    came = []

    def ids():
        for index, token in enumerate(written.encode()):
            came.append(index)
            yield token

    parts, ends = [], []
    for part in streamed_text.stream_text(ids()):
        parts.append(part)
        ends.append(len(came))
    assert parts == list(written)
    lengths = [len(character.encode()) for character in written]
    assert ends == [sum(lengths[: i + 1]) for i in range(len(lengths))]


def test_decoders_of_parts_of_words():
    words = {1: " the", 2: " cat"}
    decode = lambda ids: "".join(words[i] for i in ids).lstrip().encode()
    assert list(streamed_text.stream_text([1, 2, 1], decode)) == ["the", " cat", " the"]
    many = [1, 2] * 100
    assert "".join(streamed_text.stream_text(many, decode)).encode() == decode(many)


def test_what_stands_before_counts():
    words = {1: " the", 2: " cat"}
    decode = lambda ids: "".join(words[i] for i in ids).lstrip().encode()
    assert list(streamed_text.stream_bytes([2, 1], decode, before=[1])) == [b" cat", b" the"]
    assert list(streamed_text.stream_text([2, 1], decode, before=[1] * 100)) == [" cat", " the"]
    # Half of a character before the first id, half of it in the ids.
    assert list(streamed_text.stream_bytes([0xA9, 10], before=[0xC3])) == [b"\xa9", b"\n"]


@given(st.lists(st.integers(0, 300), max_size=100))
def test_streamed_bytes_are_those_of_the_ids(ids):
    assert list(streamed_text.stream_bytes(ids)) == [bytes([token]) for token in ids if token < 256]
