"""Paths from users."""

import pathlib

import pytest

from reformer_tf import local_paths


@pytest.mark.parametrize(
    "path",
    [
        "gs://bucket/run",
        "s3://bucket",
        "file:///tmp/run",
        "GS://bucket",
        "hdfs+x.y-1://host/run",
        # The form in which pathlib writes an address.
        pathlib.Path("gs://bucket/run"),
        "gs:/bucket",
    ],
)
def test_addresses_are_refused(path):
    with pytest.raises(ValueError, match=r"`workdir` must be a path in the file system of this .* Received: .*[:]/"):
        local_paths.checked("`workdir`", path)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", r"`output` must be a path\. Received: ''"),
        ("  ", r"`output` must be a path\. Received: '  '"),
        ("a\0b", r"`output` must be a path without a zero byte. Received: 'a\\x00b'"),
        (
            "~nobody-of-this-name/run",
            r"must not begin with '~nobody-of-this-name', .*home.* Received: '~nobody-of-this",
        ),
    ],
)
def test_what_is_no_path(path, message):
    with pytest.raises(ValueError, match=message):
        local_paths.checked("`output`", path)


@pytest.mark.parametrize(
    "path", ["/tmp/12:30/run", "a:b", "./gs://bucket", "runs/gs://bucket", "10.0.0.1:/x", "a~b", ":/"]
)
def test_other_paths_are_taken_as_they_are(path):
    assert local_paths.checked("`workdir`", path) == pathlib.Path(path)


def test_the_home_of_the_user(monkeypatch):
    monkeypatch.setenv("HOME", "/home/of/someone")
    assert local_paths.checked("`workdir`", "~/runs/1") == pathlib.Path("/home/of/someone/runs/1")
    assert local_paths.checked("`workdir`", "~") == pathlib.Path("/home/of/someone")


def test_folders(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    for name in ("new", "new/one", "."):
        assert local_paths.checked_folder("`output`", tmp_path / name) == tmp_path / name
    for name, what in (
        ("file", "file is a file"),
        ("file/one", "file is a file"),
        ("dangling", "a link to what is not"),
    ):
        with pytest.raises(ValueError, match=f"`output` must be a folder. Received: .*{name}', where .*{what}"):
            local_paths.checked_folder("`output`", tmp_path / name)
