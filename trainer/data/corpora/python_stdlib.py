"""The sources of the running Python's standard library as a TFDS data set: real, long documents on every machine."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import os
import platform
import shutil
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import ml_collections
import tensorflow as tf
import tensorflow_datasets as tfds
from absl import logging

from trainer.data.corpora.corpus import Corpus, choose_validation
from trainer.data.documents import Documents

_SKIPPED_FOLDERS = frozenset({"site-packages", "dist-packages", "__pycache__"})


def source_files(root: str | os.PathLike[str]) -> list[tuple[str, bytes]]:
    """Reads the Python sources below a folder.

    Taken are all `*.py` files, the library's own tests among them. Left out are `site-packages`, `dist-packages` and
    `__pycache__`; empty files; files that are not UTF-8 (test data for other encodings); and `_sysconfigdata*`, which
    holds the paths of the machine that built Python.

    Args:
        root: the folder.

    Returns:
        (path relative to `root` with `/`, content), in the order of the paths.

    Raises:
        ValueError: if a file cannot be read, or if there are fewer than two.
    """
    root = Path(root)
    found = []
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = [name for name in subfolders if name not in _SKIPPED_FOLDERS]
        for name in names:
            file = Path(folder, name)
            if name.endswith(".py") and not name.startswith("_sysconfigdata"):
                try:
                    if file.is_file():  # not a link to nowhere
                        found.append((file.relative_to(root).as_posix(), file.read_bytes()))
                except OSError as error:
                    raise ValueError(
                        f"the sources of the standard library must be readable. Received: {str(file)!r} "
                        f"({error.strerror})"
                    ) from error
    files = sorted((name, content) for name, content in found if content and _is_utf8(content))
    if len(files) < 2:
        raise ValueError(
            "config.data.name='python_stdlib' needs the sources of the standard library, which this Python does not "
            f"have. Received: {str(root)!r} with {len(files)} sources"
        )
    return files


@dataclasses.dataclass(kw_only=True)
class PythonStdlibConfig(tfds.core.BuilderConfig):
    """One version of the sources with one split.

    Attributes:
        files: the sources, (path, content).
        validation_fraction: the part of the bytes that is for validation.
    """

    files: list[tuple[str, bytes]] = dataclasses.field(default_factory=list, repr=False)
    validation_fraction: float = 0.02


class PythonStdlib(tfds.core.GeneratorBasedBuilder):
    """Python standard library sources, one example a file, split by file into train and validation.

    Features: `text` (the file's bytes) and `name` (its path). See `source_files` for what is taken and
    `choose_validation` for the split. The config is named after the Python version and the content, so another
    interpreter, or another fraction, is another data set, and prepared data is never stale.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "First version."}

    def __init__(
        self,
        *,
        source: str | None = None,
        validation_fraction: float = 0.02,
        config: PythonStdlibConfig | None = None,
        **kwargs: Any,
    ) -> None:
        """Makes the builder.

        Args:
            source: the folder of the sources; by default that of the running interpreter.
            validation_fraction: the part of the bytes that is for validation.
            config: a config of `make_config`, instead of the two.
            **kwargs: for `tfds.core.GeneratorBasedBuilder`, such as `data_dir`.
        """
        super().__init__(config=config or make_config(source, validation_fraction), **kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            description="Sources of the Python standard library, one example a file.",
            features=tfds.features.FeaturesDict({"text": tfds.features.Text(), "name": tfds.features.Text()}),
            metadata=tfds.core.MetadataDict(
                python_version=platform.python_version(), python_implementation=platform.python_implementation()
            ),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        del dl_manager  # nothing to download
        config = self.builder_config
        names, contents = zip(*config.files, strict=True)
        chosen = choose_validation(names, [len(content) for content in contents], config.validation_fraction)
        return {
            "train": self._generate_examples([f for i, f in enumerate(config.files) if i not in chosen]),
            "validation": self._generate_examples([f for i, f in enumerate(config.files) if i in chosen]),
        }

    def _generate_examples(self, files: list[tuple[str, bytes]]) -> Iterator[tuple[str, dict[str, Any]]]:
        for name, content in files:
            yield name, {"text": content, "name": name}


def make_config(source: str | None = None, validation_fraction: float = 0.02) -> PythonStdlibConfig:
    """Reads the sources and names the config after the Python version and a digest of content and fraction."""
    files = source_files(source or sysconfig.get_paths()["stdlib"])
    digest = hashlib.sha256(repr(validation_fraction).encode())
    for name, content in files:
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    version = platform.python_version().replace(".", "_").replace("+", "")
    return PythonStdlibConfig(
        name=f"{platform.python_implementation().lower()}_{version}_{digest.hexdigest()[:12]}",
        description=f"Python {platform.python_version()}",
        files=files,
        validation_fraction=validation_fraction,
    )


def load(config: ml_collections.ConfigDict) -> Corpus:
    """Loads the corpus, preparing it in `config.data_dir` at the first time.

    Args:
        config: `config.data`, with `data_dir` and `validation_fraction`.

    Returns:
        The corpus; documents in the order of their paths.

    Raises:
        ValueError: if this Python has no sources, or if `data_dir` cannot be written.
    """
    data_dir = Path(config.data_dir or default_data_dir()).expanduser()
    builder_config = make_config(validation_fraction=config.validation_fraction)
    try:
        with _quiet():
            builder = prepared_builder(builder_config, data_dir)
            train, validation = _read(builder, "train"), _read(builder, "validation")
    except OSError as error:
        raise ValueError(
            "config.data.data_dir must be a folder that can be written, to keep the prepared corpus in. "
            f"Received: {str(data_dir)!r} ({error.strerror})"
        ) from error
    if sorted([*train, *validation]) != builder_config.files:
        raise ValueError(
            "config.data.data_dir must hold what was prepared in it, unchanged: delete the damaged folder. "
            f"Received: {str(builder.data_dir)!r}"
        )
    return Corpus(
        name=f"Python {platform.python_version()} standard library ({builder_config.name})",
        train=Documents(content for _, content in train),
        validation=Documents(content for _, content in validation),
    )


def default_data_dir() -> Path:
    """Returns the default folder of prepared data: `reformer_tf` in the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "reformer_tf"


def prepared_builder(config: PythonStdlibConfig, data_dir: Path) -> PythonStdlib:
    """Returns a builder whose data is prepared, offline.

    The data is prepared in a private folder that is then renamed, so any number of processes may do this at the same
    time, and a process that is killed leaves nothing half-done.
    """
    target = data_dir / PythonStdlib.name / config.name / str(PythonStdlib.VERSION)
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(data_dir)
        with tempfile.TemporaryDirectory(prefix=".preparing-", dir=data_dir) as private:
            tfds.disable_progress_bar()
            builder = PythonStdlib(config=config, data_dir=private)
            builder.download_and_prepare()
            try:
                os.rename(builder.data_dir, target)
            except OSError:
                if not target.exists():  # else another process was faster, with the same data
                    raise
    return PythonStdlib(config=config, data_dir=data_dir)


def _read(builder: PythonStdlib, split: str) -> list[tuple[str, bytes]]:
    """Reads (path, content), sorted by path; of a damaged file, the records before the damage."""
    examples = []
    with contextlib.suppress(tf.errors.OpError, OSError, ValueError):
        for example in tfds.as_numpy(builder.as_dataset(split=split)):
            examples.append((example["name"].decode(), example["text"]))
    return sorted(examples)


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _remove_leftovers(data_dir: Path) -> None:
    """Removes private folders of killed processes, once they are an hour old."""
    for folder in data_dir.glob(".preparing-*"):
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime > 3600:
                shutil.rmtree(folder)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hides messages of TFDS about private folders and custom configs."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.set_verbosity(verbosity)
