"""Every command reads a run's ``.env`` as the shell does that starts the run."""

import errno
import re
import subprocess
from pathlib import Path

import pytest
from fsspec.implementations.local import LocalFileSystem

from aframe.errors import ConfigurationError, MistakesError
from aframe.settings import env_file

TEXT = """# where things go
export AFRAME_TRAIN_DATA_DIR='/data/$HOME x'
AFRAME_TEST_DATA_DIR="$HOME/test data"   # a comment, as docs/s3.md has them
AFRAME_TRAIN_RUN_DIR=s3://bucket/run#1
  AFRAME_CONDOR_DIR=~/condor # another
AFRAME_RESULTS_DIR="${AFRAME_TEST_DATA_DIR}/\\"results\\" \\$5"
AWS_SECRET_ACCESS_KEY="a+b/c=="

AWS_PROFILE=
AWS_ENDPOINT_URL_S3=http://localhost
AFRAME_DATA_DIR=/data
"""


def test_values_are_those_of_the_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text(TEXT)
    monkeypatch.setenv("HOME", str(tmp_path))
    script = f"set -aeu; . '{tmp_path}/.env'; env -0"
    output = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout
    of_shell = dict(pair.split("=", 1) for pair in output.split("\0") if pair)
    read = env_file.read(str(tmp_path / ".env"))
    assert len(read) == 9
    assert read == {name: of_shell[name] for name in read}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("AFRAME_RESULTS_DIR = /data", "is no NAME="),
        ("where it goes", "is no NAME="),
        ('TOKEN="$(cat token)"', "is no NAME="),
        ('A="open', "is no NAME="),
        ("AFRAME_S3_PATIENC=60", "aframe knows no variable AFRAME_S3_PATIENC (did you mean AFRAME_S3_PATIENCE?)"),
        ('A="$NOWHERE/x"', "A names NOWHERE, which is not set"),
    ],
)
def test_lines_that_need_a_shell_are_refused_with_their_number(line: str, message: str, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"LAW_HOME=/law\n{line}\n")
    with pytest.raises(MistakesError, match=rf"\.env:2: .*{re.escape(message)}"):
        env_file.read(str(tmp_path / ".env"), {})


def test_an_unreadable_file_is_one_of_the_mistakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied")

    (tmp_path / ".env").touch()
    monkeypatch.setattr(LocalFileSystem, "cat_file", refused)
    variables, (mistake,) = env_file.read_all(str(tmp_path / ".env"))
    assert not variables
    assert re.search(r"\.env cannot be read \(Permission denied\)", mistake)


def test_the_message_about_a_missing_file_names_init(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"\.env does not exist: .*aframe init"):
        env_file.read(str(tmp_path / ".env"))
