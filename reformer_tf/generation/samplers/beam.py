"""Beam search for the likeliest continuation as a whole."""

from typing import Any

from reformer_tf.layers import arguments


class BeamSearch:
    """Looks for the likeliest continuation among the `num_beams` likeliest ones of each length.

    A continuation of n tokens scores the sum of their log-probabilities, divided by `((5 + n) / 6) ** length_penalty`
    (Wu et al., 2016, section 7, equation 14). It ends with a stop token, or where it may not get longer. With as many
    beams as there are continuations the search is exact. The cost of a step grows with the tokens so far, because
    caches are copied to the beams that go on.

    Args:
        num_beams: the number of continuations that go on in each step; positive.
        length_penalty: 0 for none; above 0 longer continuations are preferred. Translation models often take 0.6.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> from reformer_tf.models import ReformerCausalLM
        >>> model = ReformerCausalLM(10, 64, 1, 16, 2, 8, 32, ["local"])
        >>> (row,) = model.generate([[1, 2, 3]], 5, sampler=BeamSearch(num_beams=4), stop_tokens=[0])
        >>> len(row) == 5 or row[-1] == 0
        True
    """

    def __init__(self, num_beams: int = 4, length_penalty: float = 0.0):
        self.num_beams = arguments.positive_integer("num_beams", num_beams)
        if not (arguments.is_number(length_penalty) and length_penalty >= 0):
            raise ValueError(f"length_penalty must be at least 0. Received: length_penalty={length_penalty!r}")
        self.length_penalty = float(length_penalty)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {"num_beams": self.num_beams, "length_penalty": self.length_penalty}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BeamSearch) and self.get_config() == other.get_config()

    def __hash__(self) -> int:
        return hash((self.num_beams, self.length_penalty))
