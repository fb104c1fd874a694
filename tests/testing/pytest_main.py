"""Runs the given test files with pytest: the entry point of every Bazel test."""

import sys

import pytest

if __name__ == "__main__":
    sys.exit(pytest.main(sys.argv[1:]))
