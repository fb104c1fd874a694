"""Breaks the code on purpose, one small change at a time, and reports which test catches each change.

    python -m tools.breakages --output=breakages.json

Each breakage is applied to a copy of the repository (tracked files, as they are in the working tree). The tests of its
part and the conformance tests run until one fails; if none does, all other tests run. The whole table takes hours;
`--part` and `--only` choose some breakages. Results are written after each breakage, and the same command continues
with the missing ones. Tests that are marked slow are not run.

Most of the time passes before the failing test is reached. `--first` names a file with tests to try first:

    {"rotary_sign": ["tests/ops/test_rotary.py::test_angles_are_exact_far_out"]}

or a file of results, whose catching tests are then tried first. If these tests pass, or do not exist any more, the
breakage is tried as without the file: the file only changes how soon a breakage is caught.

Returns 1 if a breakage was not caught.
"""

import concurrent.futures
import pathlib
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence

from absl import app, flags

from tools.breakages import broken_copy, first_tests, run_tests, source, table
from tools.breakages.breakage import FOLDERS, Breakage
from tools.breakages.results import NOT_CAUGHT, Results

_ONLY = flags.DEFINE_list("only", [], "Names of the breakages to try; all if empty.")
_PART = flags.DEFINE_list("part", [], f"Parts whose breakages to try, of {', '.join(FOLDERS)}; all if empty.")
_OUTPUT = flags.DEFINE_string("output", "breakages.json", "File of the results.")
_LIST = flags.DEFINE_boolean("list", False, "List the breakages and try none.")
_ALL_TESTS = flags.DEFINE_boolean("all_tests", True, "Run all tests where those of the part catch nothing.")
_FIRST = flags.DEFINE_string("first", None, "File of tests to try first, or of results of an earlier run.")
_AGAIN = flags.DEFINE_boolean("again", False, "Try again what the file of the results has.")
_CHECK_UNBROKEN = flags.DEFINE_boolean("check_unbroken", False, "First see that the tests pass in an unbroken copy.")
_WORKERS = flags.DEFINE_integer("workers", 1, "How many breakages are tried at a time.", lower_bound=1)
_LIMIT = flags.DEFINE_float("limit", 7200.0, "Seconds after which tests count as hanging.", lower_bound=1.0)

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_CONFORMANCE = "tests/conformance"


def _chosen() -> list[Breakage]:
    """The breakages that the flags name.

    Raises:
        ValueError: If there is no such name or part.
    """
    names = [breakage.name for breakage in table.BREAKAGES]
    for flag, chosen, known in (("only", _ONLY.value, names), ("part", _PART.value, list(FOLDERS))):
        unknown = sorted(set(chosen) - set(known))
        if unknown:
            raise ValueError(f"--{flag} must be among {', '.join(known)}. Received: {', '.join(unknown)}")
    return [
        breakage
        for breakage in table.BREAKAGES
        if breakage.name in (_ONLY.value or names) and breakage.part in (_PART.value or FOLDERS)
    ]


def _check_applicable(breakages: Sequence[Breakage]) -> None:
    """Checks that all breakages can be applied, before any is tried.

    Raises:
        ValueError: If some cannot, with the reason for each.
    """
    problems = []
    for breakage in breakages:
        try:
            source.broken(_ROOT, breakage)
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise ValueError("\n".join(problems))


def _part_tests(part: str) -> list[str]:
    return [f"tests/{part}", _CONFORMANCE]


def _other_tests(part: str) -> list[str]:
    return ["tests", *(f"--ignore={folder}" for folder in _part_tests(part))]


def _first_tests(breakage: Breakage, first: Mapping[str, Sequence[str]]) -> list[str]:
    """The tests to try first; without `--all_tests` only tests of the breakage's part."""
    folders = ("tests/",) if _ALL_TESTS.value else tuple(f"{folder}/" for folder in _part_tests(breakage.part))
    return [test for test in first.get(breakage.name, ()) if test.startswith(folders)]


