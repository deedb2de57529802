from pathlib import Path

import pytest

from aframe.checks import looks
from aframe.machine.programs import Answer
from aframe.settings.jobs import COMMANDS


def test_a_batch_system_is_asked_once_its_commands_are_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for number, name in enumerate(COMMANDS["slurm"]):
        assert looks.missing_commands("slurm") == list(COMMANDS["slurm"][number:])
        (tmp_path / name).write_text("#!/bin/sh\necho $0 $*\n")
        (tmp_path / name).chmod(0o755)
    assert looks.missing_commands("slurm") == []
    assert looks.batch_answer("slurm") == Answer(True, f"{tmp_path}/squeue --noheader --me")
