"""Rules of imports between folders, and the error under another Keras backend."""

import os
import pathlib
import subprocess
import sys

import pytest

from tools import imports

ROOT = pathlib.Path(__file__).resolve().parents[1]
GRAPH = {file: imports.find_imports(ROOT, file) for file in imports.python_files(ROOT)}
LIBRARY_PACKAGES = {"keras", "numpy", "safetensors", "tensorflow"}
# Packages that are imported only where a file needs them, and not installed with the library.
OPTIONAL_PACKAGES = {"sentencepiece", "tensorflow_text", "torch"}
# The levels of the product trees, from the bottom. The level of a file is that of the longest entry that is its path or
# one of its folders. A file imports only files of its own level or of lower ones, so no folders import each other.
LEVELS = (
    "reformer_tf/local_paths.py",
    "reformer_tf/ops/shapes.py",
    "reformer_tf/ops/execution",
    "reformer_tf/ops",
    "reformer_tf/ops/attention",
    "reformer_tf/ops/caches",
    "reformer_tf/ops/reversible",
    "reformer_tf/layers",
    "reformer_tf/layers/attention",
    "reformer_tf/layers/reversible",
    "reformer_tf/layers/__init__.py",
    "reformer_tf/tokenizers",
    "reformer_tf/generation/samplers",
    "reformer_tf/generation",
    "reformer_tf/models",
    "reformer_tf/export",
    "reformer_tf/pretrained",
    "reformer_tf/__init__.py",
    "trainer",
    "trainer/data/documents.py",
    "trainer/data/stored_ids.py",
    "trainer/data/id_documents.py",
    "trainer/data/labelled_documents.py",
    "trainer/data/pair_documents.py",
    "trainer/data/generated",
    "trainer/data/corpora",
    "trainer/__init__.py",
    "trainer/data",
    "trainer/tasks",
    "trainer/model_fields.py",
    "trainer/optimization",
    "trainer/distribution",
    "trainer/storage",
    "trainer/model.py",
    "trainer/initialization",
    "trainer/data_checks.py",
    "trainer/model_checks.py",
    "trainer/config_checks.py",
    "trainer/training",
    "trainer/results",
    "trainer/commands",
    "trainer/convert.py",
    "trainer/evaluate.py",
    "trainer/export.py",
    "trainer/generate.py",
    "trainer/local_cluster.py",
    "trainer/task.py",
    "trainer/vocabulary.py",
    "configs",
    "compilers",
    "compilers/hlo",
    "compilers/chips",
    "compilers/processes",
    "compilers/steps",
    "compilers/runs",
    "compilers/reports",
    "benchmarks/measuring",
    "benchmarks/reports",
    "benchmarks/train_step.py",
    "benchmarks/peers",
    "benchmarks/points",
    "benchmarks",
    "examples",
    "tools",
)
# `--check` of the command compares with the tests' reference, which is imported for that alone.
BETWEEN_TREES = {("benchmarks/train_step.py", "tests/testing/unblocked/check.py")}
PRODUCT_TREES = [tree for tree in imports.TREES if tree != "tests"]


def test_cycles_are_found():
    assert imports.cycle({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert imports.cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    found = imports.cycle({"a": {"b"}, "b": {"c"}, "c": {"d"}, "d": {"b"}})
    assert found in (["b", "c", "d", "b"], ["c", "d", "b", "c"], ["d", "b", "c", "d"])


def _level(path: str) -> int:
    """The index in `LEVELS` of the entry for `path`; -1 if there is none."""
    parts = path.split("/")
    within = ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]
    return next((LEVELS.index(entry) for entry in within if entry in LEVELS), -1)


def test_no_import_cycles():
    assert imports.cycle({file: set(found.files) for file, found in GRAPH.items()}) == []


def test_levels():
    assert _level("reformer_tf/ops/execution/loops.py") == LEVELS.index("reformer_tf/ops/execution")
    assert _level("reformer_tf/ops/shapes.py") < _level("reformer_tf/ops/sums.py") < _level("tools/imports.py")
    assert _level("setup.py") == -1


def test_every_level_is_there_once():
    assert len({*LEVELS}) == len(LEVELS)
    found = {_level(file) for file in GRAPH if file.split("/")[0] in PRODUCT_TREES}
    assert found == {*range(len(LEVELS))}


@pytest.mark.parametrize("tree", PRODUCT_TREES)
def test_no_import_from_a_higher_level(tree):
    files = [file for file in GRAPH if file.startswith(f"{tree}/")]
    upwards = {(file, other) for file in files for other in GRAPH[file].files if _level(other) > _level(file)}
    assert not upwards


def test_folders_of_tests_do_not_import_each_other_in_a_circle():
    graph: dict[str, set[str]] = {}
    for file, found in GRAPH.items():
        if file.startswith("tests/"):
            folder = file.rpartition("/")[0]
            tests = {other.rpartition("/")[0] for other in found.files if other.startswith("tests/")}
            graph.setdefault(folder, set()).update(tests - {folder})
    assert imports.cycle(graph) == []


def test_no_file_is_long():
    lengths = {file: len((ROOT / file).read_text(encoding="utf-8").splitlines()) for file in GRAPH}
    assert not {file: length for file, length in lengths.items() if length > 300}


def test_few_files_at_the_door_of_the_trainer():
    door = [file for file in GRAPH if file.rpartition("/")[0] == "trainer"]
    commands = [file for file in door if 'if __name__ == "__main__":' in (ROOT / file).read_text(encoding="utf-8")]
    assert len(door) - len(commands) <= 14


@pytest.mark.parametrize(
    ("tree", "allowed"),
    [
        ("reformer_tf", {"reformer_tf"}),
        ("trainer", {"trainer", "reformer_tf"}),
        ("configs", {"configs", "trainer"}),
        ("compilers", {"compilers", "reformer_tf", "trainer"}),
        ("benchmarks", {"benchmarks", "compilers", "configs", "reformer_tf", "trainer"}),
        ("examples", {"examples"}),
    ],
)
def test_trees_import_only_what_they_stand_on(tree, allowed):
    files = [file for file in GRAPH if file.startswith(f"{tree}/")]
    assert files
    wrong = {(file, other) for file in files for other in GRAPH[file].files if other.split("/")[0] not in allowed}
    assert not wrong - BETWEEN_TREES


def test_the_library_needs_only_a_few_packages():
    found = {(file, name) for file in GRAPH if file.startswith("reformer_tf/") for name in GRAPH[file].packages}
    assert {name for _, name in found} <= LIBRARY_PACKAGES | OPTIONAL_PACKAGES, found


@pytest.mark.parametrize("backend", ["numpy", "jax", "torch"])
def test_another_backend_is_refused(backend, tmp_path):
    # The other framework need not be installed: the error must come before Keras looks for it.
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
