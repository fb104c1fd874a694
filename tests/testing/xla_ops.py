"""Lists the operations of a traced function, and checks that XLA can compile all of them with static shapes.

The operations that TensorFlow registers for XLA are those of XLA on CPU (`XLA_CPU_JIT`). The list for TPUs is not in
TensorFlow's packages for CPU and GPU. Operations registered for every XLA device are in both lists; operations that are
registered only for CPU or only for TPU cannot be told here.
"""

import collections
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.python.framework import kernels

DEVICE = "XLA_CPU_JIT"

# Operations that make up functions: XLA's front end inlines them, so there are no kernels for them.
STRUCTURE = frozenset({"Placeholder", "_Arg", "_Retval", "PartitionedCall", "StatefulPartitionedCall"})

# Operations that a TPUStrategy adds: the replicas' inputs and outputs, the sum over replicas, and the exchange by which
# the optimizer's step counter follows the first replica.
TPU_STRATEGY_OPS = frozenset(
    {
        "AllToAll",
        "CrossReplicaSum",
        "TPUCompilationResult",
        "TPUReplicateMetadata",
        "TPUReplicatedInput",
        "TPUReplicatedOutput",
    }
)

CALLBACKS = frozenset(
    {
        "Assert",
        "EagerPyFunc",
        "HostCompute",
        "LogicalPrint",
        "Print",
        "PrintV2",
        "PyFunc",
        "PyFuncStateless",
        "XlaHostCompute",
        "XlaRecvFromHost",
        "XlaSendToHost",
        "_XlaHostComputeMlir",
    }
)

# Operations with results of dynamic shape; XLA's kernels for some of them bound the result and pass on its true size.
DYNAMIC = frozenset(
    {
        "DynamicPartition",
        "ListDiff",
        "NonMaxSuppressionV3",
        "NonMaxSuppressionV4",
        "RaggedRange",
        "Unique",
        "UniqueV2",
        "UniqueWithCounts",
        "Where",
        "XlaSetDynamicDimensionSize",
    }
)

# The types in `tensorflow/core/tpu/tpu_defs.h` of TensorFlow 2.20 and 2.21, without the quantized and 8-bit floats.
TPU_TYPES = frozenset(
    {
        tf.bool,
        tf.int8,
        tf.uint8,
        tf.int16,
        tf.uint16,
        tf.int32,
        tf.uint32,
        tf.int64,
        tf.uint64,
        tf.float16,
        tf.bfloat16,
        tf.float32,
        tf.float64,
        tf.complex64,
    }
)

_OUTSIDE = "_xla_outside_compilation"
_COMPILED = "_XlaMustCompile"
_HANDLES = (types_pb2.DT_RESOURCE, types_pb2.DT_VARIANT)


class Findings(NamedTuple):
    """The operations of a traced function and of all functions that it calls."""

    counts: dict[str, int]
    """The number of operations of each type."""
    types: dict[str, dict[str, int]]
    """By dtype, the number of operations of each type that have it as an attribute."""
    unregistered: list[str]
    """Types, or types with a dtype, that TensorFlow does not register for XLA."""
    dynamic: list[str]
    """Operations with a result of unknown shape, or of a type whose results are dynamic."""
    callbacks: list[str]
    """Operations that would call the host."""
    compiled_apart: list[str]
    """Inner functions that request to be compiled by themselves."""

    def problems(self) -> list[str]:
        """Texts about everything that a TPU would not take; empty if there is nothing."""
        parts = {
            "not registered for XLA": self.unregistered,
            "of a shape that is not static": self.dynamic,
            "calls to the host": self.callbacks,
            "compiled apart": self.compiled_apart,
            "types that TPUs do not have": sorted(set(self.types) - {dtype.name for dtype in TPU_TYPES}),
        }
        return [f"{name}: {', '.join(found)}" for name, found in parts.items() if found]


def examine(function: Any, also: Iterable[str] = ()) -> Findings:
    """Examines every operation of a traced function and of the functions in it.

    Args:
        function: The result of `get_concrete_function` of a `tf.function`.
        also: Types of operations that are allowed without being registered.

    Returns:
        The findings.
    """
    registered = _registered()
    counts: collections.Counter[str] = collections.Counter()
    types: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    unregistered, dynamic, callbacks = set(), set(), set()
    graph = function.graph.as_graph_def(add_shapes=True)
    for where, node in _nodes(graph):
        counts[node.op] += 1
        found = _types(node)
        for dtype in found.values():
            types[tf.as_dtype(dtype).name][node.op] += 1
        if node.op not in STRUCTURE | frozenset(also):
            unregistered.update(_not_in(registered, node.op, found))
        if node.op in DYNAMIC or _has_unknown_shape(node):
            dynamic.add(f"{node.op} {where}{node.name}")
        if node.op in CALLBACKS or _OUTSIDE in node.attr:
            callbacks.add(f"{node.op} {where}{node.name}")
    # Functions called by the outermost graph may request it: one of them is the complete step.
    called = {node.attr["f"].func.name for node in graph.node if "f" in node.attr}
    apart = [f.signature.name for f in graph.library.function if f.attr[_COMPILED].b and f.signature.name not in called]
    return Findings(
        counts=dict(counts.most_common()),
        types={name: dict(counter.most_common()) for name, counter in sorted(types.items())},
        unregistered=sorted(unregistered),
        dynamic=sorted(dynamic),
        callbacks=sorted(callbacks),
        compiled_apart=sorted(apart),
    )


def _registered() -> dict[str, list[Any]]:
    """The kernels for XLA by type of operation. TensorFlow registers them when it compiles for the first time."""
    tf.function(lambda: tf.constant(0) + 1, jit_compile=True, autograph=False)()
    found: dict[str, list[Any]] = collections.defaultdict(list)
    for kernel in kernels.get_all_registered_kernels().kernel:
        if kernel.device_type == DEVICE:
            found[kernel.op].append(kernel)
    if not found:
        raise RuntimeError(f"TensorFlow {tf.version.VERSION} lists no kernels for {DEVICE}.")
    return found


def _nodes(graph: Any) -> Iterator[tuple[str, Any]]:
    """All operations of a `GraphDef`, each with the name of its function."""
    for node in graph.node:
        yield "", node
    for function in graph.library.function:
        for node in function.node_def:
            yield f"{function.signature.name}/", node


def _types(node: Any) -> dict[str, int]:
    """The dtypes of numbers among the attributes of an operation, by name of the attribute."""
    return {
        name: value.type
        for name, value in node.attr.items()
        if not name.startswith("_") and value.WhichOneof("value") == "type" and value.type not in _HANDLES
    }


def _not_in(registered: dict[str, list[Any]], op: str, types: dict[str, int]) -> list[str]:
    if op not in registered:
        return [op]

    def takes(kernel: Any) -> bool:
        allowed = {c.name: c.allowed_values.list.type for c in kernel.constraint}
        return all(name not in allowed or dtype in allowed[name] for name, dtype in types.items())

    if any(takes(kernel) for kernel in registered[op]):
        return []
    return [f"{op}({', '.join(f'{name}={tf.as_dtype(dtype).name}' for name, dtype in sorted(types.items()))})"]


def _has_unknown_shape(node: Any) -> bool:
    shapes = node.attr["_output_shapes"].list.shape if "_output_shapes" in node.attr else []
    return any(shape.unknown_rank or any(dim.size < 0 for dim in shape.dim) for shape in shapes)
