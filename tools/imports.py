"""Finds the imports of the repository's files by parsing them, without running them."""

import ast
import dataclasses
import graphlib
import pathlib
import sys
from collections.abc import Collection, Mapping

TREES = ("reformer_tf", "trainer", "configs", "compilers", "benchmarks", "examples", "tests", "tools")


@dataclasses.dataclass(frozen=True)
class Imports:
    """The imports of one Python file, without the standard library.

    Attributes:
        files: Files of this repository, as paths relative to its root, without the `__init__.py` of packages that
            Python loads before a file.
        packages: Top-level names of third-party packages.
    """

    files: frozenset[str]
    packages: frozenset[str]


def python_files(root: pathlib.Path) -> list[str]:
    """Lists the Python files of the repository at `root`, as sorted paths relative to it."""
    found = [path for tree in TREES for path in (root / tree).rglob("*.py")] + list(root.glob("*.py"))
    return sorted(path.relative_to(root).as_posix() for path in found)


def find_imports(root: pathlib.Path, file: str) -> Imports:
    """Finds the imports of `file`, at its top or inside a function.

    Args:
        root: Root of the repository.
        file: Path of a Python file, relative to `root`.

    Returns:
        The files and the packages that it imports.

    Raises:
        ValueError: If it imports a module of this repository that does not exist.
    """
    files: set[str] = set()
    packages: set[str] = set()
    for name in _imported_names(ast.parse((root / file).read_text(encoding="utf-8")), file):
        top = name.split(".")[0]
        if top in TREES:
            files.add(_imported_file(root, name, file))
        elif top not in sys.stdlib_module_names:
            packages.add(top)
    return Imports(frozenset(files - {file}), frozenset(packages))


def cycle(graph: Mapping[str, Collection[str]]) -> list[str]:
    """Finds a cycle in `graph`.

    Args:
        graph: The successors of each node.

    Returns:
        The nodes of the cycle in sequence, the first one again at the end; an empty list if there is none.
    """
    try:
        # Sorted, so that it is the same cycle every time.
        graphlib.TopologicalSorter({node: sorted(graph[node]) for node in sorted(graph)}).prepare()
    except graphlib.CycleError as error:
        return error.args[1][::-1]  # It names each node after its successor.
    return []


def _imported_names(tree: ast.Module, file: str) -> set[str]:
    """Dotted names of all imports; `from a import b` gives `a.b`, whether or not b is a module."""
    package = pathlib.PurePosixPath(file).parent.parts
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package[: len(package) - node.level + 1] if node.level else ()
            module = [*parents, *([node.module] if node.module else [])]
            names.update(".".join([*module, alias.name]) for alias in node.names)
    return names


def _imported_file(root: pathlib.Path, name: str, importer: str) -> str:
    """The file of module `name`, or of the module that `name` is a member of."""
    module = name.replace(".", "/")
    for candidate in (module, module.rpartition("/")[0]):
        for file in (f"{candidate}.py", f"{candidate}/__init__.py"):
            if (root / file).is_file():
                return file
    raise ValueError(f"Every import must be of a module that exists. Received: import of {name} in {importer}")
