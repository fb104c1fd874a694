"""The masks of a masked language model in plain Python, one token at a time."""

_32, _64 = 2**32, 2**64


def random_bits(number: int, seed: int) -> int:
    """64 random bits for a number: SplitMix64 of the number after that of the seed."""
    return _split_mix(_split_mix(seed % _64) + number)


def hide(ids, mask, draws, vocabulary_size, fraction=0.15, mask_fraction=0.8, random_fraction=0.1, boundary=None):
    """Returns what the model sees, and whether each token is to be predicted: lists of rows, as the arguments are."""
    seen, chosen = [], []
    for row, real, draw in zip(ids, mask, draws, strict=True):
        seen.append([])
        chosen.append([])
        for position, (token, is_real) in enumerate(zip(row, real, strict=True)):
            bits = _mix(draw % _32, draw // _32, position)
            is_chosen = bool(is_real) and token != boundary and _mix(bits, 0) / _32 < fraction
            if is_chosen:
                fate = _mix(bits, 1) / _32
                if fate < mask_fraction:
                    token = vocabulary_size - 1
                elif fate < mask_fraction + random_fraction:
                    token = _mix(bits, 2) % (vocabulary_size - 1)
            seen[-1].append(token)
            chosen[-1].append(is_chosen)
    return seen, chosen


def _split_mix(value: int) -> int:
    value = (value + 0x9E3779B97F4A7C15) % _64
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 % _64
    value = (value ^ value >> 27) * 0x94D049BB133111EB % _64
    return value ^ value >> 31


def _mix(*coordinates: int) -> int:
    bits = 0x9E3779B9
    for coordinate in coordinates:
        bits = (bits + coordinate * 0x85EBCA6B) % _32
        bits = (bits ^ bits >> 16) * 0x7FEB352D % _32
        bits = (bits ^ bits >> 15) * 0x846CA68B % _32
        bits ^= bits >> 16
    return bits
