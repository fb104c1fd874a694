"""The sizes of the shapes of a program."""

import math
import re
from typing import Any

from tensorflow.compiler.xla import xla_data_pb2

MAIN_MEMORY = 0
"""The number of the space in which buffers are that the program does not keep on the chip itself."""

_BITS = {"PRED": 8, "TOKEN": 0, "OPAQUE_TYPE": 0, "BUFFER": 0}


def elements(shape: Any) -> int:
    """The number of elements of a `ShapeProto`, of all parts of a tuple together."""
    return sum(elements(x) for x in shape.tuple_shapes) if shape.tuple_shapes else math.prod(shape.dimensions)


def size(shape: Any) -> int:
    """The bytes of a `ShapeProto` without padding, of all parts of a tuple together."""
    if shape.tuple_shapes:
        return sum(size(x) for x in shape.tuple_shapes)
    return math.prod(shape.dimensions) * _bits(dtype(shape)) // 8


def main_memory_size(shape: Any) -> int:
    """The bytes of a `ShapeProto` that are in the device's main memory; other spaces are on the chip itself."""
    if shape.tuple_shapes:
        return sum(main_memory_size(x) for x in shape.tuple_shapes)
    return size(shape) if shape.layout.memory_space == MAIN_MEMORY else 0


def dtype(shape: Any) -> str:
    """The dtype of a `ShapeProto` as the compiler names it, such as `"BF16"`."""
    known = xla_data_pb2.PrimitiveType
    return known.Name(shape.element_type) if shape.element_type in known.values() else "OPAQUE_TYPE"


def _bits(name: str) -> int:
    if name in _BITS:
        return _BITS[name]
    digits = re.match(r"[A-Z]+(\d+)", name)  # The first number, as in F8E4M3FN.
    return int(digits[1]) if digits else 0
