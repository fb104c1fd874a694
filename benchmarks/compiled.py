"""Memory and operations of the compiled training step over depth and length, read from XLA's program.

    python -m benchmarks.compiled --depths=2,6,12,24 --lengths=4096 --output=compiled.json

For each size, with reversible layers and without: bytes of temporary buffers, arguments and outputs, operations of
matrix products and others, bytes accessed, and the largest buffers at the peak of temporary memory. Without `--run` no
step is run, so that sizes are possible that would take too long here. The device is the one that TensorFlow finds,
otherwise the CPU. Each point is a process of its own.
"""

import json
import os
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from absl import app, flags

from benchmarks.measuring import machine, point_process, size_flags
from benchmarks.sweeps.report import table
from trainer import atomic

_DEPTHS = flags.DEFINE_list("depths", ["2", "6", "12", "24"], "Layers.")
_LENGTHS = flags.DEFINE_list("lengths", ["4096"], "Tokens of a sequence.")
_REVERSIBLE = flags.DEFINE_list("reversible", ["true", "false"], "Whether the stack saves memory: true, false or both.")
_MODEL = ["width", "heads", "num_hashes", "chunk_length", "batch"]
for _size in _MODEL:
    size_flags.define(_size)
_PRECISION = flags.DEFINE_enum("precision", "float32", ["float32", "mixed_bfloat16"], "Dtype policy.")
_RUN = flags.DEFINE_bool("run", False, "Whether the programs are run as well.")
_REPEAT = flags.DEFINE_integer("repeat", 3, "Steps timed with --run, after one that is not.", lower_bound=1)
_TIMEOUT = flags.DEFINE_float("timeout", 3600.0, "Seconds after which a point is given up.", lower_bound=1.0)
_OUTPUT = flags.DEFINE_string("output", "compiled.json", "File of the results.")

_PASSED_ON = [*_MODEL, "precision", "run", "repeat"]
_MEMORY_FRACTION = 0.9
_MIB = 2**20


def _sizes() -> list[tuple[int, int, bool]]:
    """The points: length, depth, and whether the stack is reversible.

    Raises:
        ValueError: if a flag cannot be used.
    """
    numbers = {}
    for flag in (_LENGTHS, _DEPTHS):
        if not flag.value or not all(x.strip().isdigit() and int(x) > 0 for x in flag.value):
            raise ValueError(f"--{flag.name} must be positive integers. Received: {flag.value}")
        numbers[flag.name] = sorted({int(x) for x in flag.value})
    if not _REVERSIBLE.value or set(_REVERSIBLE.value) - {"true", "false"}:
        raise ValueError(f"--reversible must be of ['true', 'false']. Received: {_REVERSIBLE.value}")
    size_flags.check_heads()
    kinds = [kind == "true" for kind in dict.fromkeys(_REVERSIBLE.value)]
    return [(n, depth, kind) for n in numbers["lengths"] for depth in numbers["depths"] for kind in kinds]


def _measure(length: int, layers: int, reversible: bool) -> dict[str, Any]:
    passed_on = [f"--{name}={flags.FLAGS[name].value}" for name in _PASSED_ON]
    command = [sys.executable, "-m", "benchmarks.compiled_point", f"--length={length}", f"--layers={layers}"]
    limit = _MEMORY_FRACTION * machine.memory_mib()
    about = {"length": length, "layers": layers, "reversible": reversible, "load_before": os.getloadavg()[0]}
    return {**about, **point_process.run([*command, f"--reversible={reversible}", *passed_on], _TIMEOUT.value, limit)}


