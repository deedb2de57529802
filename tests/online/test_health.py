import json
import math
from pathlib import Path

import lalsimulation
import numpy as np
import pytest
from gwpy.astro import sensemon_range
from gwpy.frequencyseries import FrequencySeries
from live_health import live_health

from aframe.errors import StorageError
from aframe.online.health import FILE, Health, Rate, inspiral_range_mpc


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    health = live_health(searched_until=math.nan)
    health.write(str(tmp_path))
    assert repr(Health.read(str(tmp_path))) == repr(health)
    assert json.loads((tmp_path / FILE).read_text())["detectors"]["L1"]["range_mpc"] is None


def test_no_record_and_another_one_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"has no health\.json: no aframe online has run here yet"):
        Health.read(str(tmp_path))
    for text in ("{", '{"schema": "aframe-health-1", "detectors": {}}', "[]", '{"schema": "other"}'):
        (tmp_path / FILE).write_text(text)
        with pytest.raises(StorageError, match=r"is of another version .*: start aframe online again"):
            Health.read(str(tmp_path))


@pytest.mark.parametrize(
    ("seen", "expected", "is_out"),
    [(0, 0.1, False), (3, 1.0, False), (6, 0.5, True), (0, 12.0, True), (20, 20.0, False)],
)
def test_too_many_or_too_few_events_are_called_out(seen: int, expected: float, is_out: bool) -> None:
    assert Rate(12.0, seen, expected).is_out_of_line == is_out


@pytest.mark.parametrize("highest", [512.0, 2048.0])
def test_the_range_is_gwpys(highest: float) -> None:
    frequency = np.arange(0, highest + 0.25, 0.25)
    psd = np.array([lalsimulation.SimNoisePSDaLIGOZeroDetHighPower(f) if f > 9 else 0.0 for f in frequency])
    series = FrequencySeries(psd[80:], f0=20.0, df=0.25, unit="1/Hz")
    expected = sensemon_range(series, snr=8, mass1=1.4, mass2=1.4, fmin=20.0).value
    assert inspiral_range_mpc(psd, 0.25, 20.0) == pytest.approx(expected, rel=5e-3)
    assert math.isnan(inspiral_range_mpc(psd, 0.25, 5.0))
    assert math.isnan(inspiral_range_mpc(psd[:40], 0.25, 20.0))
