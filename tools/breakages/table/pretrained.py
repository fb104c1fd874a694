"""Breakages of loading weights of other implementations."""

from tools.breakages.breakage import Breakage

BREAKAGES = (
    Breakage(
        name="heads_not_transposed",
        part="pretrained",
        function="heads_first",
        old="(1, 0, 2)",
        new="(0, 1, 2)",
        breaks="Kernels of Trax are read with heads and width mixed up.",
    ),
    Breakage(
        name="kernels_not_transposed",
        part="pretrained",
        function="out_by_in",
        old="(1, 0)",
        new="(0, 1)",
        breaks="Kernels of Hugging Face are read with inputs and outputs mixed up.",
    ),
    Breakage(
        name="given_rotations_dropped",
        part="pretrained",
        function="_filled",
        old="np.concatenate([rotations, stored[..., rotations.shape[3] :]], axis=-1)",
        new="stored",
        breaks="Rotations that are passed have no effect.",
    ),
    Breakage(
        name="given_rotations_redrawn",
        part="pretrained",
        function="from_huggingface",
        old='arguments["redraw_rotations"] = False',
        new="pass",
        breaks="Training draws new rotations though some were passed.",
    ),
    Breakage(
        name="look_back_does_not_wrap",
        part="pretrained",
        function="_attention",
        old="True",
        new="False",
        breaks="The first chunk of a published model does not see the last, as it does in the original.",
    ),
)
