"""Paths that exist are never patterns, URLs or variables."""

import os
from pathlib import Path

import pytest

from aframe import storage
from aframe.errors import ConfigurationError, StorageError

NAMES = ("12:30", "a::b", "file:x", "[v2]", "what?", "st*r", "O3 #2", "back`tick", "é", "$HOME", "100%")


@pytest.mark.parametrize("name", NAMES)
def test_a_path_that_exists_is_no_pattern_and_no_url(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for directory in (name, "v", "star"):
        Path(directory).mkdir(exist_ok=True)
        storage.write_text(f"{directory}/{name}.txt", directory)
    assert not storage.is_remote(name)
    assert storage.exists(f"{name}/{name}.txt")
    assert storage.read_text(storage.locate(f"{name}/{name}.txt")) == name
    expected = [str(tmp_path / name / f"{name}.txt")]
    assert storage.glob(name, "*.txt") == storage.files_in(name, (".txt",)) == expected
    assert storage.files_in(f"{name}/*.t?t", (".txt",)) == expected
    assert storage.files_in(f"{name}/{name}.txt", (".txt",)) == [f"{name}/{name}.txt"]
    assert storage.files_in(f"{name}/{name}.txt", (".gwf",)) == storage.files_in(f"{name}/none", (".txt",)) == []


def test_texts_of_a_user_become_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    (tmp_path / "a%20b").mkdir()
    assert storage.locate("~/strain", "/run") == "/home/me/strain"
    assert storage.locate("../strain", "/run") == "/run/../strain"
    assert storage.locate("file:///data/O3%202", "/run") == storage.locate("file://localhost/data/O3 2") == "/data/O3 2"
    assert storage.locate(f"file://{tmp_path}/a%20b") == f"{tmp_path}/a%20b"
    assert storage.locate("s3://bucket/x", "/run") == "s3://bucket/x"
    with pytest.raises(ConfigurationError, match="a path is empty: give one"):
        storage.locate("", "/run")


@pytest.mark.parametrize("text", ["no utf-8 \udcff", "two\nlines", "a\tb"])
def test_what_no_file_of_a_run_can_hold_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is not UTF-8, or has a control character: rename it"):
        storage.locate(text)


def test_what_is_no_file_is_left_out_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("H1.hdf5", "._H1.hdf5"):
        (tmp_path / name).touch()
    (tmp_path / "sub.hdf5").mkdir()
    (tmp_path / "link.hdf5").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe.hdf5")
    assert storage.files_in(str(tmp_path), (".hdf5",)) == [str(tmp_path / "H1.hdf5")]
    said = capsys.readouterr().err
    left_out = {
        "._H1": "a file of macOS",
        "sub": "a directory",
        "link": "a link to nowhere, which",
        "pipe": "a pipe, a socket or",
    }
    for name, words in left_out.items():
        assert f"{name}.hdf5 is left out: it is {words}" in said
    for name, words in (("link.hdf5", "a link to nowhere, which does not exist"), ("pipe.hdf5", "a pipe, a socket")):
        with pytest.raises(StorageError, match=words):
            storage.files_in(str(tmp_path / name), (".hdf5",))


def test_other_stores_are_refused() -> None:
    with pytest.raises(StorageError, match=r"gs://bucket/x is no local path and no s3://bucket/key"):
        storage.exists("gs://bucket/x")


def test_remote_directories_are_no_patterns() -> None:
    for directory in ("memory://paths/[v2]", "memory://paths/v"):
        storage.write_text(f"{directory}/a.txt", "")
    assert storage.glob("memory://paths/[v2]", "*.txt") == ["memory:///paths/[v2]/a.txt"]
    assert storage.files_in("memory://paths/[v2]", (".txt",)) == ["memory:///paths/[v2]/a.txt"]
    assert storage.files_in("memory://paths/?/*.txt", (".txt",)) == ["memory:///paths/v/a.txt"]
