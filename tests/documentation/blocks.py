"""Reads the code blocks of the documentation's pages."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = ("README.md", *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")))


def read(page):
    return (ROOT / page).read_text(encoding="utf-8")


def find(page, language):
    """The page's blocks in a language, unchanged."""
    return re.findall(rf"^```{language}\n(.*?)^```", read(page), re.DOTALL | re.MULTILINE)


def python(page, **instead):
    """A page's Python blocks.

    Args:
        page: path from the root.
        **instead: replacements of names, such as another layer.
    """
    found = find(page, "python")
    for before, after in instead.items():
        found = [block.replace(before, after) for block in found]
    return found
