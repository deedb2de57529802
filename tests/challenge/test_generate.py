"""Data sets as they are written: noise, signals in it, and what a kill or a mistake leaves."""

from pathlib import Path

import h5py
import lalsimulation
import numpy as np
import pytest
from scipy import signal

from aframe.challenge import generate as generation
from aframe.challenge.data_sets import SAMPLE_RATE, data_set
from aframe.challenge.generate import Recipe, generate, noise_curves, plan_segments, responses
from aframe.challenge.injections import Columns, draw_injections
from aframe.errors import ConfigurationError, DataError
from aframe.strain.curve_pool import CurvePool
from aframe.strain.segments import Segment
from aframe.types import Array

START = 1238166018.0
SEGMENTS = (Segment(START, START + 200.0), Segment(START + 200.0, START + 320.0))


def silent(done: float, total: float) -> None:
    assert 0 < done <= total


def recipe(number: int = 1, segments: tuple[Segment, ...] = SEGMENTS, seed: int = 3) -> Recipe:
    frequency = np.geomspace(5, 1100, 200)
    pools = {
        ifo: CurvePool(ifo, tuple((frequency, np.full(200, level * size)) for level in (1e-23, 4e-23)))
        for ifo, size in (("H1", 1.0), ("L1", 2.0))
    }
    chosen = data_set(number)
    return Recipe(chosen, segments, pools if chosen.is_measured else noise_curves(chosen, None), seed)


def strain(path: str, segment: Segment, ifo: str) -> Array:
    with h5py.File(path) as file:
        data = file[f"{ifo}/{segment.start:.0f}"]
        assert data.attrs["start_time"] == segment.start
        assert data.attrs["delta_t"] == 1 / 2048
        assert len(data) == segment.duration * SAMPLE_RATE
        return data[()]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Files of data set 1 in two segments, made in pieces that signals cross."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generation, "PIECE_LENGTH", 64.0)
        return generate(recipe(), str(tmp_path_factory.mktemp("challenge")), silent)


@pytest.fixture(scope="module")
def columns() -> Columns:
    return draw_injections(data_set(1), SEGMENTS, 3)


def test_foreground_is_background_and_signals(made: dict[str, str], columns: Columns) -> None:
    expected = {(segment, ifo): np.zeros(round(segment.duration * SAMPLE_RATE)) for segment in SEGMENTS
                for ifo in ("H1", "L1")}  # fmt: skip
    for time, response in zip(columns["tc"], responses(data_set(1), columns), strict=True):
        segment = next(each for each in SEGMENTS if each.start <= time < each.stop)
        last = round((time + 1.0 - segment.start) * SAMPLE_RATE)
        for ifo, series in zip(("H1", "L1"), response, strict=True):
            expected[segment, ifo][last - response.shape[-1] : last] += series
    for (segment, ifo), sums in expected.items():
        difference = strain(made["foreground"], segment, ifo) - strain(made["background"], segment, ifo)
        np.testing.assert_allclose(difference, sums, rtol=0, atol=1e-30)
        assert np.abs(difference).max() > 1e-24


def test_the_noise_has_the_challenges_curve_and_is_of_two_detectors(made: dict[str, str]) -> None:
    noise = {ifo: strain(made["background"], SEGMENTS[0], ifo) for ifo in ("H1", "L1")}
    for data in noise.values():
        frequency, psd = signal.welch(data, SAMPLE_RATE, nperseg=4096)
        for low, high in ((20, 30), (30, 60), (60, 200), (200, 900)):
            band = (frequency >= low) & (frequency < high)
            design = [lalsimulation.SimNoisePSDaLIGOZeroDetHighPower(each) for each in frequency[band]]
            ratio = (psd[band] / design).mean()
            assert ratio == pytest.approx(1, abs=6 / np.sqrt(band.sum() * 200))
    high = signal.butter(4, 20, "highpass", fs=SAMPLE_RATE, output="sos")
    first, second = (signal.sosfilt(high, data)[4096:] for data in noise.values())
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.01


