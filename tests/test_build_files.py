"""BUILD files: every Python file is in exactly one target, and dependencies are those of the imports."""

import ast
import collections
import pathlib

import pytest

from tools import build_files, imports

ROOT = pathlib.Path(__file__).resolve().parents[1]


def _targets() -> list[tuple[str, str, list[str], list[str]]]:
    """All targets in the BUILD files on disk: folder, name, srcs, deps. BUILD files have Python's syntax."""
    found = []
    for build in [ROOT / "BUILD", *(path for tree in imports.TREES for path in (ROOT / tree).rglob("BUILD"))]:
        folder = build.parent.relative_to(ROOT).as_posix()
        for call in [node for node in ast.walk(ast.parse(build.read_text())) if isinstance(node, ast.Call)]:
            values = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
            if "srcs" in values:
                found.append((folder, values["name"], values["srcs"], values.get("deps", [])))
    return found


def test_build_files_on_disk_are_up_to_date():
    stale = [path for path, text in build_files.build_files(ROOT).items() if _read(ROOT / path) != text]
    assert not stale, f"run `python -m tools.build_files`; not up to date: {stale}"


def _read(path: pathlib.Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def test_every_python_file_is_in_exactly_one_target():
    count = collections.Counter(
        (pathlib.Path(folder) / src).as_posix() for folder, _, srcs, _ in _targets() for src in srcs
    )
    assert count == collections.Counter(imports.python_files(ROOT))


def test_targets_depend_on_others_without_a_circle():
    graph = {f"//{folder}:{name}": {_full(dep, folder) for dep in deps} for folder, name, _, deps in _targets()}
    assert imports.cycle({label: deps & {*graph} for label, deps in graph.items()}) == []


def _full(label: str, folder: str) -> str:
    label = f"//{folder}{label}" if label.startswith(":") else label
    return label if ":" in label else f"{label}:{label.rpartition('/')[2]}"


def test_every_dependency_is_a_target():
    names = {f"//{'' if folder == '.' else folder}:{name}" for folder, name, _, _ in _targets()}
    third_party = {
        node.value for node in ast.walk(ast.parse(_read(ROOT / "third_party/BUILD"))) if isinstance(node, ast.Constant)
    }
    for folder, name, _, deps in _targets():
        for dep in deps:
            label = _full(dep, folder)
            package, _, target = label.partition(":")
            assert label in names or (package == "//third_party" and target in third_party), (folder, name, dep)


@pytest.fixture
def tree(tmp_path: pathlib.Path) -> pathlib.Path:
    files = {
        "reformer_tf/__init__.py": "from reformer_tf import ops",
        "reformer_tf/ops/__init__.py": "from reformer_tf.ops.sort import sort",
        "reformer_tf/ops/sort.py": "import os, numpy\nfrom . import keys\ndef sort(): import tensorflow.math",
        "reformer_tf/ops/keys.py": "",
        "tools/main.py": 'from reformer_tf.ops import sort\nif __name__ == "__main__":\n    sort()',
        "tests/__init__.py": "",
        "tests/ops/__init__.py": "",
        "tests/ops/test_keys.py": "from reformer_tf.ops import keys",
        "tests/ops/test_sort.py": "from reformer_tf.ops.sort import sort",
    }
    _write(tmp_path, files)
    return tmp_path


def _write(root: pathlib.Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def test_generated_targets(tree):
    files = build_files.build_files(tree)
    assert files["reformer_tf/ops/BUILD"].endswith(
        'py_library(\n    name = "ops",\n    srcs = [\n        "__init__.py",\n        "keys.py",\n        "sort.py",\n'
        '    ],\n    deps = [\n        "//third_party:numpy",\n        "//third_party:tensorflow",\n    ],\n)\n'
    )
    assert (
        'py_binary(\n    name = "main",\n    srcs = ["main.py"],\n    deps = ["//reformer_tf/ops"],\n)'
        in files["tools/BUILD"]
    )
    assert files["tests/ops/BUILD"].endswith(
        'pytest_test(\n    name = "test",\n    srcs = [\n        "test_keys.py",\n        "test_sort.py",\n    ],\n'
        '    deps = [\n        ":ops",\n        "//reformer_tf/ops",\n    ],\n)\n'
    )
    assert 'deps = ["//reformer_tf/ops"]' in files["reformer_tf/BUILD"]
    assert 'name = "tensorflow"' in files["third_party/BUILD"]


def test_where_folders_use_each_other_only_by_an_init_it_is_apart(tree):
    _write(tree, {"reformer_tf/local_paths.py": "", "reformer_tf/ops/keys.py": "from reformer_tf import local_paths"})
    files = build_files.build_files(tree)
    assert files["reformer_tf/BUILD"].endswith(
        'py_library(\n    name = "reformer_tf",\n    srcs = ["__init__.py"],\n    deps = ["//reformer_tf/ops"],\n)\n\n'
        'py_library(\n    name = "modules",\n    srcs = ["local_paths.py"],\n)\n'
    )
    assert 'deps = [\n        "//reformer_tf:modules",\n' in files["reformer_tf/ops/BUILD"]


def test_where_a_folder_stands_between_files_of_the_one_above_each_has_a_target(tree):
    _write(tree, {"reformer_tf/shapes.py": "", "reformer_tf/ops/keys.py": "from reformer_tf import shapes"})
    _write(tree, {"reformer_tf/model.py": "from reformer_tf.ops import keys"})
    files = build_files.build_files(tree)
    assert files["reformer_tf/BUILD"].endswith(
        'py_library(\n    name = "model",\n    srcs = ["model.py"],\n    deps = ["//reformer_tf/ops"],\n)\n\n'
        'py_library(\n    name = "shapes",\n    srcs = ["shapes.py"],\n)\n'
    )
    assert 'deps = [\n        "//reformer_tf:shapes",\n' in files["reformer_tf/ops/BUILD"]


def test_files_that_import_each_other_are_an_error(tree):
    (tree / "reformer_tf/ops/keys.py").write_text("import reformer_tf")
    with pytest.raises(ValueError, match=r"must not import each other. Received: the targets //reformer_tf"):
        build_files.build_files(tree)


def test_import_of_a_missing_module_is_an_error(tree):
    (tree / "tools/main.py").write_text("import reformer_tf.nothing.at_all")
    with pytest.raises(ValueError, match=r"module that exists. Received: import of reformer_tf\.nothing"):
        build_files.build_files(tree)
