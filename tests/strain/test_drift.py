"""Noise that changes: its spectrum at each time, its lines, and its borders."""

import itertools

import numpy as np
import pytest
from scipy import signal

from aframe.strain.curve_pool import CurvePool
from aframe.strain.drift import LEVEL_SPREAD, LINE_SPREAD, DriftingCurve
from aframe.strain.noise import SimulatedNoise
from aframe.strain.noise_curves import asd_at
from aframe.strain.o3_curves import o3_curves
from aframe.strain.segments import Segment
from aframe.strain.simulate import KNOT_DURATION, simulate, simulate_changing

START, RATE, SCALE = 1262304000.0, 1024.0, 3600.0
FREQUENCY = np.arange(5, 1024, 0.25)


def flat(*levels):
    return CurvePool("H1", tuple((FREQUENCY, np.full_like(FREQUENCY, level)) for level in levels))


def test_a_curve_that_does_not_change_gives_the_same_noise():
    curve = o3_curves("L1")[0]
    changing = simulate_changing(lambda time: curve, "L1", START + 10, START + 300, RATE, seed=1)
    still = simulate(curve, "L1", START + 10, START + 300, RATE, seed=1)
    np.testing.assert_allclose(changing, still, rtol=0, atol=1e-9 * still.std())


def test_the_spectrum_at_each_time_is_that_of_the_curve():
    curve = DriftingCurve(flat(1e-23, 3e-23), SCALE, 4)
    for time in START + np.array([0, 900, 1800, 2700.0]):
        noise = simulate_changing(curve.at, "H1", time, time + KNOT_DURATION, RATE, seed=1)
        _, psd = signal.welch(noise, RATE, nperseg=1024)
        expected = asd_at(curve.at(time + KNOT_DURATION / 2), np.array([100.0]))[0]
        assert np.sqrt(psd[20:500].mean()) == pytest.approx(expected, rel=0.02)


def test_states_lead_smoothly_from_one_to_the_next():
    curve = DriftingCurve(flat(1e-23, 3e-23), SCALE, 4)
    number = int(START // SCALE)
    for k in (number, number + 1):
        state = curve.state(k)
        expected = (1e-23, 3e-23)[state.curve] * np.exp(state.level)
        np.testing.assert_allclose(curve.at(k * SCALE)[1], expected)
    levels = np.log([curve.at(number * SCALE + time)[1][50] for time in np.linspace(0, 3 * SCALE, 200)])
    assert np.abs(np.diff(levels)).max() < 3 * np.pi / 2 * np.log(3.3) / 200 * 1.2


def test_levels_and_lines_wander_by_their_spreads():
    curve = DriftingCurve(flat(1e-23), SCALE, 0)
    states = [curve.state(k) for k in range(400)]
    assert np.std([state.level for state in states]) == pytest.approx(LEVEL_SPREAD, rel=0.15)
    assert np.std([state.line_distance for state in states]) == pytest.approx(LINE_SPREAD, rel=0.15)
    lined = np.full_like(FREQUENCY, 1e-23) * (1 + 50 * np.exp(-0.5 * ((FREQUENCY - 300) / 0.3) ** 2))
    wandering = DriftingCurve(CurvePool("H1", ((FREQUENCY, lined),)), SCALE, 0)
    for k in range(5):
        frequency, asd = wandering.at(k * SCALE)
        assert frequency[np.argmax(asd)] - 300 == pytest.approx(wandering.state(k).line_distance, abs=0.13)
        assert asd.max() / np.median(asd) > 30


def test_changing_noise_is_continuous_over_any_border(source):
    settings = {"asd": ("o3",), "sample_rate": RATE, "band": (32.0, 512.0), "drift": SCALE, "glitches": "o3"}
    noise = SimulatedNoise.of(source(**settings))
    edges = START + np.array([0, 100.5, 384, 500])
    pieces = [noise.strain("L1", Segment(a, b)) for a, b in itertools.pairwise(edges.tolist())]
    whole = noise.strain("L1", Segment(START, START + 500))
    np.testing.assert_allclose(np.concatenate(pieces), whole, rtol=0, atol=1e-9 * whole.std())
    segments = [Segment(START, START + 500)]
    table, still = (
        SimulatedNoise.of(source(**(settings | {"drift": drift}))).glitches(segments) for drift in (SCALE, None)
    )
    np.testing.assert_array_equal(table["glitch_time"], still["glitch_time"])
    np.testing.assert_allclose(table["snr"], still["snr"], rtol=0.5)
    assert not np.array_equal(table["snr"], still["snr"])
