"""The definition of a breakage, and the parts of the repository."""

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
"""The folder of each part by its name, which is also the name of the folder of its tests."""


@dataclasses.dataclass(frozen=True)
class Breakage:
    """A small change of one function that gives wrong results.

    It names a function and not a file, and is matched by syntax and not by text, so that moves and formatting do not
    invalidate it.

    Attributes:
        name: Of the breakage.
        part: A key of `FOLDERS`.
        function: Qualified name, such as `Class.method` or `function.inner_function`, unique in the part.
        old: An expression or a statement that is in the function exactly once.
        new: The expression or statements that replace it; `pass` removes a statement.
        breaks: The wrong result, as a sentence.
    """

    name: str
    part: str
    function: str
    old: str
    new: str
    breaks: str
