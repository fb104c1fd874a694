"""Takes a run back to an earlier checkpoint and sets aside all that is later, completely or not at all.

The later checkpoints, the later lines of the metrics and the final report move to `WORKDIR/before_STEP_N/`, with a
copy of the config, so that the folder can be evaluated like that of a run. Event files are not moved, because every
start writes them anew from the remaining lines.

A note in the folder of the run lists the moves before the first one. If the process is killed, the next start completes
them, with or without `--checkpoint`. The note stays until the run is done or started without the flag, so that the same
command, repeated after a stop, continues the run and does not go back again.
"""

import json
import os
import pathlib
import re
from typing import Any

from trainer import atomic, json_text
from trainer.storage import checkpoint_choice, metrics, report_file
from trainer.storage.workdir import Workdir

_NOTE = "going_back.json"
_FOLDER = re.compile(r"before_\d+_\d+")
_CHECKPOINT = re.compile(r"step-(\d+)\.safetensors.*")  # Damaged ones too.


class GoingBack:
    """Decides whether a start of a run goes back, and to which checkpoint.

    Moves of an earlier start that was killed are completed first.

    Args:
        workdir: Folder of the run, locked.
        checkpoint: Value of `--checkpoint`: `newest`, `best` or the number of a step.
        same_config: Whether the config is that of the previous start.

    Attributes:
        checkpoint: The checkpoint to read. It is the newest by default, and if the same command went back already and
            its run is not done.

    Raises:
        ValueError: If the note is damaged.
    """

    def __init__(self, workdir: Workdir, checkpoint: str, same_config: bool):
        self._workdir = workdir
        self._asked = _normal(checkpoint)
        note = _read_note(workdir)
        if note is not None and not note["moved"]:
            _move(workdir, note)
        went_back = note is not None and same_config and note["checkpoint"] == self._asked
        self.checkpoint = checkpoint_choice.NEWEST if went_back else self._asked

    def carry_out(self, step: int) -> str | None:
        """Sets aside all that is later than a step, if the start goes back.

        Args:
            step: The step of the checkpoint that was read.

        Returns:
            A sentence about it; None if the start does not go back.
        """
        if self._asked == checkpoint_choice.NEWEST:
            forget(self._workdir)
            return None
        if self.checkpoint == checkpoint_choice.NEWEST:
            return f"This command went back before (--checkpoint={self._asked}): it goes on after step {step}."
        checkpoints, lines = _checkpoints(self._workdir, step), _split(self._workdir, step)[1]
        folder = None
        if checkpoints or lines or _has_later_report(self._workdir, step):
            folder = _new_folder(self._workdir, step)
        note = {"checkpoint": self._asked, "step": step, "folder": folder, "moved": False}
        _write_note(self._workdir, note)
        _move(self._workdir, note)
        if folder is None:
            return f"Went back to step {step}; there was nothing after it."
        complete = len([path for path in checkpoints if path.suffix == ".safetensors"])
        return (
            f"Went back to step {step}: {complete} checkpoints and {len(lines)} metrics lines of later steps "
            f"are in {self._workdir.root / folder} now."
        )


def forget(workdir: Workdir) -> None:
    """Removes the note: the run is done, or was started without going back."""
    (workdir.root / _NOTE).unlink(missing_ok=True)


def _move(workdir: Workdir, note: dict[str, Any]) -> None:
    """Makes the remaining moves of a note."""
    step = note["step"]
    if note["folder"] is not None:
        target = workdir.root / note["folder"]
        (target / "checkpoints").mkdir(parents=True, exist_ok=True)
        if workdir.config.exists() and not (target / "config.json").exists():
            _copy(workdir.config.read_bytes(), target / "config.json")
        earlier, later = _split(workdir, step)
        if later:
            _copy(b"".join(later), target / "metrics.jsonl")
            _copy(b"".join(earlier), workdir.metrics)
        if _has_later_report(workdir, step):  # The report last, because only it has the step of both.
            for path in (workdir.sample, workdir.report):
                if path.exists():
                    os.replace(path, target / path.name)
        # The newest first, so that the remaining ones are always those of a run.
        for path in reversed(_checkpoints(workdir, step)):
            os.replace(path, target / "checkpoints" / path.name)
        for changed in (target / "checkpoints", target, workdir.root / "checkpoints", workdir.root):
            atomic.sync_folder(changed)
    _write_note(workdir, {**note, "moved": True})


def _split(workdir: Workdir, step: int) -> tuple[list[bytes], list[bytes]]:
    """Splits the complete lines of the metrics into those up to a step and those after it."""
    earlier: list[bytes] = []
    later: list[bytes] = []
    for line, record in metrics.read_lines(workdir.metrics):
        (later if record["step"] > step else earlier).append(line)
    return earlier, later


def _checkpoints(workdir: Workdir, step: int) -> list[pathlib.Path]:
    """Lists the files of the checkpoints after a step, in ascending order."""
    folder = workdir.checkpoints().folder
    found = [(int(match[1]), name) for name in os.listdir(folder) if (match := _CHECKPOINT.fullmatch(name))]
    return [folder / name for number, name in sorted(found) if number > step]


def _has_later_report(workdir: Workdir, step: int) -> bool:
    """Whether the final report is of a later step, or cannot be read."""
    try:
        report = report_file.read(workdir.report)
    except ValueError:
        return True
    return report is not None and report["step"] > step


def _new_folder(workdir: Workdir, step: int) -> str:
    number = 1
    while (workdir.root / f"before_{step}_{number}").exists():
        number += 1
    return f"before_{step}_{number}"


def _normal(checkpoint: str) -> str:
    """Normalises the number of a step: `0040` becomes `40`."""
    return str(int(checkpoint)) if checkpoint.isdigit() else checkpoint


def _copy(content: bytes, path: pathlib.Path) -> None:
    with atomic.writing(path) as file:
        file.write(content)


def _write_note(workdir: Workdir, note: dict[str, Any]) -> None:
    atomic.write_text(workdir.root / _NOTE, json.dumps(note) + "\n")


def _read_note(workdir: Workdir) -> dict[str, Any] | None:
    path = workdir.root / _NOTE
    if not path.exists():
        return None
    try:
        note = json_text.parse_object(path.read_bytes())
        kinds = {"checkpoint": str, "step": int, "moved": bool}
        folder = note["folder"]
        valid = all(isinstance(note[name], kind) for name, kind in kinds.items())
        if valid and (folder is None or _FOLDER.fullmatch(folder)):
            return note
        received = repr(note)
    except (ValueError, KeyError, TypeError) as error:
        received = repr(error)
    raise ValueError(
        f"{path} must be as `--checkpoint` wrote it; remove it if the folder is as it should be. Received: {received}"
    )
