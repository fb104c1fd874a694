"""The files of a folder: those that are documents, and those that are left out, with the reason."""

from __future__ import annotations

import dataclasses
import errno
import fnmatch
import itertools
import os
import stat
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from trainer.data.corpora import text_or_binary

EMPTY = "empty"
HIDDEN = "hidden"
LINKED_FOLDER = "link to a folder"
NOT_READABLE = "not readable"
NOT_REGULAR = "no regular file"
WITHOUT_TARGET = "link to nowhere"
BY_CONTENT = (text_or_binary.WITH_NUL, text_or_binary.NOT_UTF8)

# A file that may be read but cannot be (a failing disk, an unreachable server) is an error and never left out: it would
# be a document at the next start.
_REASONS = {
    errno.EACCES: NOT_READABLE,
    errno.EPERM: NOT_READABLE,
    errno.ENOENT: WITHOUT_TARGET,
    errno.ELOOP: WITHOUT_TARGET,
}
_LOOK = 1 << 20  # Bytes to read first: most large binary files are recognised by them.
_SHOWN = 3


@dataclasses.dataclass(frozen=True)
class FoundFiles:
    """The documents in a folder, and the files that are left out.

    Attributes:
        names: paths of the documents, relative to the folder with `/`, sorted.
        documents: contents of the documents.
        left_out: paths of the other files, by reason.
    """

    names: list[str]
    documents: list[bytes]
    left_out: Mapping[str, list[str]]

    def summary(self) -> str:
        """Describes the files that are left out; empty if there are none."""
        return "; ".join(f"{reason}: {len(names):,} ({shown(names)})" for reason, names in self.left_out.items())

    def note(self, source: str) -> str:
        """Describes what was taken and left out, for people; `source` names the folder."""
        left_out = f" Left out: {self.summary()}." if self.left_out else ""
        return f"{source}: {len(self.documents):,} document(s): {shown(self.names)}.{left_out}"


def shown(names: Iterable[str]) -> str:
    """Lists the first few names, escaped so that any name can be printed."""
    quoted = [repr(name) for name in itertools.islice(names, _SHOWN + 1)]
    return ", ".join(quoted if len(quoted) <= _SHOWN else [*quoted[:_SHOWN], "..."])


def is_folder(name: str, path: Path) -> bool:
    """Whether a path is a folder, and not a file.

    Args:
        name: the field or flag that names it, for the message.
        path: the path.

    Raises:
        ValueError: if there is nothing.
    """
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except OSError as error:
        raise ValueError(
            f"{name} must name an existing folder or file. Received: {str(path)!r} ({error.strerror})"
        ) from error


def find(root: Path, pattern: str, any_bytes: bool, skipped_folders: Collection[str] = ()) -> FoundFiles:
    """Reads the documents below a folder.

    A document is a regular file with at least one byte, of text (see `plain_text`) unless `any_bytes`. Files and
    folders whose names begin with a dot are left out, those of version control among them; so are links to folders, and
    what may not be read. A link to a file is read.

    Args:
        root: the folder.
        pattern: which file names to look at, such as `"*.txt"`, or with a slash which paths below `root`, such as
            `"*/de/*.po"`; other files do not count as left out.
        any_bytes: whether files that are no text are documents too.
        skipped_folders: names of folders not to look into; what is in them does not count as left out.

    Raises:
        OSError: if `root`, or a file that may be read, cannot be read.
    """
    left_out: dict[str, list[str]] = {}
    found: dict[str, bytes] = {}
    for name in sorted(list_names(root, pattern, skipped_folders, left_out)):
        content, reason = read(root / name, any_bytes)
        if reason:
            left_out.setdefault(reason, []).append(name)
        else:
            found[name] = content
    return FoundFiles(list(found), list(found.values()), {key: sorted(left_out[key]) for key in sorted(left_out)})


def read(file: Path, any_bytes: bool) -> tuple[bytes, str]:
    """Reads a file: its content, and the reason why it is no document (empty if it is one).

    Raises:
        OSError: if the file may be read but cannot be.
    """
    try:
        if not stat.S_ISREG(file.stat().st_mode):  # A pipe would wait for ever.
            return b"", NOT_REGULAR
        with file.open("rb") as stream:
            content = stream.read(_LOOK)
            if not any_bytes and text_or_binary.has_nul(content):
                return b"", text_or_binary.WITH_NUL
            content += stream.read()
    except OSError as error:
        if error.errno not in _REASONS:
            error.filename = str(file)  # Reading does not say it.
            raise
        return b"", _REASONS[error.errno]
    if not content:
        return b"", EMPTY
    return content, "" if any_bytes else text_or_binary.fault(content)


def list_names(root: Path, pattern: str, skipped_folders: Collection[str], left_out: dict[str, list[str]]) -> list[str]:
    """Lists the files below a folder by their paths relative to it; `find` says which. Adds the others to `left_out`.

    Raises:
        OSError: if `root`, or a folder that may be read, cannot be read.
    """

    def leave_out(reason: str, folder: str, name: str) -> None:
        left_out.setdefault(reason, []).append(Path(folder, name).relative_to(root).as_posix())

    def on_error(error: OSError) -> None:
        if error.errno not in _REASONS or Path(error.filename) == root:
            raise error
        leave_out(_REASONS[error.errno], error.filename, "")

    found = []
    for folder, subfolders, names in os.walk(root, onerror=on_error):
        subfolders[:] = [name for name in subfolders if name not in skipped_folders]
        for name in [name for name in subfolders if name.startswith(".")]:
            leave_out(HIDDEN, folder, name)
            subfolders.remove(name)
        for name in subfolders:
            if os.path.islink(os.path.join(folder, name)):  # os.walk does not follow it.
                leave_out(LINKED_FOLDER, folder, name)
        for name in names:
            path = Path(folder, name).relative_to(root).as_posix()
            if fnmatch.fnmatchcase(path if "/" in pattern else name, pattern):
                if name.startswith("."):
                    leave_out(HIDDEN, folder, name)
                else:
                    found.append(path)
    return found
