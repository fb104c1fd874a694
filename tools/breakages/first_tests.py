"""Reads the tests to try first from a file."""

import json
import pathlib


def read(path: pathlib.Path) -> dict[str, list[str]]:
    """Reads tests by the names of the breakages that they are expected to catch.

    Args:
        path: A JSON file with an object of lists of tests, by the names of breakages; or with the results of an earlier
            run, from which the catching tests are taken, with all of their parameters.

    Returns:
        Arguments of pytest by the names of breakages, some of which may not exist any more.

    Raises:
        ValueError: If it is no such file.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        tests = _caught(content) if isinstance(content, list) else content
        right = isinstance(tests, dict) and all(_are_tests(value) for value in tests.values())
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise _refused(path, repr(error)) from error
    if not right:
        raise _refused(path, "not of lists of tests")
    return tests


def _caught(results: list) -> dict[str, list[str]]:
    # `caught_by` may also be another end of a run, such as a timeout.
    caught = {found["name"]: found["caught_by"] or "" for found in results}
    return {name: [test.partition("[")[0]] for name, test in caught.items() if test.startswith("tests/")}


def _are_tests(value: object) -> bool:
    # Options are refused, since they could choose tests that are not run otherwise.
    return isinstance(value, list) and all(isinstance(test, str) and test.startswith("tests/") for test in value)


def _refused(path: pathlib.Path, reason: str) -> ValueError:
    return ValueError(
        "--first must be a JSON file of lists of tests, each beginning with tests/, by the names of breakages, or of "
        f"results. Received: {path} ({reason})"
    )
