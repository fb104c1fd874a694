"""Tests that pytest runs."""

load("@rules_python//python:defs.bzl", "py_test")

_NEEDED = [
    "//tests:conftest",
    "//third_party:pytest",
]

def pytest_test(name, srcs, deps = [], **kwargs):
    """Makes a test that runs one file with pytest.

    Args:
      name: Name of the target.
      srcs: The file, alone in a list.
      deps: What it imports.
      **kwargs: Passed on to py_test.
    """
    py_test(
        name = name,
        srcs = srcs + ["//tests/testing:pytest_main.py"],
        args = ["$(location %s)" % srcs[0]],
        data = ["//:pyproject.toml"],
        main = "//tests/testing:pytest_main.py",
        deps = deps + [dep for dep in _NEEDED if dep not in deps],
        **kwargs
    )
