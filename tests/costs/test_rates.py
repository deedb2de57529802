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
    small = {
        "MEASURED_WAVEFORMS": 2,
        "MEASURED_SIGNALS": 1,
        "MEASURED_NOISE_SECONDS": 80.0,
        "MEASUREMENT_SECONDS": 0.02,
    }
    for name, value in small.items():
        monkeypatch.setattr(rates, name, value)
    monkeypatch.setattr(source, "PROBES", 16)
    heavy = "waveforms.prior=aframe.waveforms.priors.log_normal_bbh(60, 50, 0.02)"  # loud signals need few draws
    directory = write_run(tmp_path / "run", heavy, "waveforms.waveform_duration=4")
    config = load_config(str(directory / "sandbox.cfg"))
    threads = torch.get_num_threads()
    measured = rates.measure(Artifacts(config, Directories.from_environment(environment_of(directory))))
    assert torch.get_num_threads() == threads
    values = [value for value in dataclasses.astuple(measured) if not isinstance(value, str)]
    assert all(math.isfinite(value) and value > 0 for value in values[:2] + values[3:])
    assert measured.rejected >= 0
    assert measured.scored < measured.trained
    if measured.device == "cpu":
        assert measured.gpu_scored == 1 / rates.GPU_WINDOWS  # a small network keeps no GPU busy
