"""Deliberate breakages: each can be applied to the present code, and the tool finds the tests that catch them."""

import ast
import collections
import json
import pathlib
import subprocess
import sys

import pytest

from tools.breakages import broken_copy, first_tests, run_tests, source, table
from tools.breakages.breakage import FOLDERS, Breakage
from tools.breakages.results import Results

ROOT = pathlib.Path(__file__).resolve().parents[1]
CODE = '''"""Ünicode before what is replaced."""


class Window:
    def sees(self, query, key):
        """Whether `query < key`."""
        é, near = query < key, [query - key]
        if near:
            return é and near[0] < 3
        return f"{query - 1}"

    def hides(self, query, key):
        return query < key
'''


@pytest.fixture
def tree(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "reformer_tf/ops/windows").mkdir(parents=True)
    (tmp_path / "reformer_tf/ops/windows/window.py").write_text(CODE, encoding="utf-8")
    (tmp_path / "reformer_tf/ops/other.py").write_text("def sees():\n    return 0 < 3\n", encoding="utf-8")
    return tmp_path


def _breakage(old: str, new: str, function: str = "Window.sees", part: str = "ops") -> Breakage:
    return Breakage("name", part, function, old, new, "It breaks.")


@pytest.mark.parametrize("breakage", table.BREAKAGES, ids=lambda breakage: breakage.name)
def test_every_breakage_can_be_applied(breakage):
    file, text = source.broken(ROOT, breakage)
    before = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert file.startswith(FOLDERS[breakage.part])
    assert ast.dump(ast.parse(text)) != ast.dump(before)


def test_every_part_has_breakages_with_tests_of_their_own():
    names = collections.Counter(breakage.name for breakage in table.BREAKAGES)
    assert max(names.values()) == 1
    assert {breakage.part for breakage in table.BREAKAGES} == set(FOLDERS)
    assert all((ROOT / "tests" / part).is_dir() for part in FOLDERS)
    assert all(breakage.breaks.endswith(".") for breakage in table.BREAKAGES)


def test_an_expression_is_replaced_and_nothing_else(tree):
    file, text = source.broken(tree, _breakage("query < key", "query <= key or key"))
    assert file == "reformer_tf/ops/windows/window.py"
    assert text == CODE.replace("é, near = query < key,", "é, near = (query <= key or key),")


def test_a_statement_is_replaced_or_left_out(tree):
    old = "if near:\n    return é and near[0] < 3"
    _, without = source.broken(tree, _breakage(old, "pass"))
    assert "        pass\n        return f" in without
    _, longer = source.broken(tree, _breakage(old, "near.clear()\nreturn near"))
    assert "        near.clear()\n        return near\n        return f" in longer


def test_formatting_does_not_matter(tree):
    path = tree / "reformer_tf/ops/windows/window.py"
    path.write_text(CODE.replace("query < key,", "(\n            query  # of a token\n            < key\n        ),"))
    _, text = source.broken(tree, _breakage("(query<key)", "key"))
    assert "query  # of a token" not in text


def test_the_file_does_not_matter(tree):
    (tree / "reformer_tf/ops/windows/window.py").rename(tree / "reformer_tf/ops/moved.py")
    assert source.broken(tree, _breakage("query < key", "key"))[0] == "reformer_tf/ops/moved.py"


@pytest.mark.parametrize(
    ("breakage", "message"),
    [
        (_breakage("query > key", "key"), "old must be in the function exactly once. Received: 'query > key', 0 times"),
        (_breakage("query", "key"), r"exactly once. Received: 'query', 3 times in Window.sees in .*/window.py"),
        (
            _breakage("near", "key", "Window.looks"),
            "one function in reformer_tf/ops. Received: .*, which is in no file",
        ),
        (_breakage("near", "key", "looks"), "must be the qualified name"),
        (_breakage("query < key", "key", part="trainer"), "one function in trainer. Received: 'Window.sees'"),
        (_breakage("query < key", "key", part="ears"), "part must be one of ops, .*. Received: 'ears'"),
        (_breakage("query < key", "(query < key)"), "new must be other code"),
        (_breakage("query <", "key"), "old must be one expression or statement"),
        (_breakage("a = 1\nb = 2", "key"), "old must be one expression or statement"),
        (_breakage("if near:\n    return é and near[0] < 3", "if"), "and new be code"),
    ],
)
def test_what_cannot_be_applied_is_refused(tree, breakage, message):
    with pytest.raises(ValueError, match=message):
        source.broken(tree, breakage)


