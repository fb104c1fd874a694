"""The arguments of `window="chunk"`, as one object."""

from typing import Any, NamedTuple

from reformer_tf.layers import arguments


class ChunkArguments(NamedTuple):
    """The arguments of `window="chunk"` as they are passed; None stands for the default.

    Attributes:
        chunks_before: chunks that a chunk sees before itself; 1 if None.
        chunks_after: chunks that a chunk sees after itself; 0 if None.
        wrap: whether the chunk before a round's first is the last of the round before, all rounds in a circle, as in
            the released code; False if None.
        length_multiple: a multiple of C; chunks are counted as if the length were a multiple of it. C if None.
        exact_length: sequences up to this length get exact attention to all tokens; C if None.
    """

    chunks_before: int | None
    chunks_after: int | None
    wrap: bool | None
    length_multiple: int | None
    exact_length: int | None

    def completed(self, window: str, chunk_length: int) -> tuple[int, int, bool, int, int]:
        """Checks the arguments, and returns them with their defaults, in the order of the attributes.

        Args:
            window: of the layer.
            chunk_length: C.

        Raises:
            ValueError: for sizes out of range, or arguments of `"chunk"` with another window.
        """
        passed: dict[str, Any] = {name: value for name, value in self._asdict().items() if value is not None}
        if window != "chunk" and passed:
            raise ValueError(f'{", ".join(passed)} must be left out unless window="chunk". Received: {passed}')
        multiple = arguments.positive_integer("length_multiple", passed.get("length_multiple", chunk_length))
        if multiple % chunk_length:
            raise ValueError(
                "length_multiple must be a multiple of chunk_length."
                f" Received: length_multiple={multiple}, chunk_length={chunk_length}"
            )
        return (
            arguments.non_negative_integer("chunks_before", passed.get("chunks_before", 1)),
            arguments.non_negative_integer("chunks_after", passed.get("chunks_after", 0)),
            arguments.boolean("wrap", passed.get("wrap", False)),
            multiple,
            arguments.non_negative_integer("exact_length", passed.get("exact_length", chunk_length)),
        )
