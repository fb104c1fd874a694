"""The launches of a compiled program: what it executes, with loops as often as they iterate.

On a GPU these are kernels, though a sort counts once, which may be several kernels; on a TPU, whose whole program is
one, they are the instructions outside fusions.
"""

import collections
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from compilers.hlo import traffic
from compilers.hlo.operations import Operations, backend_config, operations, total

# Instructions that compute nothing: values from elsewhere, other names for them, and what fixes the sequence.
_FREE = {"parameter", "constant", "partition-id", "replica-id"}
_FREE |= {"tuple", "get-tuple-element", "bitcast"}
_FREE |= {"add-dependency", "after-all", "opt-barrier"}
# Functions of a TPU's compiler that do the same.
_FREE_CALLS = {"AllocateBuffer", "ConcatBitcast"}


class Launch(NamedTuple):
    """An instruction that is executed.

    Attributes:
        instruction: its `HloInstructionProto`.
        kind: what computes it: the compiler's kind of a fusion, the function of a library, or the opcode.
        times: how often it is executed.
        operations: of one execution.
        bytes: of main memory that one execution reads and writes.
        in_background: whether it is started and awaited later, so that others may run beside it.
    """

    instruction: Any
    kind: str
    times: int
    operations: Operations
    bytes: int
    in_background: bool = False


class Launches(NamedTuple):
    """The launches of a program.

    Attributes:
        all: the launches, one for each instruction.
        unknown_loops: the number of loops counted as one iteration because their trip count is unknown.
    """

    all: Sequence[Launch]
    unknown_loops: int


def launches(module: Any) -> Launches:
    """Follows an `HloModuleProto` from its entry. Of branches, the one with the most work is taken."""
    walk = _Walk(module)
    found = list(walk.executed(module.entry_computation_id, 1))
    return Launches(found, walk.unknown_loops)


def count(found: Launches) -> dict[str, int]:
    """The sums of launches: `matmul_flops`, `elementwise_operations`, `transcendentals`, `bytes_accessed`.

    Args:
        found: the launches.

    Returns:
        The sums, and `unknown_loops`.
    """
    every = total(launch.operations.times(launch.times) for launch in found.all)
    return {
        "matmul_flops": sum(every.matmul.values()),
        "elementwise_operations": every.arithmetic,
        "transcendentals": every.transcendentals,
        "bytes_accessed": sum(launch.times * launch.bytes for launch in found.all),
        "unknown_loops": found.unknown_loops,
    }


def estimated_cycles(found: Launches) -> int:
    """The cycles that the compiler itself estimates; 0 if it notes none."""
    configs = ((launch.times, backend_config(launch.instruction).get("window_config")) for launch in found.all)
    return sum(times * int((config or {}).get("estimated_cycles", 0)) for times, config in configs)


class _Walk:
    def __init__(self, module: Any):
        self.computations = {c.id: c for c in module.computations}
        self.unknown_loops = 0

    def executed(self, identifier: int, times: int) -> Iterator[Launch]:
        """The launches of so many executions of a computation."""
        computation = self.computations[identifier]
        by_id = {i.id: i for i in computation.instructions}
        for instruction in computation.instructions:
            opcode, called = instruction.opcode, list(instruction.called_computation_ids)
            if opcode in _FREE or instruction.custom_call_target in _FREE_CALLS:
                continue
            if opcode.endswith(("-done", "-update")):  # Of what was started earlier.
                continue
            if opcode == "while":
                body, condition = called
                yield from self.executed(body, times * self._trip_count(instruction, condition))
            elif opcode == "conditional":
                yield Launch(instruction, opcode, times, Operations(), 0)
                yield from max((list(self.executed(branch, times)) for branch in called), key=_work)
            elif called and opcode == "call":
                yield from self.executed(called[0], times)
            elif called and opcode.endswith("-start"):
                for launch in self.executed(called[0], times):
                    yield launch._replace(in_background=True)
            else:
                operands = [by_id[i] for i in instruction.operand_ids]
                work = operations(instruction, operands, self.computations)
                moved = traffic.moved(instruction, operands, self.computations)
                started = opcode.endswith("-start")
                yield Launch(instruction, _kind(instruction), times, work, moved, started)

    def _trip_count(self, loop: Any, condition: int) -> int:
        """The iterations of a loop: as the compiler found them, or those of a loop that counts up from 0 by 1.

        The latter is what loops of TensorFlow and of XLA do.
        """
        known = backend_config(loop).get("known_trip_count", {}).get("n")
        if known is not None:
            return int(known)
        bounds: list[int] = []
        for instruction, by_id in self._within(condition):
            if instruction.opcode == "compare" and instruction.comparison_direction == "LT":
                bounds += _integers(by_id[instruction.operand_ids[1]])
        if not bounds:
            self.unknown_loops += 1
            return 1
        return min(bounds)

    def _within(self, identifier: int) -> Iterator[tuple[Any, dict[int, Any]]]:
        """All instructions of a computation and of the computations that it calls."""
        computation = self.computations[identifier]
        by_id = {i.id: i for i in computation.instructions}
        for instruction in computation.instructions:
            yield instruction, by_id
            for called in instruction.called_computation_ids:
                yield from self._within(called)


def _kind(instruction: Any) -> str:
    if instruction.opcode == "fusion":
        found = backend_config(instruction).get("fusion_backend_config", {}).get("kind")
        return f"fusion {found or instruction.fusion_kind}".strip()
    if instruction.opcode == "custom-call":
        return f"{instruction.opcode} {instruction.custom_call_target}"
    return instruction.opcode


def _work(branch: Sequence[Launch]) -> int:
    sums: collections.Counter[str] = collections.Counter()
    for launch in branch:
        every = launch.operations.times(launch.times)
        sums.update(operations=sum(every.matmul.values()) + every.arithmetic + every.transcendentals)
        sums.update(bytes=launch.times * launch.bytes)
    return sum(sums.values())


def _integers(instruction: Any) -> list[int]:
    """The values of an integer constant; none of anything else."""
    literal = instruction.literal
    return [*literal.s32s, *literal.s64s, *literal.u32s, *literal.u64s] if instruction.opcode == "constant" else []
