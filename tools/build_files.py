"""Writes the BUILD files: one library a folder, with exactly the dependencies that its files import.

    python -m tools.build_files

A folder is a `py_library` of its Python files. It also has a `py_binary` for each file that is run as a command, and
one `pytest_test` of all its test files. Bazel does not allow cycles of targets. Where libraries would depend on each
other in a cycle, the folder nearest to the root gets two targets: one for its `__init__.py`, which re-exports names of
the folders below, and `modules` for the other files. If a cycle remains, because folders below use files of that
folder, the folder has a target for each file.

A test keeps the BUILD files up to date: it fails when one on disk differs from the one that this module would write.
"""

import collections
import pathlib

from tools import imports

_PYTEST = 'load("//tests:pytest.bzl", "pytest_test")'
_VISIBILITY = 'package(default_visibility = ["//visibility:public"])'
_THIRD_PARTY = '''"""Packages of the Python environment that Bazel runs in.

They bring no files of their own: install them beforehand, as the README says. To let Bazel fetch them, point these
targets to those of a pip repository.
"""'''
# Forms of a folder: one library, `__init__.py` in a target of its own, each file in a target of its own.
_ONE_LIBRARY, _INIT_APART, _FILES_APART = range(3)
# Added to every test by `pytest.bzl`.
_EVERY_TEST_HAS = "//tests:tests"


def build_files(root: pathlib.Path) -> dict[str, str]:
    """Makes the content of every BUILD file of the repository at `root`.

    Args:
        root: Root of the repository.

    Returns:
        Content by path relative to `root`.

    Raises:
        ValueError: If a file imports a module of this repository that does not exist, or files import each other.
    """
    graph = {file: imports.find_imports(root, file) for file in imports.python_files(root)}
    commands = {file for file in graph if _is_command(root / file)}
    labels = _labels(graph, commands)
    folders: dict[str, dict[str, list[str]]] = collections.defaultdict(lambda: collections.defaultdict(list))
    for file, label in labels.items():
        folders[_folder(file)][label].append(file)
    contents = {}
    for folder, targets in folders.items():
        rules = {label: _target_rule(files[0], commands) for label, files in targets.items()}
        texts = [_target(label, rules[label], files, graph, labels) for label, files in targets.items()]
        exports = [] if folder else ['exports_files(["pyproject.toml"])']
        exports += ['exports_files(["pytest_main.py"])'] if (root / folder / "pytest_main.py").is_file() else []
        parts = [_loads({*rules.values()}), _VISIBILITY, *exports, *texts]
        contents[(pathlib.PurePosixPath(folder) / "BUILD").as_posix()] = "\n\n".join(parts) + "\n"
    packages = {"pytest"}.union(*(found.packages for found in graph.values()))
    libraries = [_rule("py_library", package, {}) for package in sorted(packages)]
    contents["third_party/BUILD"] = "\n\n".join([_THIRD_PARTY, _loads({"py_library"}), _VISIBILITY, *libraries]) + "\n"
    return contents


def _target_rule(file: str, commands: set[str]) -> str:
    return "pytest_test" if _is_test(file) else "py_binary" if file in commands else "py_library"


def _target(label: str, rule: str, files: list[str], graph: dict[str, imports.Imports], labels: dict[str, str]) -> str:
    """The text of a target of some files of one folder."""
    folder = _folder(files[0])
    deps = {labels[other] for file in files for other in graph[file].files} - {label}
    deps |= {f"//third_party:{package}" for file in files for package in graph[file].packages}
    if rule == "pytest_test":  # Tests use files such as `conftest.py` without importing them.
        deps = (deps | {_library(folder)}) - {_EVERY_TEST_HAS}
    names = [pathlib.PurePosixPath(file).name for file in files]
    attributes = {"srcs": names, "deps": sorted((_relative(dep, folder) for dep in deps), key=_sort_key)}
    return _rule(rule, label.partition(":")[2], attributes)


def _is_test(file: str) -> bool:
    return pathlib.PurePosixPath(file).name.startswith("test_")


def _is_command(path: pathlib.Path) -> bool:
    return not _is_test(path.name) and 'if __name__ == "__main__":' in path.read_text(encoding="utf-8")


def _labels(graph: dict[str, imports.Imports], commands: set[str]) -> dict[str, str]:
    """The label of each file's target, chosen so that targets do not depend on each other in a cycle."""
    forms = {_folder(file): _ONE_LIBRARY for file in graph}
    forms[""] = _FILES_APART  # The root is no package.
    while True:
        labels = {file: _label(file, forms[_folder(file)], file in commands) for file in graph}
        dependencies: dict[str, set[str]] = {label: set() for label in labels.values()}
        for file, label in labels.items():
            dependencies[label] |= {labels[other] for other in graph[file].files} - {label}
        circle = imports.cycle(dependencies)
        if not circle:
            return labels
        folders = {_folder(file) for file, label in labels.items() if label in circle}
        nearest = min((f for f in folders if forms[f] != _FILES_APART), key=lambda f: (f.count("/"), f), default=None)
        if nearest is None:
            raise ValueError(f"Files must not import each other. Received: the targets {' -> '.join(circle)}")
        forms[nearest] += 1


def _label(file: str, form: int, is_command: bool) -> str:
    path = pathlib.PurePosixPath(file)
    folder = _folder(file)
    if _is_test(file):
        return f"//{folder}:test"
    if is_command or (form == _FILES_APART and path.stem != "__init__"):
        return f"//{folder}:{path.stem}"
    return f"//{folder}:modules" if form == _INIT_APART and path.stem != "__init__" else _library(folder)


def _folder(file: str) -> str:
    return file.rpartition("/")[0]


def _library(folder: str) -> str:
    return f"//{folder}:{folder.rpartition('/')[2]}"


def _relative(label: str, folder: str) -> str:
    """The shortest form of a label inside the BUILD file of `folder`."""
    package, _, name = label[2:].partition(":")
    if package == folder:
        return f":{name}"
    return f"//{package}" if package.rpartition("/")[2] == name else label


def _sort_key(label: str) -> tuple[bool, str]:
    """The key by which buildifier sorts labels: labels of the same folder come first."""
    return (not label.startswith(":"), label.replace(":", "!"))


def _loads(rules: set[str]) -> str:
    python = ", ".join(f'"{rule}"' for rule in sorted(rules - {"pytest_test"}))
    lines = [f'load("@rules_python//python:defs.bzl", {python})'] if python else []
    return "\n".join(lines + ([_PYTEST] if "pytest_test" in rules else []))


def _rule(rule: str, name: str, attributes: dict[str, list[str]]) -> str:
    lines = [f"{rule}(", f'    name = "{name}",']
    for key, values in attributes.items():
        if len(values) == 1:
            lines.append(f'    {key} = ["{values[0]}"],')
        elif values:
            lines += [f"    {key} = [", *(f'        "{value}",' for value in values), "    ],"]
    return "\n".join([*lines, ")"])


def main() -> None:
    """Writes the BUILD files of this repository, and removes those of folders without Python files."""
    root = pathlib.Path(__file__).resolve().parents[1]
    contents = build_files(root)
    for tree in imports.TREES:
        for old in (root / tree).rglob("BUILD"):
            if old.relative_to(root).as_posix() not in contents:
                old.unlink()
    for path, text in contents.items():
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    print(f"{len(contents)} BUILD files written")


if __name__ == "__main__":
    main()
