"""Text from ids while they come."""

from hypothesis import given
from hypothesis import strategies as st

from reformer_tf.generation import streamed_text


@given(st.lists(st.integers(0, 300), max_size=40))
def test_pieces_make_up_the_text(ids):
    whole = bytes(token for token in ids if token < 256)
    assert "".join(streamed_text.pieces(ids)) == whole.decode("utf-8", errors="replace")


def test_what_a_new_id_costs_does_not_grow():
    asked = []

    def decode(ids):
        asked.append(len(ids))
        return streamed_text.bytes_of(ids)

    written = "aé€😀" * 50
    assert "".join(streamed_text.pieces(written.encode(), decode)) == written
    assert max(asked) < 100


@given(st.text(max_size=20))
def test_every_piece_is_a_whole_character_as_soon_as_it_is_there(written):
    came = []

    def ids():
        for index, token in enumerate(written.encode()):
            came.append(index)
            yield token

    pieces, ends = [], []
    for piece in streamed_text.pieces(ids()):
        pieces.append(piece)
        ends.append(len(came))
    assert pieces == list(written)
    lengths = [len(character.encode()) for character in written]
    assert ends == [sum(lengths[: i + 1]) for i in range(len(lengths))]


def test_decoders_of_pieces_of_words():
    words = {1: " the", 2: " cat"}
    decode = lambda ids: "".join(words[i] for i in ids).lstrip().encode()
    assert list(streamed_text.pieces([1, 2, 1], decode)) == ["the", " cat", " the"]
    many = [1, 2] * 100
    assert "".join(streamed_text.pieces(many, decode)).encode() == decode(many)


def test_what_stands_before_counts():
    words = {1: " the", 2: " cat"}
    decode = lambda ids: "".join(words[i] for i in ids).lstrip().encode()
    assert list(streamed_text.byte_pieces([2, 1], decode, before=[1])) == [b" cat", b" the"]
    assert list(streamed_text.pieces([2, 1], decode, before=[1] * 100)) == [" cat", " the"]
    # Half of a character before, half of it now.
    assert list(streamed_text.byte_pieces([0xA9, 10], before=[0xC3])) == [b"\xa9", b"\n"]


@given(st.lists(st.integers(0, 300), max_size=100))
def test_byte_pieces_are_those_of_the_ids(ids):
    assert list(streamed_text.byte_pieces(ids)) == [bytes([token]) for token in ids if token < 256]