def _outcome(breakage: Breakage | None, tests: Sequence[str], first: Sequence[str] = ()) -> run_tests.Outcome:
    with tempfile.TemporaryDirectory(prefix="breakages-") as folder:
        broken_copy.make(_ROOT, pathlib.Path(folder), breakage)
        return run_tests.run(pathlib.Path(folder), tests, _LIMIT.value, first)


def _check_unbroken(parts: Sequence[str]) -> None:
    """Checks that the tests of the breakages pass on unbroken code.

    Raises:
        ValueError: If a test fails.
    """
    for part in parts:
        for tests in [_part_tests(part), *([_other_tests(part)] if _ALL_TESTS.value else [])]:
            found = _outcome(None, tests)
            if found.caught_by is not None:
                raise ValueError(f"Tests must pass where nothing is broken. Received: {found.caught_by} ({part})")
            print(f"unbroken: {' '.join(tests)} pass in {found.seconds:.0f} s", flush=True)


def _try(breakage: Breakage, results: Results, first: Sequence[str]) -> tuple[str | None, bool, float]:
    """Tries a breakage; returns the test that caught it, whether all tests were run, and the seconds."""
    known = None if _AGAIN.value else results.find(breakage)
    seconds = known["seconds"] if known else 0.0  # The seconds of the part's tests, which caught nothing.
    if known is None:
        found = _outcome(breakage, _part_tests(breakage.part), first)
        seconds, first = found.seconds, ()
        if found.caught_by is not None or not _ALL_TESTS.value:
            return found.caught_by, False, seconds
    print(f"{breakage.name}: missed by the tests of {breakage.part} in {seconds:.0f} s; all others are run", flush=True)
    found = _outcome(breakage, _other_tests(breakage.part), first)
    return found.caught_by, True, seconds + found.seconds


def _is_settled(breakage: Breakage, results: Results) -> bool:
    known = None if _AGAIN.value else results.find(breakage)
    return known is not None and (known["caught_by"] is not None or known["all_tests"] or not _ALL_TESTS.value)


def _try_all(breakages: Sequence[Breakage], results: Results, first: Mapping[str, Sequence[str]]) -> None:
    """Tries the breakages without a final result, and prints the progress."""
    missing = [breakage for breakage in breakages if not _is_settled(breakage, results)]
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(_WORKERS.value) as pool:
        started = {
            pool.submit(_try, breakage, results, _first_tests(breakage, first)): breakage for breakage in missing
        }
        try:
            for done, future in enumerate(concurrent.futures.as_completed(started), 1):
                breakage, (caught_by, all_tests, seconds) = started[future], future.result()
                results.add(breakage, caught_by, all_tests, seconds)
                said = f"caught by {caught_by}" if caught_by else NOT_CAUGHT
                left = (time.monotonic() - began) / done * (len(missing) - done)
                print(
                    f"breakage {done} of {len(missing)}: {breakage.name}: {said} in {seconds:.0f} s; "
                    f"about {left / 60:.0f} min left",
                    flush=True,
                )
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            run_tests.stop_all()
            raise


def main(argv: list[str]) -> int:
    """Tries the breakages and prints the table; returns 1 if one was not caught."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    # Ends like Ctrl-C, which stops the running tests.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        breakages = _chosen()
        _check_applicable(breakages)
        if _LIST.value:
            for breakage in breakages:
                print(f"{breakage.part:11}{breakage.name:40}{breakage.breaks}")
            return 0
        results = Results(pathlib.Path(_OUTPUT.value))
        first = first_tests.read(pathlib.Path(_FIRST.value)) if _FIRST.value else {}
        if _CHECK_UNBROKEN.value:
            _check_unbroken(list(dict.fromkeys(breakage.part for breakage in breakages)))
    except ValueError as error:
        sys.exit(f"Error: {error}")
    _try_all(breakages, results, first)
    missed = results.missed(breakages)
    print(f"\n{results.table(breakages)}\n\n{len(breakages) - len(missed)} of {len(breakages)} caught")
    return 1 if missed else 0


if __name__ == "__main__":
    app.run(main)
