"""Writes the BUILD files: one target a Python file, with exactly the dependencies that it imports.

    python -m tools.build_files

A test keeps them up to date: it fails when a BUILD file on disk is not the one that this module would write.
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


def build_files(root: pathlib.Path) -> dict[str, str]:
    """Makes the content of every BUILD file of the repository at `root`.

    Args:
        root: Root of the repository.

    Returns:
        Content by path relative to `root`.

    Raises:
        ValueError: If a file imports a module of this repository that does not exist.
    """
    folders = collections.defaultdict(list)
    packages = {"pytest"}
    for file in imports.python_files(root):
        found = imports.imports_of(root, file)
        packages |= found.packages
        labels = [_label(path) for path in found.files] + [f"//third_party:{package}" for package in found.packages]
        folders[pathlib.PurePosixPath(file).parent].append(_target(root, file, labels))
    contents = {}
    for folder, targets in folders.items():
        rules = {rule for rule, _ in targets}
        exports = ['exports_files(["pyproject.toml"])'] if folder == pathlib.PurePosixPath() else []
        exports += ['exports_files(["pytest_main.py"])'] if (root / folder / "pytest_main.py").is_file() else []
        parts = [_loads(rules), _VISIBILITY, *exports, *(text for _, text in targets)]
        contents[(folder / "BUILD").as_posix()] = "\n\n".join(parts) + "\n"
    libraries = [_rule("py_library", package, {}) for package in sorted(packages)]
    contents["third_party/BUILD"] = "\n\n".join([_THIRD_PARTY, _loads({"py_library"}), _VISIBILITY, *libraries]) + "\n"
    return contents


def _target(root: pathlib.Path, file: str, labels: list[str]) -> tuple[str, str]:
    """The rule of `file` and its text."""
    path = pathlib.PurePosixPath(file)
    attributes = {"srcs": [path.name], "deps": sorted({_relative(label, path.parent) for label in labels}, key=_order)}
    if path.name.startswith("test_"):
        rule = "pytest_test"
    elif 'if __name__ == "__main__":' in (root / file).read_text(encoding="utf-8"):
        rule = "py_binary"
    else:
        rule = "py_library"
    return rule, _rule(rule, _name(path), attributes)


def _name(path: pathlib.PurePosixPath) -> str:
    return path.parent.name if path.stem == "__init__" else path.stem


def _label(file: str) -> str:
    path = pathlib.PurePosixPath(file)
    return f"//{'' if path.parent.name == '' else path.parent}:{_name(path)}"


def _relative(label: str, folder: pathlib.PurePosixPath) -> str:
    """The shortest form of `label` inside the BUILD file of `folder`."""
    package, _, name = label[2:].partition(":")
    if package == folder.as_posix():
        return f":{name}"
    return f"//{package}" if package.rpartition("/")[2] == name else label


def _order(label: str) -> tuple[bool, str]:
    """Labels of the same folder first, as buildifier sorts them."""
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
