"""Tests that pytest runs."""

load("@rules_python//python:defs.bzl", "py_test")

_NEEDED = [
    "//tests",
    "//third_party:pytest",
]

def pytest_test(name, srcs, deps = [], **kwargs):
    """Makes a test that runs files with pytest.

    Args:
      name: Name of the target.
      srcs: The files.
      deps: What they import.
      **kwargs: Passed on to py_test.
    """
    py_test(
        name = name,
        srcs = srcs + ["//tests/testing:pytest_main.py"],
        args = ["$(location %s)" % src for src in srcs],
        data = ["//:pyproject.toml"],
        main = "//tests/testing:pytest_main.py",
        deps = deps + [dep for dep in _NEEDED if dep not in deps],
        **kwargs
    )
