"""The code that a page of the documentation shows."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = ("README.md", *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")))


def read(page):
    return (ROOT / page).read_text(encoding="utf-8")


def find(page, language):
    """The blocks in a language, as they stand in the page."""
    return re.findall(rf"^```{language}\n(.*?)^```", read(page), re.DOTALL | re.MULTILINE)


def python(page, **instead):
    """A page's Python blocks.

    Args:
        page: path from the root.
        **instead: what to write for a name, such as another layer.
    """
    found = find(page, "python")
    for before, after in instead.items():
        found = [block.replace(before, after) for block in found]
    return found
