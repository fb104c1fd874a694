"""ListOps by recursion, one tree at a time: drawing trees, and the value and depth of a text."""

import random
import statistics

OPERATORS = {
    "[MIN": min,
    "[MAX": max,
    "[MED": lambda values: int(statistics.median(values)),
    "[SM": lambda values: sum(values) % 10,
}


def value(text: str) -> int:
    """The value of a tree."""
    words = text.split()
    result, used = _value(words)
    assert used == len(words)
    return result


def _value(words: list[str]) -> tuple[int, int]:
    """The value of the tree that begins with the first word, and its number of words."""
    if words[0] not in OPERATORS:
        return int(words[0]), 1
    values, used = [], 1
    while words[used] != "]":
        argument, more = _value(words[used:])
        values.append(argument)
        used += more
    return OPERATORS[words[0]](values), used + 1


def shape(text: str) -> tuple[int, set[int]]:
    """The depth of the deepest node, the root having depth 1, and the numbers of arguments of the operators."""
    deepest, found, open_counts = 0, set(), [0]
    for word in text.split():
        if word == "]":
            found.add(open_counts.pop())
            continue
        deepest = max(deepest, len(open_counts))
        open_counts[-1] += 1
        if word in OPERATORS:
            open_counts.append(0)
    return deepest, found


def draw(stream: random.Random, max_depth: int, max_arguments: int, depth: int = 1) -> str:
    """A random tree."""
    if depth == max_depth or stream.random() >= 0.25:
        return str(stream.randrange(10))
    arguments = [draw(stream, max_depth, max_arguments, depth + 1) for _ in range(stream.randint(2, max_arguments))]
    return " ".join([stream.choice([*OPERATORS]), *arguments, "]"])
