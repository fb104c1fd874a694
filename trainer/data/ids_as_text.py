"""Ids as people write them: numbers with blanks or commas between them."""

import re
from collections.abc import Sequence


def to_ids(text: str, name: str, vocabulary_size: int) -> list[int]:
    """Reads ids.

    Args:
        text: Numbers, with blanks, commas or line ends between them.
        name: What it is, for messages.
        vocabulary_size: The number of ids there are.

    Raises:
        ValueError: If anything else stands there, or a number is no id.

    Example:
        >>> to_ids("3, 1 4", "`prompt`", vocabulary_size=5)
        [3, 1, 4]
    """
    words = re.split(r"[\s,]+", text.strip(" ,\t\r\n"))
    words = [] if words == [""] else words
    wrong = [word for word in words if not re.fullmatch("[0-9]{1,10}", word) or int(word) >= vocabulary_size]
    if wrong:
        raise ValueError(
            f"{name} must be ids from 0 to {vocabulary_size - 1} with blanks or commas between them, as this model has "
            f"ids and no text. Received: {wrong[0][:40]!r}"
        )
    return [int(word) for word in words]


def to_bytes(ids: Sequence[int]) -> bytes:
    """Writes ids with a blank before each, so that they can follow others.

    Example:
        >>> to_bytes([3, 1, 4])
        b' 3 1 4'
    """
    return b"".join(b" %d" % token for token in ids)
