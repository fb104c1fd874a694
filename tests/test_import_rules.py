"""What may import what, and what happens under another Keras backend."""

import os
import pathlib
import subprocess
import sys

import pytest

from tools import imports

ROOT = pathlib.Path(__file__).resolve().parents[1]
GRAPH = {file: imports.imports_of(ROOT, file) for file in imports.python_files(ROOT)}
LIBRARY_PACKAGES = {"keras", "numpy", "safetensors", "tensorflow"}
# Imported only where a file needs it, and not installed with the library.
OPTIONAL_PACKAGES = {"tensorflow_text", "torch"}


def _cycle(graph: dict[str, set[str]]) -> list[str]:
    """A cycle of `graph`, or an empty list: depth-first search."""
    done, path = set(), []

    def visit(node: str) -> list[str]:
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return []
        path.append(node)
        found = next(filter(None, map(visit, sorted(graph[node]))), [])
        path.pop()
        done.add(node)
        return found

    return next(filter(None, map(visit, sorted(graph))), [])


def test_cycles_are_found():
    assert _cycle({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert _cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]


def test_no_import_cycles():
    assert _cycle({file: set(found.files) for file, found in GRAPH.items()}) == []


@pytest.mark.parametrize(
    ("tree", "allowed"),
    [
        ("reformer_tf", {"reformer_tf"}),
        ("trainer", {"trainer", "reformer_tf"}),
        ("configs", {"configs", "trainer"}),
        ("benchmarks", {"benchmarks", "configs", "reformer_tf", "trainer"}),
        ("examples", {"examples"}),
    ],
)
def test_trees_import_only_what_they_stand_on(tree, allowed):
    files = [file for file in GRAPH if file.startswith(f"{tree}/")]
    assert files
    wrong = {(file, other) for file in files for other in GRAPH[file].files if other.split("/")[0] not in allowed}
    assert not wrong


def test_the_library_needs_only_a_few_packages():
    found = {(file, name) for file in GRAPH if file.startswith("reformer_tf/") for name in GRAPH[file].packages}
    assert {name for _, name in found} <= LIBRARY_PACKAGES | OPTIONAL_PACKAGES, found


@pytest.mark.parametrize("backend", ["numpy", "jax", "torch"])
def test_another_backend_is_refused(backend, tmp_path):
    # The environment need not have the other framework: the error must come before Keras looks for it.
    result = subprocess.run(
        [sys.executable, "-c", "import reformer_tf"],
        cwd=tmp_path,
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode != 0
    message = result.stderr.strip().splitlines()[-1]
    assert "KERAS_BACKEND" in message
    assert '"tensorflow"' in message
    assert f'Received: KERAS_BACKEND="{backend}"' in message.replace("'", '"')


def test_importing_the_library_imports_neither_the_trainer_nor_other_frameworks(tmp_path):
    unwanted = {"trainer", "configs", "tensorflow_datasets", "transformers", *OPTIONAL_PACKAGES}
    code = f"import sys, reformer_tf; assert not {unwanted} & {{*sys.modules}}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True, timeout=120)
