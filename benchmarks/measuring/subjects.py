"""The subjects of a comparison: their labels on a command line, and the command that measures each."""

import dataclasses
import importlib.util

PRECISIONS = ("float32", "bfloat16")
FORWARD_ONLY = "bfloat16_forward"
"""A precision of PyTorch's models: automatic casts around the forward pass only, as PyTorch's documentation has it.

The backward pass of a reversible model then computes its layers again in float32, which is slower and gives other
values than the forward pass.
"""
WINDOWS = ("bucket", "chunk")
OURS = {
    "ours": ["benchmarks.train_step", "--attention=lsh"],
    "ours_plain": ["benchmarks.train_step", "--attention=lsh", "--reversible=false"],
    "keras_attention": ["benchmarks.peers.keras_attention", "--attention=keras"],
}
"""The module and flags that measure each model of this package."""
PEERS = {
    "huggingface": ("torch", "transformers"),
    "lucidrains": ("torch", "reformer_pytorch"),
    "performer_pytorch": ("torch", "performer_pytorch"),
    "torch_exact": ("torch",),
}
"""The modules that each peer needs."""
REFORMERS = ("huggingface", "lucidrains")
"""The peers that are Reformers."""
BETAS, EPSILON, CLIP_NORM = (0.9, 0.98), 1e-9, 1.0
"""The settings of Adam in trainings of the subjects."""
EXACT = ("keras_attention", "torch_exact")

_HAS_WINDOWS = ("ours", "ours_plain")


@dataclasses.dataclass(frozen=True)
class Subject:
    """One line of a plot.

    Attributes:
        name: of `OURS` or `PEERS`.
        precision: of `PRECISIONS`, or `FORWARD_ONLY` for a peer.
        window: of `WINDOWS`; it matters for LSH layers of this package only.
    """

    name: str
    precision: str = "float32"
    window: str = "bucket"

    @property
    def label(self) -> str:
        """The name with its options, defaults left out: `ours`, `ours:chunk:bfloat16`."""
        options = [self.window] * (self.window != "bucket") + [self.precision] * (self.precision != "float32")
        return ":".join([self.name, *options])

    @property
    def exact(self) -> bool:
        """Whether its attention is exact."""
        return self.name in EXACT

    @property
    def peer(self) -> bool:
        """Whether it is another implementation."""
        return self.name in PEERS

    @property
    def policy(self) -> str:
        """The dtype policy of Keras for its precision."""
        return "mixed_bfloat16" if self.precision == "bfloat16" else self.precision

    def command(self) -> list[str]:
        """Module and flags that measure it, sizes left out."""
        if self.peer:
            return ["benchmarks.points.peer_step", f"--peer={self.name}", f"--precision={self.precision}"]
        window = [f"--window={self.window}"] if self.name in _HAS_WINDOWS else []
        return [*OURS[self.name], f"--precision={self.policy}", *window]


def parse(label: str) -> Subject:
    """Reads a label such as `ours:chunk:bfloat16`.

    Raises:
        ValueError: for an unknown name or option.
    """
    name, *options = label.split(":")
    if name not in (*OURS, *PEERS):
        raise ValueError(f"A subject must be one of {[*OURS, *PEERS]}. Received: {label!r}")
    fields = {}
    for option in options:
        precisions = (*PRECISIONS, FORWARD_ONLY) if name in PEERS else PRECISIONS
        field = "precision" if option in precisions else "window" if option in WINDOWS else None
        if field is None or field in fields or (field == "window" and name not in _HAS_WINDOWS):
            raise ValueError(
                f"After its name a subject may have one precision of {PRECISIONS} and, if it is of {_HAS_WINDOWS},"
                f" one window of {WINDOWS}. Received: {label!r}"
            )
        fields[field] = option
    return Subject(name, **fields)


def expand(labels: list[str], precisions: list[str], windows: list[str]) -> list[Subject]:
    """Reads labels; a label without a precision (or window) stands for one subject for each precision (and window).

    Args:
        labels: as `parse` reads them.
        precisions: of `PRECISIONS`.
        windows: of `WINDOWS`.

    Returns:
        Subjects without duplicates.

    Raises:
        ValueError: for an unknown name or option.
    """
    subjects = []
    for label in labels:
        subject, options = parse(label), label.split(":")[1:]
        for window in windows if subject.name in _HAS_WINDOWS and not set(options) & set(WINDOWS) else [subject.window]:
            for precision in precisions if not set(options) & {*PRECISIONS, FORWARD_ONLY} else [subject.precision]:
                subjects.append(parse(":".join([subject.name, precision, *([window] if window != "bucket" else [])])))
    return list(dict.fromkeys(subjects))


def check_installed(subjects: list[Subject]) -> None:
    """Checks that every peer can be imported.

    Raises:
        ValueError: if a package is missing.
    """
    for subject in subjects:
        missing = [module for module in PEERS.get(subject.name, ()) if importlib.util.find_spec(module) is None]
        if missing:
            raise ValueError(f"A peer must be installed. Received: --peer={subject.label}, without {missing}")
