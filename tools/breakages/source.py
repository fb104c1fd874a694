"""Applies a breakage to the source of the function that it names."""

import ast
import pathlib
from collections.abc import Iterator
from typing import Any

from tools.breakages.breakage import FOLDERS, Breakage


def broken(root: pathlib.Path, breakage: Breakage) -> tuple[str, str]:
    """Makes the source with a breakage; writes nothing.

    Args:
        root: Root of the repository.
        breakage: The breakage to apply.

    Returns:
        Path of the file, relative to `root`, and its complete new text.

    Raises:
        ValueError: If the function or the old code does not exist exactly once, or the new code cannot replace it.
    """
    file, text, tree, function = _find_function(root, breakage)
    old, new = _parsed(breakage)
    found = [node for node in ast.walk(function) if ast.dump(node) == ast.dump(old)]
    if len(found) != 1:
        raise ValueError(
            f"{breakage.name}: old must be in the function exactly once. "
            f"Received: {breakage.old!r}, {len(found)} times in {breakage.function} in {file}"
        )
    changed = _replaced(text, found[0], breakage.new)
    before = ast.dump(tree)
    after = ast.dump(_Replacement(found[0], new).visit(tree))
    # Checked by parsing, because Python's positions of nodes are not always right, for instance inside f-strings.
    if after == before or not _has_dump(changed, after):
        raise ValueError(
            f"{breakage.name}: new must be other code that can take the place of old. Received: {breakage.new!r} for "
            f"{breakage.old!r} in {file}"
        )
    return file, changed


def _find_function(root: pathlib.Path, breakage: Breakage) -> tuple[str, str, ast.Module, ast.AST]:
    """The file of the function, its text and tree, and the function's node."""
    if breakage.part not in FOLDERS:
        raise ValueError(f"{breakage.name}: part must be one of {', '.join(FOLDERS)}. Received: {breakage.part!r}")
    leaf, found = breakage.function.rpartition(".")[2], []
    for path in sorted((root / FOLDERS[breakage.part]).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if f"def {leaf}" not in text:  # Parsing takes far longer than searching the text.
            continue
        tree = ast.parse(text)
        found += [
            (path.relative_to(root).as_posix(), text, tree, node)
            for name, node in _functions(tree)
            if name == breakage.function
        ]
    if len(found) != 1:
        files = ", ".join(file for file, *_ in found) or "no file"
        raise ValueError(
            f"{breakage.name}: function must be the qualified name of one function in {FOLDERS[breakage.part]}. "
            f"Received: {breakage.function!r}, which is in {files}"
        )
    return found[0]


def _functions(node: ast.AST, outer: str = "") -> Iterator[tuple[str, ast.AST]]:
    """All functions inside a node, with their qualified names."""
    for child in ast.iter_child_nodes(node):
        name = outer
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            name = f"{outer}.{child.name}" if outer else child.name
            if not isinstance(child, ast.ClassDef):
                yield name, child
        yield from _functions(child, name)


def _parsed(breakage: Breakage) -> tuple[ast.AST, list[ast.AST]]:
    """The old and the new nodes: expressions if both are expressions, otherwise one statement and several."""
    try:
        return ast.parse(breakage.old, mode="eval").body, [ast.parse(breakage.new, mode="eval").body]
    except SyntaxError:
        pass
    try:
        (old,), new = ast.parse(breakage.old).body, ast.parse(breakage.new).body
        return old, list(new)
    except (SyntaxError, ValueError) as error:
        raise ValueError(
            f"{breakage.name}: old must be one expression or statement, and new be code. "
            f"Received: {breakage.old!r} and {breakage.new!r}"
        ) from error


def _replaced(text: str, node: Any, new: str) -> str:
    """The text with a node's code replaced."""
    # Columns are counted in bytes.
    lines = text.encode("utf-8").splitlines(keepends=True)
    start = sum(map(len, lines[: node.lineno - 1])) + node.col_offset
    end = sum(map(len, lines[: node.end_lineno - 1])) + node.end_col_offset
    code = f"({new})" if isinstance(node, ast.expr) else new.replace("\n", "\n" + " " * node.col_offset)
    content = b"".join(lines)
    return (content[:start] + code.encode("utf-8") + content[end:]).decode("utf-8")


def _has_dump(text: str, dump: str) -> bool:
    try:
        return ast.dump(ast.parse(text)) == dump
    except SyntaxError:
        return False


class _Replacement(ast.NodeTransformer):
    """Replaces one node of a tree by others."""

    def __init__(self, old: ast.AST, new: list[ast.AST]):
        self._old = old
        self._new = new

    def visit(self, node: ast.AST) -> Any:
        if node is not self._old:
            return self.generic_visit(node)
        return self._new if isinstance(node, ast.stmt) else self._new[0]
