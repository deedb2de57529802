"""Simulated noise of a source: what is in the strain is what the table of glitches says."""

import numpy as np
import pytest

from aframe.strain.glitch_models import MODELS
from aframe.strain.glitches import glitch_strain
from aframe.strain.noise import SimulatedNoise
from aframe.strain.noise_curves import load_asd
from aframe.strain.segments import Segment
from aframe.strain.simulate import simulate

START, RATE = 1262304000.0, 1024.0
SEGMENTS = [Segment(START, START + 700), Segment(START + 700, START + 1000), Segment(START + 1100, START + 1500)]


@pytest.fixture
def noise(source):
    def build(**changes):
        settings = {"asd": ("aLIGO_O4_high_asd.txt",), "glitches": "o3", "sample_rate": RATE, "band": (32.0, 512.0)}
        return SimulatedNoise.of(source(**(settings | changes)))

    return build


def test_strain_without_glitches_is_the_noise_alone(noise):
    quiet = noise(glitches=None)
    expected = simulate(load_asd("aLIGO_O4_high_asd.txt"), "L1", START, START + 64, RATE, seed=7)
    np.testing.assert_array_equal(quiet.strain("L1", Segment(START, START + 64)), expected)


def test_strain_is_noise_and_the_glitches_of_the_table(noise):
    loud, quiet = noise(), noise(glitches=None)
    table = loud.glitches(SEGMENTS)
    assert (np.diff(table["glitch_time"]) >= 0).all()
    for ifo in ("H1", "L1"):
        own = table.rows(table["ifo"] == ifo)
        assert len(own) > 2
        for segment in SEGMENTS:
            strain = loud.strain(ifo, segment)
            expected = glitch_strain(
                own, loud.curve_at(ifo, segment)(segment.start), round(segment.start * RATE), len(strain), RATE
            )
            np.testing.assert_allclose(
                strain - quiet.strain(ifo, segment), expected, rtol=0, atol=1e-9 * np.abs(strain).max()
            )


def test_rows_are_those_that_reach_into_a_segment_once_each(noise):
    table = noise().glitches(SEGMENTS)
    whole = noise().glitches([Segment(START - 50, START + 1600)])
    reach = np.array([MODELS[name].reach for name in whole["glitch_class"].tolist()])
    time = whole["glitch_time"]
    inside = [(time + reach > segment.start) & (time - reach < segment.stop) for segment in SEGMENTS]
    np.testing.assert_array_equal(table["glitch_time"], time[np.any(inside, axis=0)])
    assert (table["snr_in_band"] <= table["snr"] * (1 + 1e-9)).all()
    blips = table.rows(table["glitch_class"] == "blip")
    assert (blips["snr_in_band"] > 0.3 * blips["snr"]).all()


def test_a_table_without_rows_can_be_written(noise, tmp_path):
    table = noise().glitches([Segment(START, START + 1e-2)])
    assert not len(table)
    table.write(str(tmp_path / "glitches.hdf5"))
    assert not len(type(table).read(str(tmp_path / "glitches.hdf5")))
