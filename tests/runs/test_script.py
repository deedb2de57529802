import hashlib
from pathlib import Path

import pytest

from aframe.runs.script import EARLIER_SCRIPTS, RUN_SCRIPT, renew_script

EARLIER = """#!/usr/bin/env bash
# Runs the whole pipeline, and resumes it where it was interrupted. Options go to law: --gpus 0,1 --workers 5
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
set -a
. "$here/.env"
set +a
export LAW_CONFIG_FILE="$here/sandbox.cfg"
exec law run aframe.pipelines.sandbox.Sandbox "$@"
"""


@pytest.mark.parametrize(("text", "words"), [(EARLIER, "since an earlier version wrote it"), (None, "was missing")])
def test_the_script_of_an_earlier_version_is_written_anew(tmp_path: Path, text: str | None, words: str) -> None:
    path = tmp_path / "run.sh"
    if text is not None:
        path.write_text(text)
    assert renew_script(tmp_path).endswith(words)
    assert path.read_text() == RUN_SCRIPT
    assert path.stat().st_mode & 0o111
    assert not renew_script(tmp_path)


def test_a_script_that_a_user_changed_stays(tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_text("echo mine\n" + RUN_SCRIPT)
    assert "is not as this version writes it" in renew_script(tmp_path)
    assert (tmp_path / "run.sh").read_text().startswith("echo mine")


def test_the_present_script_is_not_an_earlier_one() -> None:
    assert hashlib.sha256(RUN_SCRIPT.encode()).hexdigest() not in EARLIER_SCRIPTS
