import dataclasses
import math
from pathlib import Path

import pytest
import torch
from terminal import environment_of, write_run

from aframe.costs import rates
from aframe.runs.artifacts import Artifacts
from aframe.runs.directories import Directories
from aframe.settings.read import load_config
from aframe.waveforms import source


def test_each_kind_of_work_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"WAVES": 2, "ACCEPTED": 1, "STRETCH": 80.0, "SECONDS": 0.02}.items():
        monkeypatch.setattr(rates, name, value)
    monkeypatch.setattr(source, "PROBES", 16)
    heavy = (
        "waveforms.prior=aframe.waveforms.priors.log_normal_bbh(60, 50, 0.02)"  # few waveforms tell how loud they are
    )
    directory = write_run(tmp_path / "run", heavy, "waveforms.waveform_duration=4")
    made = load_config(str(directory / "sandbox.cfg"))
    threads = torch.get_num_threads()
    found = rates.measure(Artifacts(made, Directories.from_environment(environment_of(directory))))
    assert torch.get_num_threads() == threads
    values = [value for value in dataclasses.astuple(found) if not isinstance(value, str)]
    assert all(math.isfinite(value) and value > 0 for value in values[:2] + values[3:])
    assert found.rejected >= 0
    assert found.scored < found.trained
    if found.device == "cpu":
        assert found.gpu_scored == 1 / rates.GPU_WINDOWS  # a small network keeps no GPU busy
