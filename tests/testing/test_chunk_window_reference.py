"""The reference of chunk windows, on cases small enough for pencil and paper."""

import numpy as np
import pytest

from tests.testing import attention_reference
from tests.testing import chunk_window_reference as reference

ONES = np.ones(6, bool)


def _window(chunk_length=2, causal=False, exclude_self=False, **changes):
    return reference.Window(chunk_length, causal, exclude_self, **{"before": 0, "exact_length": 1, **changes})


def _rows(buckets, mask, window, segment_ids=None):
    seen = reference.meetings(buckets, mask, window, segment_ids).sum(0)
    return ["".join(str(count) for count in row) for row in seen]


def _reach(rounds, window):
    return [keys for round_pairs in reference.keys_in_reach(rounds, window) for _, keys in round_pairs]


def test_local_chunks_are_cut_by_position():
    assert _rows(None, ONES, _window()) == [
        "110000",
        "110000",
        "001100",
        "001100",
        "000011",
        "000011",
    ]
    assert _rows(None, ONES, _window(causal=True, before=1)) == [
        "100000",
        "110000",
        "111000",
        "111100",
        "001110",
        "001111",
    ]


def test_masked_tokens_stay_in_their_local_chunk_and_are_not_seen():
    mask = np.array([True, False, True, True, True])  # Cut as if padded to six: the last chunk is half empty.
    assert _rows(None, mask, _window()) == ["10000", "00000", "00110", "00110", "00001"]


def test_a_hash_round_orders_by_bucket_and_windows_ignore_buckets():
    buckets = np.array([[1, 0, 1, 0, 0, 1]])  # In order: 1 3 | 4 0 | 2 5.
    assert reference.rounds_of_chunks(buckets, ONES, _window()) == [[[1, 3], [4, 0], [2, 5]]]
    assert _rows(buckets, ONES, _window()) == [
        "100010",
        "010100",
        "001001",
        "010100",
        "100010",
        "001001",
    ]
    # One chunk before, without wrap: the first chunk has none.
    assert _rows(buckets, ONES, _window(before=1))[1::2] == ["010100", "010100", "101011"]


def test_masked_tokens_come_last_in_a_hash_round():
    mask = np.array([True, False, True, True, False, True])
    assert reference.rounds_of_chunks(np.array([[1, 0, 1, 0, 0, 0]]), mask, _window()) == [[[3, 5], [0, 2], [1, 4]]]
    longer = _window(length_multiple=8)
    assert reference.rounds_of_chunks(np.array([[0, 0, 0, 0, 0, 0]]), mask, longer)[0][2:] == [[1, 4], [None, None]]


def test_wrapping_goes_around_all_rounds():
    # Round 0: 0 1 | 2 3; round 1: 2 3 | 0 1. The chunk before the first of a round is the last of the other round.
    rounds = [[[0, 1], [2, 3]], [[2, 3], [0, 1]]]
    reach = _reach(rounds, _window(before=1, wrap=True))
    assert reach == [[0, 1, 0, 1], [0, 1, 2, 3], [2, 3, 2, 3], [2, 3, 0, 1]]
    # Without wrapping it is nothing.
    reach = _reach(rounds, _window(before=1))
    assert reach == [[0, 1], [0, 1, 2, 3], [2, 3], [2, 3, 0, 1]]


def test_what_meets_repeatedly_counts_repeatedly():
    buckets = np.array([[0, 0, 1, 1], [1, 1, 0, 0]])
    seen = _rows(buckets, ONES[:4], _window(before=1, wrap=True))
    # Round 0 and 1 as above: each token sees its own chunk three times (twice where the neighbour is its own copy).
    assert seen == ["3311", "3311", "1133", "1133"]
    assert _rows(buckets, ONES[:4], _window(before=1)) == ["2211", "2211", "1122", "1122"]


def test_a_window_of_a_ring_of_two_chunks_has_the_other_one_on_both_sides():
    assert _rows(None, ONES[:4], _window(before=1, after=1, wrap=True)) == ["1122", "1122", "2211", "2211"]


def test_a_shift_around_the_whole_ring_or_beyond_is_the_chunk_itself():
    ring = [[[0], [1], [2]]]
    reach = _reach(ring, _window(1, before=5, wrap=True))
    # Shifts -5 and -4 are beyond three chunks, -3 is all around, -2, -1 and 0 are what they say.
    assert reach == [[0, 0, 0, 1, 2, 0], [1, 1, 1, 2, 0, 1], [2, 2, 2, 0, 1, 2]]
    reach = _reach(ring, _window(1, before=0, after=4, wrap=True))
    assert reach[0] == [0, 1, 2, 0, 0]
    # Without wrapping there is nothing there.
    assert _reach(ring, _window(1, before=5))[2] == [0, 1, 2]


def test_short_sequences_see_all_tokens_once():
    buckets = np.array([[0, 1, 0], [1, 0, 1]])
    window = _window(exact_length=3, before=1, wrap=True)
    assert _rows(buckets, ONES[:3], window) == ["111", "111", "111"]
    assert _rows(buckets, ONES[:3], window._replace(causal=True)) == ["100", "110", "111"]
    assert reference.Window(2, False, False).is_exact(2) and not reference.Window(2, False, False).is_exact(3)
    assert not reference.Window(2, False, False, exact_length=0).is_exact(1)


