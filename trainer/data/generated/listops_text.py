"""The ids of ListOps, fixed here, and the text of a sequence of them."""

from collections.abc import Iterable

# Ids are positions in this list. A digit is its own id; the bracket that opens belongs to its operator.
TOKENS = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "[MIN", "[MAX", "[MED", "[SM", "]")
MIN, MAX, MED, SM, END = range(10, 15)
_IDS = {token: index for index, token in enumerate(TOKENS)}


def to_text(ids: Iterable[int]) -> str:
    """Writes ids as text.

    Args:
        ids: Ids of one sequence, without padding.

    Returns:
        The tokens with a space between them.

    Raises:
        ValueError: If a number is no id.

    Examples:
        >>> to_text([11, 2, 9, 10, 4, 7, 14, 0, 14])
        '[MAX 2 9 [MIN 4 7 ] 0 ]'
    """
    listed = [int(index) for index in ids]
    wrong = [index for index in listed if not 0 <= index < len(TOKENS)]
    if wrong:
        raise ValueError(f"`ids` must be from 0 to {len(TOKENS) - 1}. Received: {wrong[0]}")
    return " ".join(TOKENS[index] for index in listed)


def to_ids(text: str) -> list[int]:
    """Reads text as ids.

    Args:
        text: Tokens with white space between them.

    Returns:
        The ids.

    Raises:
        ValueError: If a word is no token.

    Examples:
        >>> to_ids("[MAX 2 9 [MIN 4 7 ] 0 ]")
        [11, 2, 9, 10, 4, 7, 14, 0, 14]
    """
    words = text.split()
    wrong = [word for word in words if word not in _IDS]
    if wrong:
        raise ValueError(f"`text` must consist of the tokens {' '.join(TOKENS)}. Received: {wrong[0]!r}")
    return [_IDS[word] for word in words]
