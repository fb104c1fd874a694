"""What a breakage is, and the parts of the repository that breakages are of."""

import dataclasses

FOLDERS = {
    "ops": "reformer_tf/ops",
    "layers": "reformer_tf/layers",
    "models": "reformer_tf/models",
    "generation": "reformer_tf/generation",
    "export": "reformer_tf/export",
    "pretrained": "reformer_tf/pretrained",
    "trainer": "trainer",
}
"""Where the functions of a part are, by the name of the part, which is also that of the folder of its tests."""


@dataclasses.dataclass(frozen=True)
class Breakage:
    """A small change of one function that gives wrong results.

    It names a function and not a file, and is matched by syntax and not by text, so that it outlives moves and
    formatting.

    Attributes:
        name: Of the breakage.
        part: A key of `FOLDERS`.
        function: Qualified name, such as `Class.method` or `function.inner_function`, unique in the part.
        old: An expression or a statement that is in the function exactly once.
        new: An expression or statements in its place; `pass` leaves a statement out.
        breaks: What goes wrong, as a sentence.
    """

    name: str
    part: str
    function: str
    old: str
    new: str
    breaks: str