def test_a_function_that_is_there_twice_is_refused(tree):
    (tree / "reformer_tf/ops/again.py").write_text(CODE, encoding="utf-8")
    with pytest.raises(ValueError, match=r"which is in reformer_tf/ops/again.py, reformer_tf/ops/windows/window.py"):
        source.broken(tree, _breakage("query < key", "key"))


@pytest.fixture
def repository(tree: pathlib.Path) -> pathlib.Path:
    (tree / "tests/ops").mkdir(parents=True)
    (tree / "reformer_tf/__init__.py").write_text("")
    # Without an __init__.py, as a namespace package.
    (tree / "tests/ops/test_window.py").write_text(
        "import os, subprocess, sys, time\n"
        "from reformer_tf.ops.windows.window import Window\n"
        "def test_sees(): assert Window().sees(1, 2)\n"
        "def test_hides():\n"
        "    code = 'from reformer_tf.ops.windows.window import Window; assert Window().hides(1, 2)'\n"
        "    subprocess.run([sys.executable, '-c', code], check=True)\n"
    )
    (tree / "untracked.py").write_text("")
    subprocess.run(["git", "init", "-q"], cwd=tree, check=True)
    subprocess.run(["git", "add", "reformer_tf", "tests"], cwd=tree, check=True)
    return tree


def _caught_by(repository: pathlib.Path, folder: pathlib.Path, breakage: Breakage | None, limit: float = 60.0) -> str:
    broken_copy.make(repository, folder, breakage)
    assert not (folder / "untracked.py").exists()
    return run_tests.run(folder, ["tests/ops"], limit).caught_by


def test_a_copy_is_broken_and_tried(repository, tmp_path_factory):
    def folder() -> pathlib.Path:
        return tmp_path_factory.mktemp("copy")

    assert _caught_by(repository, folder(), None) is None
    sees = _breakage("query < key", "query > key")
    assert _caught_by(repository, folder(), sees) == "tests/ops/test_window.py::test_sees"
    # In a process that the test starts.
    hides = _breakage("query < key", "query > key", "Window.hides")
    assert _caught_by(repository, folder(), hides) == "tests/ops/test_window.py::test_hides"
    exits = _breakage("return query < key", "import os\nos.abort()", "Window.hides")
    assert _caught_by(repository, folder(), exits) == "tests/ops/test_window.py::test_hides"
    aborts = _breakage("é and near[0] < 3", "__import__('os').abort()")
    assert _caught_by(repository, folder(), aborts) == "ended by SIGABRT"
    sleeps = _breakage("é and near[0] < 3", "__import__('time').sleep(600)")
    assert _caught_by(repository, folder(), sleeps, limit=5.0) == run_tests.TIMED_OUT
    assert (repository / "reformer_tf/ops/windows/window.py").read_text(encoding="utf-8") == CODE


def test_tests_that_cannot_be_run_are_an_error(repository, tmp_path):
    with pytest.raises(RuntimeError, match="pytest must run the tests. Received: it ended with 4"):
        run_tests.run(repository, ["tests/nothing"], 60.0)


def test_what_is_tried_first_decides_nothing_but_the_time(repository):
    (repository / "tests/ops/test_again.py").write_text(
        "from tests.ops.test_window import test_sees\ndef test_passes(): pass\n"
    )
    path = repository / "reformer_tf/ops/windows/window.py"
    path.write_text(CODE.replace("query < key,", "query > key,"))

    def caught_by(*first: str) -> str:
        return run_tests.run(repository, ["tests/ops"], 60.0, first).caught_by

    sees, again = (f"tests/ops/test_{file}.py::test_sees" for file in ("window", "again"))
    assert caught_by(sees) == sees
    assert caught_by("tests/ops/test_again.py::test_passes") == again
    assert caught_by(sees, "tests/ops/test_ears.py") == again
    assert caught_by("tests/ops/test_window.py::test_smells") == again


