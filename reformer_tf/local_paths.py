"""Checks that paths from users are in the file system of this machine.

Python takes `gs://bucket/run` for a relative path and silently writes to a local folder `gs:`.
"""

import os
import pathlib
import re

# One slash is enough: `pathlib` turns two into one.
_ADDRESS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):/")


def checked(name: str, path: str | os.PathLike[str]) -> pathlib.Path:
    """Returns a path with `~` expanded.

    Args:
        name: the argument or flag, for the message.
        path: the path from the user.

    Raises:
        ValueError: if it is empty, an address such as `gs://bucket`, or in the home of an unknown user.
    """
    text = os.fspath(path)
    if not text.strip():
        raise ValueError(f"{name} must be a path. Received: {text!r}")
    if "\0" in text:
        raise ValueError(f"{name} must be a path without a zero byte. Received: {text!r}")
    address = _ADDRESS.match(text)
    if address:
        raise ValueError(
            f"{name} must be a path in the file system of this machine: addresses with {address['scheme']}: are not "
            f"supported, but storage that is mounted is (./{address['scheme']}: is a local folder of that name). "
            f"Received: {text!r}"
        )
    expanded = os.path.expanduser(text)
    if expanded.startswith("~"):
        user = text.split("/")[0]
        raise ValueError(
            f"{name} must not begin with {user!r}, for which there is no home (./{user} is a path of that name). "
            f"Received: {text!r}"
        )
    return pathlib.Path(expanded)


def checked_folder(name: str, path: str | os.PathLike[str]) -> pathlib.Path:
    """Returns the path of a folder, which need not exist yet; see `checked`.

    Raises:
        ValueError: as `checked`; also if the path or one of its parents exists and is not a folder.
    """
    folder = checked(name, path)
    for part in (folder, *folder.parents):
        if os.path.lexists(part):
            if part.is_dir():
                return folder
            what = "a file" if part.exists() else "a link to what is not there"
            raise ValueError(f"{name} must be a folder. Received: {os.fspath(path)!r}, where {part} is {what}")
    return folder