def test_segments_divide_without_moving_chunks():
    assert _rows(None, ONES[:4], _window(), np.array([0, 1, 1, 1])) == [
        "1000",
        "0100",
        "0011",
        "0011",
    ]


@pytest.mark.parametrize(
    ("length", "chunk", "longest", "factors"),
    [
        (64, 64, 4096, (2,)),
        (192, 64, 4096, (4,)),  # 2 * 3 = 6, rounded down to a power of two.
        (256, 64, 4096, (8,)),
        (4096, 64, 4096, (128,)),  # 128 is not above 2 * max(8, 64).
        (8192, 64, 8192, (16, 16)),
        (16384, 64, 16384, (16, 32)),
        (64, 1, 64, (8, 16)),  # 128 is above 2 * max(8, 1).
        (8, 1, 64, (16,)),
        (16, 1, 64, (4, 8)),
    ],
)
def test_the_bucket_count_follows_the_length(length, chunk, longest, factors):
    assert reference.bucket_factors(length, chunk, longest) == factors


def test_padded_length():
    assert [reference.Window(4, False, False, length_multiple=8).padded(n) for n in (1, 8, 9)] == [8, 8, 16]
    assert [reference.Window(4, False, False).padded(n) for n in (1, 4, 5)] == [4, 4, 8]


def test_attend_by_hand():
    q = np.array([[0.0], [1.0], [2.0]])[None, None]
    k = np.array([[np.log(2.0)], [np.log(3.0)], [0.0]])[None, None]
    v = np.array([[10.0], [20.0], [40.0]])[None, None]
    mask = np.ones([1, 3], bool)
    # Chunks 0 1 | 2. Query 1 sees keys 0 and 1, by factors 2 and 3; query 2 sees itself.
    y = reference.attend(q, k, v, None, mask, _window(causal=True))
    np.testing.assert_allclose(y[0, 0, :, 0], [10.0, (2 * 10 + 3 * 20) / 5, 40.0])
    # A token sees itself only when it sees nothing else.
    y = reference.attend(q, k, v, None, mask, _window(causal=True, exclude_self=True))
    np.testing.assert_allclose(y[0, 0, :, 0], [10.0, 10.0, 40.0])
    # In a ring of two chunks the one before is the other: query 1 sees key 2 as well (factor 1), query 2 both others.
    y = reference.attend(q, k, v, None, mask, _window(before=1, wrap=True))
    np.testing.assert_allclose(y[0, 0, 1:, 0], [(2 * 10 + 3 * 20 + 40) / 6, (4 * 10 + 9 * 20 + 40) / 14])
    # Twice the same chunk counts its keys twice.
    y = reference.attend(q, k, v, None, mask, _window(before=2, wrap=True))
    np.testing.assert_allclose(y[0, 0, 1, 0], (2 * 2 * 10 + 2 * 3 * 20 + 40) / 11)
    y = reference.attend(q, k, v, None, np.array([[True, True, False]]), _window(before=2, wrap=True))
    np.testing.assert_allclose(y[0, 0, 1:, 0], [(2 * 10 + 3 * 20) / 5, 0.0])


def test_rounding_of_a_token_that_sees_only_itself():
    two, four = np.zeros([2, 2, 2], int), np.zeros([4, 1, 1], int)
    two[:, 0, 0] = 1
    two[:, 1, :] = 1  # Token 1 sees token 0 as well.
    four[:] = 1
    # log 2 is 88.7 steps of 1/128, and is rounded to 89 of them; log 4 is 177.4 and becomes 177.
    np.testing.assert_allclose(reference.own_factors(two), [2 * np.exp(-89 / 128), 1.0], rtol=1e-12)
    np.testing.assert_allclose(reference.own_factors(four), [4 * np.exp(-177 / 128)], rtol=1e-12)
    assert reference.own_factors(np.ones([1, 1, 1], int)) == [1.0]
    assert reference.own_factors(np.zeros([3, 2, 2], int)).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("exclude_self", [False, True])
@pytest.mark.parametrize("causal", [False, True])
def test_listing_keys_equals_counting_them(causal, exclude_self):
    rng = np.random.default_rng(0)
    q, k, v = rng.normal(size=[3, 2, 2, 13, 4])
    buckets, mask = rng.integers(0, 3, [2, 2, 3, 13]), rng.random([2, 13]) < 0.8
    window = _window(3, causal, exclude_self, before=1, after=1, wrap=True)
    seen = reference.all_meetings(buckets, mask, 2, window).sum(2)
    assert seen.max() > 1
    penalty = attention_reference.SELF_PENALTY if exclude_self else 0.0
    expected = attention_reference.attend(q, k, v, seen, penalty)
    np.testing.assert_allclose(reference.attend(q, k, v, buckets, mask, window), expected, atol=1e-9)


def test_one_chunk_is_exact_attention():
    rng = np.random.default_rng(1)
    q, k, v = rng.normal(size=[3, 2, 2, 7, 4])
    mask = rng.random([2, 7]) < 0.7
    expected = attention_reference.attend(q, k, v, attention_reference.all_pairs(mask, 2, True), 0.0)
    y = reference.attend(q, k, v, None, mask, reference.Window(8, True, False))
    np.testing.assert_allclose(y, expected, atol=1e-12)