def report(points: Sequence[dict[str, Any]]) -> str:
    """The points as text: a table, the growth of memory with depth, and the largest buffers at the largest depth."""
    done = [p for p in points if p["status"] == point_process.DONE]
    parts = [_table(done)] if done else []
    parts += [
        f"length {p['length']:,}, {p['layers']} layers, {_name(p)}: {p['status']}: {p['reason'].splitlines()[-1]}"
        for p in points
        if p["status"] != point_process.DONE
    ]
    for length, reversible in dict.fromkeys((p["length"], p["reversible"]) for p in done):
        own = sorted(
            (p for p in done if (p["length"], p["reversible"]) == (length, reversible)), key=lambda p: p["layers"]
        )
        growth = [_growth(own[0], own[-1])] if len(own) > 1 else []
        parts.append("\n".join([*growth, *_alive(own[-1])]))
    return "\n\n".join(parts)


def _table(points: Sequence[dict[str, Any]]) -> str:
    heading = ["length", "layers", "stack", "temporary MiB", "arguments MiB", "outputs MiB"]
    heading += ["matmul GFLOP", "other G", "transcendental G", "accessed GB"]
    ran = any("step_s" in p for p in points)
    rows = [heading + ["step s", "run MiB"] * ran]
    for p in points:
        row = [f"{p['length']:,}", str(p["layers"]), _name(p)]
        row += [f"{p[name] / _MIB:,.1f}" for name in ("temporary_bytes", "argument_bytes", "output_bytes")]
        counted = ("matmul_flops", "elementwise_operations", "transcendentals", "bytes_accessed")
        row += [f"{p[name] / 1e9:,.2f}" for name in counted]
        rows.append(row + ([f"{p['step_s']:.3f}", f"{p['run_mib']:,.0f}"] if ran else []))
    return table(rows)


def _name(point: dict[str, Any]) -> str:
    return "reversible" if point["reversible"] else "plain"


def _growth(first: dict[str, Any], last: dict[str, Any]) -> str:
    ratio = last["temporary_bytes"] / first["temporary_bytes"]
    each = (last["temporary_bytes"] - first["temporary_bytes"]) / (last["layers"] - first["layers"]) / _MIB
    saved_mib = last["kept_buckets_mib"] / last["layers"]
    return (
        f"length {last['length']:,}, {_name(last)}: {last['layers']} layers need {ratio:.2f} times the temporary memory"
        f" of {first['layers']}: {each:,.2f} MiB a layer, of which saved buckets are {saved_mib:.2f}"
    )


def _alive(point: dict[str, Any]) -> list[str]:
    lines = [f"length {point['length']:,}, {point['layers']} layers, {_name(point)}: alive at the peak"]
    for kind in point["largest"]:
        size = f"{kind['bytes'] / _MIB:10,.1f} MiB in {kind['number']} buffers"
        lines.append(f"{size} {kind['shape']} made by {kind['opcode']} {kind['name']}".rstrip())
    return lines


def main(argv: list[str]) -> None:
    """Measures the points, and prints the table."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    output = pathlib.Path(_OUTPUT.value)
    arguments = {name: flags.FLAGS[name].value for name in ("lengths", "depths", "reversible", *_PASSED_ON)}
    content: dict[str, Any] = {"arguments": arguments, "machine": machine.describe(), "code": machine.code()}
    points: list[dict[str, Any]] = []
    try:
        sizes = _sizes()
        atomic.write_text(output, json.dumps({**content, "points": points}, indent=1) + "\n")
    except (ValueError, OSError) as error:
        sys.exit(f"Error: {error}")
    for number, size in enumerate(sizes, 1):
        points.append(_measure(*size))
        atomic.write_text(output, json.dumps({**content, "points": points}, indent=1) + "\n")
        length, layers, _ = size
        seconds = points[-1]["seconds"]
        print(f"point {number} of {len(sizes)}: length {length}, {layers} layers, {_name(points[-1])}:", end=" ")
        print(f"{points[-1]['status']} in {seconds:.0f} s", flush=True)
    print(f"\n{report(points)}\n\nresults: {output}")
    if any(p["status"] != point_process.DONE for p in points):
        sys.exit(1)


if __name__ == "__main__":
    app.run(main)
