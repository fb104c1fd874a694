"""The quiet import of TensorFlow hides its noise, and no other messages."""

import os
import sys

import pytest

from trainer import quiet_import

_SAID = b"""WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1795893620.906830   24175 port.cc:153] oneDNN custom operations are on.
2026-11-28 18:00:00.123456: W tensorflow/core/platform/cpu_feature_guard.cc:210] This TensorFlow binary is optimized
E0000 00:00:1795893648.405646   24175 cuda_platform.cc:52] failed call to cuInit
A module that was compiled using NumPy 1.x cannot be run
"""
_REMAINDER = b"".join(_SAID.splitlines(keepends=True)[3:])


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A fake package instead of TensorFlow, imported for the first time."""
    package = tmp_path / "noisy_package"
    package.mkdir()
    (package / "__init__.py").write_text(f"import os\nos.write(2, {_SAID!r})\nfrom noisy_package import part\n")
    (package / "part.py").write_text("VALUE = 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(quiet_import, "_PACKAGE", "noisy_package")
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    yield package
    for name in ("noisy_package", "noisy_package.part"):
        sys.modules.pop(name, None)


def test_noise_is_held_back(package, monkeypatch, capfdbinary):
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL")
    quiet_import.install()
    import noisy_package

    os.write(2, b"after\n")
    assert capfdbinary.readouterr().err == _REMAINDER + b"after\n"
    assert noisy_package.part.VALUE == 3
    assert noisy_package.__spec__.loader is noisy_package.__loader__
    assert type(noisy_package.__loader__).__module__ != "trainer.quiet_import"
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] in ("2", "3")


def test_noise_that_is_asked_for(package, monkeypatch, capfdbinary):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    quiet_import.install()
    import noisy_package

    assert noisy_package.part.VALUE == 3
    assert capfdbinary.readouterr().err == _SAID


def test_an_import_that_fails(package, monkeypatch, capfdbinary):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")
    (package / "part.py").write_text("1 / 0\n")
    quiet_import.install()
    with pytest.raises(ZeroDivisionError):
        import noisy_package  # noqa: F401
    os.write(2, b"after\n")
    assert capfdbinary.readouterr().err == _REMAINDER + b"after\n"