def test_a_signals_snr_in_the_file_is_its_optimal_snr(made: dict[str, str], columns: Columns) -> None:
    """SNR of LAL's own waveform in the frequency domain, by its antenna patterns and the challenge's curve."""
    import lal

    row = 0
    segment, time = SEGMENTS[0], columns["tc"][row]
    binary = [columns[name][row] * lal.MSUN_SI for name in ("mass_1", "mass_2")]
    distance = columns["luminosity_distance"][row] * 1e6 * lal.PC_SI
    step = 1 / 64
    plus, cross = lalsimulation.SimInspiralChooseFDWaveform(
        *binary, *[0.0] * 6, distance, columns["theta_jn"][row], columns["phase"][row], 0.0, 0.0, 0.0,
        step, 20.0, 1024.0, 20.0, None, lalsimulation.IMRPhenomXAS,
    )  # fmt: skip
    frequency = np.arange(len(plus.data.data)) * step
    inside = (frequency >= 21) & (frequency < 1000)
    psd = np.array([lalsimulation.SimNoisePSDaLIGOZeroDetHighPower(each) for each in frequency[inside]])
    for ifo in ("H1", "L1"):
        patterns = lal.ComputeDetAMResponse(
            lal.cached_detector_by_prefix[ifo].response, columns["ra"][row], columns["dec"][row], columns["psi"][row],
            lal.GreenwichMeanSiderealTime(lal.LIGOTimeGPS(float(time))),
        )  # fmt: skip
        spectrum = patterns[0] * plus.data.data + patterns[1] * cross.data.data
        expected = np.sqrt(4 * step * (np.abs(spectrum[inside]) ** 2 / psd).sum())
        first = round((time - 7.5 - segment.start) * SAMPLE_RATE)
        seen = (strain(made["foreground"], segment, ifo) - strain(made["background"], segment, ifo))[
            first : first + round(8 * SAMPLE_RATE)
        ]
        own = np.fft.rfft(seen, n=round(64 * SAMPLE_RATE)) / SAMPLE_RATE
        optimal = np.sqrt(4 * step * (np.abs(own[: len(frequency)][inside]) ** 2 / psd).sum())
        assert optimal == pytest.approx(expected, rel=0.02)


def test_the_same_seed_gives_the_same_bytes_and_another_one_does_not(made: dict[str, str], tmp_path: Path) -> None:
    again = generate(recipe(), str(tmp_path / "again"), silent)  # in one piece
    other = generate(recipe(seed=4), str(tmp_path / "other"), silent)
    for key in ("background", "foreground"):
        for segment in SEGMENTS:
            before = strain(made[key], segment, "L1")
            np.testing.assert_allclose(strain(again[key], segment, "L1"), before, rtol=0, atol=1e-28)
            assert not np.allclose(strain(other[key], segment, "L1"), before, rtol=0, atol=1e-28)
    twice = generate(recipe(), str(tmp_path / "twice"), silent)
    for key, path in again.items():
        assert Path(path).read_bytes() == Path(twice[key]).read_bytes()


@pytest.mark.parametrize("number", [2, 3])
def test_curves_are_drawn_for_each_detector_or_each_segment(number: int, tmp_path: Path) -> None:
    segments = tuple(Segment(START + 100 * k, START + 100 * (k + 1)) for k in range(6))
    made = recipe(number, segments)
    levels = {ifo: [made.curve(ifo, segment)[1][0] for segment in segments] for ifo in ("H1", "L1")}
    assert [len(set(each)) for each in levels.values()] == ([1, 1] if number == 2 else [2, 2])
    chosen = recipe(number, segments[:2])
    paths = generate(chosen, str(tmp_path), silent)
    for segment in chosen.segments:
        for ifo in ("H1", "L1"):
            _, psd = signal.welch(strain(paths["background"], segment, ifo), SAMPLE_RATE, nperseg=2048)
            assert np.sqrt(psd[20:900].mean()) == pytest.approx(made.curve(ifo, segment)[1][0], rel=0.02)
            difference = strain(paths["foreground"], segment, ifo) - strain(paths["background"], segment, ifo)
            assert np.abs(difference).max() > 1e-24


def test_an_interrupted_generation_leaves_no_file(tmp_path: Path) -> None:
    def stop(done: float, total: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(recipe(), str(tmp_path), stop)
    assert list(tmp_path.iterdir()) == []


def test_segments_are_contiguous_or_of_a_list(tmp_path: Path) -> None:
    assert [each.duration for each in plan_segments(START, 16000.0, None)] == [7200, 7200, 1600]
    assert plan_segments(START, 16000.0, None)[1].start == START + 7200
    path = tmp_path / "list.csv"
    path.write_text(",start,end\n0,1238205077,1238215138\n1,1238400368,1238411457\n")
    chosen = plan_segments(START, 10100.0, str(path))
    assert chosen == (Segment(1238205077.0, 1238215138.0), Segment(1238400368.0, 1238400368.0 + 39))
    with pytest.raises(DataError, match=r"list\.csv has 21150 s: give a longer list, or --duration 21150"):
        plan_segments(START, 30000.0, str(path))
    for duration, message in (
        (0.0, "no time for a signal"),
        (60.0, "no time for a signal"),
        (1.5, "whole number"),
        (np.inf, "whole number"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            plan_segments(START, duration, None)


def test_measured_curves_go_with_data_sets_that_have_them(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="data set 2 has measured noise curves: give --psds DIR"):
        noise_curves(data_set(2), None)
    with pytest.raises(ConfigurationError, match="data set 1 has the design curve aLIGOZeroDetHighPower, leave it out"):
        noise_curves(data_set(1), str(tmp_path))


def test_measured_curves_are_those_of_the_challenge(data_directory: Path) -> None:
    pools = noise_curves(data_set(3), str(data_directory / "psd" / "O3a"))
    assert [len(pool.curves) for pool in pools.values()] == [20, 20]
    frequency, asd = pools["L1"].curves[0]
    assert 1e-24 < asd[np.abs(frequency - 100).argmin()] < 2e-23
