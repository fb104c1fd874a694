"""The subjects of a comparison of attention layers: the registered kinds, and layers of other implementations."""

import dataclasses
import importlib.util
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from compilers.processes import limited_process

KERAS, PERFORMER_PYTORCH = "keras", "performer_pytorch"
PEERS: dict[str, tuple[str, ...]] = {KERAS: (), PERFORMER_PYTORCH: ("torch", "performer_pytorch")}
"""The modules that each layer of another implementation needs."""


@dataclasses.dataclass(frozen=True)
class LayerSubject:
    """One row of a table.

    Attributes:
        label: a registered kind, or a name of `PEERS`.
        causal: whether it can be causal; measured in both directions if not.
        state: what its decoding cache stores, in words; None if there is nothing to measure of its decoding.
        peer: whether it is another implementation.
    """

    label: str
    causal: bool
    state: str | None
    peer: bool

    @property
    def without_decoding(self) -> str:
        """The reason why its decoding is not measured; empty if it is."""
        if self.state is not None:
            return ""
        if self.peer:
            return "has no decoding cache: each new token runs its prefix again"
        return "cannot decode" if self.causal else "attends in both directions only, so it cannot decode"


def registered() -> dict[str, dict[str, Any]]:
    """What `benchmarks.points.registered_kinds` says of each registered kind.

    Raises:
        ValueError: if the kinds cannot be listed.
    """
    listed = limited_process.run([sys.executable, "-m", "benchmarks.points.registered_kinds"], timeout=math.inf)
    if listed["status"] != limited_process.DONE:
        raise ValueError(f"The registered kinds could not be listed: {limited_process.failure(listed)}")
    return dict(listed["kinds"])


def installed_peers() -> list[str]:
    """The names of `PEERS` whose modules are there."""
    return [peer for peer in PEERS if not _missing(peer)]


def choose(kinds: Mapping[str, Mapping[str, Any]], chosen: Sequence[str], peers: Sequence[str]) -> list[LayerSubject]:
    """Makes the subjects.

    Args:
        kinds: what `registered` returns.
        chosen: the kinds to compare; all if empty.
        peers: other implementations to compare with.

    Raises:
        ValueError: for a kind that is not registered, or a peer that is unknown or not installed.
    """
    if unknown := [kind for kind in chosen if kind not in kinds]:
        raise ValueError(f"--kinds must be of the registered ones, {sorted(kinds)}. Received: {unknown}")
    for peer in peers:
        if peer not in PEERS:
            raise ValueError(f"--peer must be of {sorted(PEERS)}. Received: {peer!r}")
        if missing := _missing(peer):
            raise ValueError(f"A peer must be installed. Received: --peer={peer}, without {missing}")
    found = [LayerSubject(kind, kinds[kind]["causal"], kinds[kind]["state"], False) for kind in chosen or kinds]
    return list(dict.fromkeys([*found, *(LayerSubject(peer, True, None, True) for peer in peers)]))


def _missing(peer: str) -> list[str]:
    return [module for module in PEERS[peer] if importlib.util.find_spec(module) is None]