def test_tests_that_look_at_the_code_are_not_run_even_by_name(repository):
    (repository / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    (repository / "tests/test_breakages.py").write_text("def test_it(): assert False\n")
    assert run_tests.run(repository, ["tests"], 60.0, ["tests/test_breakages.py::test_it"]).caught_by is None


def test_what_to_try_first_is_read_from_a_file_of_tests_or_of_results(tmp_path):
    path, name = tmp_path / "first.json", "tests/ops/test_window.py::test_sees"
    path.write_text(json.dumps({"a": [name, "tests/layers"], "b": []}))
    assert first_tests.read(path) == {"a": [name, "tests/layers"], "b": []}
    results = Results(tmp_path / "results.json")
    for number, caught_by in enumerate([f"{name}[1-[2]]", name, None, run_tests.TIMED_OUT]):
        results.add(Breakage(f"{number}", "ops", "sees", "a", "b", "It breaks."), caught_by, False, 1.0)
    assert first_tests.read(tmp_path / "results.json") == {"0": [name], "1": [name]}


@pytest.mark.parametrize(
    "content",
    [
        None,
        "{}}",
        "3",
        '{"a": "tests/test_a.py"}',
        '{"a": [3]}',
        '{"a": ["-m", "slow"]}',
        '[{"name": "a"}]',
        '["a"]',
        '[{"name": "a", "caught_by": 3}]',
    ],
)
def test_other_files_are_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "first.json").write_text(content)
    with pytest.raises(ValueError, match=r"--first must be a JSON file of lists of tests.* Received: .*first.json \("):
        first_tests.read(tmp_path / "first.json")


def test_results_are_saved_and_are_of_the_breakage_as_it_is(tmp_path):
    path, first = tmp_path / "results.json", _breakage("a", "b")
    results = Results(path)
    assert results.find(first) is None
    results.add(first, None, True, 1.25)
    again = Results(path)
    assert again.find(first)["seconds"] == 1.2
    assert again.find(_breakage("a", "c")) is None
    assert again.missed([first]) == [first]
    assert "NOT CAUGHT: It breaks." in again.table([first])
    again.add(first, "tests/test_a.py::test_a", False, 2.0)
    assert not again.missed([first])
    assert again.table([first]).endswith("2.0 s  tests/test_a.py::test_a")
    path.write_text("{}}")
    with pytest.raises(ValueError, match="--output must be new or of an earlier run"):
        Results(path)


def _command(*flags: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "tools.breakages", *flags]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_command_lists_what_is_chosen():
    lines = _command("--list", "--part=models,export").stdout.splitlines()
    assert {line.split()[0] for line in lines} == {"models", "export"}
    assert len(_command("--list").stdout.splitlines()) == len(table.BREAKAGES)


def test_command_refuses_unknown_names():
    result = _command("--only=nothing")
    assert result.returncode == 1
    assert "--only must be among" in result.stderr and "Received: nothing" in result.stderr


def test_command_refuses_a_file_before_anything_is_tried(tmp_path):
    result = _command(f"--first={tmp_path / 'first.json'}", f"--output={tmp_path / 'results.json'}")
    assert result.returncode == 1 and not result.stdout
    assert "Error: --first must be a JSON file" in result.stderr and "FileNotFoundError" in result.stderr


@pytest.mark.slow
def test_command_finds_a_breakage_caught(tmp_path):
    flags = ["--only=beams_ignore_stop_tokens", f"--output={tmp_path / 'results.json'}", "--noall_tests"]
    result = _command(*flags)
    assert result.returncode == 0, result.stderr
    assert "1 of 1 caught" in result.stdout
    (found,) = json.loads((tmp_path / "results.json").read_text())
    assert found["caught_by"].startswith("tests/generation/")
    # Breakages with results are not tried again.
    assert "breakage 1 of" not in _command(*flags).stdout
    # The catching test is now known.
    again = _command(*flags, "--again", f"--first={tmp_path / 'results.json'}")
    assert again.returncode == 0, again.stderr
    (quickly,) = json.loads((tmp_path / "results.json").read_text())
    assert quickly["caught_by"].partition("[")[0] == found["caught_by"].partition("[")[0]
