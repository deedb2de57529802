"""Volumes from released injections, against volumes that are known."""

import dataclasses
from pathlib import Path

import h5py
import numpy as np
import pytest
from astropy.cosmology import Planck15
from released import DURATION, LARGEST_SPIN, REACH, START, drawn, reach, volume, write_o3, write_o4

from aframe.constants import SECONDS_PER_YEAR
from aframe.errors import DataError
from aframe.events.significance import Background
from aframe.sensitivity.release import (
    SEARCH,
    MassTarget,
    frame_volumes,
    pipeline_volumes,
    read_release_volumes,
    remarks,
    reported_rates,
    search_frames,
    weigh_release,
    write_release_volumes,
)
from aframe.sensitivity.release_file import Release, read_release
from aframe.sensitivity.weights import mass_targets
from aframe.tables import EventTable
from aframe.waveforms.priors import demo_bbh

FAR = np.array([0.1, 1.0, 10.0])
TARGETS = mass_targets([(35.0, 35.0), (35.0, 20.0)], 0.1, (0.0, 2.0))
HOUR = 3600.0


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return read_release(write_o3(tmp_path_factory.mktemp("o3") / "o3.hdf5", drawn()))


def test_volumes_are_those_of_spheres(release: Release):
    curves = pipeline_volumes(release, TARGETS, FAR)
    assert {name: list(each) for name, each in curves.items()} == {name: sorted(REACH) for name in ("35-35", "35-20")}
    deviations = [
        (curve.volume_gpc3[row] - volume(pipeline, far)) / curve.standard_error[row]
        for each in curves.values()
        for pipeline, curve in each.items()
        for row, far in enumerate(FAR)
        if curve.effective_sample_size[row] > 30
    ]
    assert len(deviations) == 9
    assert np.max(np.abs(deviations)) < 3.5
    curve = curves["35-35"]["pycbc_bbh"]
    assert curve.volume_time_gpc3_yr == pytest.approx(curve.volume_gpc3 * DURATION / SECONDS_PER_YEAR)


def test_the_standard_error_is_the_scatter_of_sets(tmp_path: Path):
    volumes, errors, held = [], [], []
    true = volume("pycbc_bbh", 10.0)
    for seed in range(60):
        path = write_o3(tmp_path / "o3.hdf5", drawn(10_000, seed))
        curve = pipeline_volumes(read_release(path, ["pycbc_bbh"]), TARGETS[:1], FAR)["35-35"]["pycbc_bbh"]
        low, high = curve.interval_gpc3
        volumes.append(curve.volume_gpc3[2])
        errors.append(curve.standard_error[2])
        held.append(low[2] <= true <= high[2])
    assert np.mean(volumes) == pytest.approx(true, abs=3.5 * np.std(volumes) / 60**0.5)
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(volumes), rel=0.3)
    assert np.mean(held) > 0.9


def test_injections_left_out_count_as_missed(release: Release):
    nearer = release.rows(release.redshift < 0.35)
    assert len(nearer) < 0.3 * len(release)
    for search in ("cwb", "gstlal"):  # which find nothing farther at these rates
        all_of_them, some = (pipeline_volumes(each, TARGETS, FAR)["35-20"][search] for each in (release, nearer))
        assert some.volume_gpc3 == pytest.approx(all_of_them.volume_gpc3, rel=1e-6)
        assert some.standard_error == pytest.approx(all_of_them.standard_error, rel=1e-2)
    twice = dataclasses.replace(release, total=2 * release.total)
    half, whole = (pipeline_volumes(each, TARGETS, FAR)["35-35"]["cwb"].volume_gpc3 for each in (twice, release))
    assert half == pytest.approx(whole / 2)


@pytest.mark.parametrize("density", ["factors", "cartesian", "polar"])
def test_both_layouts_and_all_densities_give_one_volume(tmp_path: Path, release: Release, density: str):
    other = read_release(write_o4(tmp_path / "o4.hdf5", drawn(), density, in_years=density == "polar"))
    assert other.duration == pytest.approx(release.duration)
    assert other.has_own_spins == (density == "factors")
    expected, found = (
        pipeline_volumes(each, TARGETS, FAR)["35-35"][name].volume_gpc3
        for each, name in ((release, "pycbc_bbh"), (other, "pycbc-bbh"))
    )
    # with a joint density the target's spins reach 0.99, those of the draws 0.998: 1.6 % of the draws weigh nothing
    assert found == pytest.approx(expected, rel=1e-6 if density == "factors" else 0.03)
    assert (0.013 < (other.weight == 0).mean() < 0.02) == (density != "factors")
    assert LARGEST_SPIN == 0.998


def test_the_jacobians_are_those_of_detector_frame_and_distance(tmp_path: Path, release: Release):
    draws = drawn()
    redshift = draws.columns["redshift"]
    grid = np.linspace(0.0, 1.0, 20_001)
    slope = np.interp(redshift, grid, np.gradient(Planck15.luminosity_distance(grid).to_value("Mpc"), grid))
    for has_slope in (True, False):
        other = dataclasses.replace(draws, columns=dict(draws.columns), density=dict(draws.density))
        path = tmp_path / f"{has_slope}.hdf5"
        write_o3(path, other)
        with h5py.File(path, "a") as file:
            table = file["injections"]
            for name in ("mass1_source_mass2_source_sampling_pdf", "redshift_sampling_pdf", "sampling_pdf"):
                del table[name]
            for body in (1, 2):
                table[f"mass{body}_detector"] = draws.columns[f"mass{body}_source"] * (1 + redshift)
                del table[f"mass{body}_source"]
            table["mass1_detector_mass2_detector_sampling_pdf"] = draws.density["masses"] / (1 + redshift) ** 2
            table["luminosity_distance_sampling_pdf"] = draws.density["redshift"] / slope
            if has_slope:
                table["dluminosity_distance_dredshift"] = slope
        found = read_release(str(path))
        assert found.mass_1_source == pytest.approx(release.mass_1_source)
        assert found.log_density == pytest.approx(release.log_density, abs=1e-5)


def test_mixture_weights_and_populations_multiply(release: Release):
    halves = np.where(np.arange(len(release)) % 2, 2.0, 0.0)  # two sets in one file, of which one is meant
    target = MassTarget("demo", demo_bbh())
    for targets in (TARGETS[:1], [target]):
        name = targets[0].name
        mixed, plain = (
            pipeline_volumes(each, targets, FAR)[name]["pycbc_bbh"]
            for each in (dataclasses.replace(release, weight=halves), release)
        )
        assert mixed.volume_gpc3[1:] == pytest.approx(plain.volume_gpc3[1:], rel=0.3)
        assert (mixed.standard_error > 1.2 * plain.standard_error).all()
    inside = pipeline_volumes(release, [target], FAR)["demo"]["pycbc_bbh"]
    assert inside.volume_gpc3[1] > 0
    for pair, name in (((300.0, 200.0), "300-200"), ((4.0, 4.0), "4-4"), ((10.0, 4.0), "10-4")):
        with pytest.raises(DataError, match=rf"population {name}, or in a part .*: its source-frame masses are 5"):
            weigh_release(release, mass_targets([pair], 0.1, (0.0, 2.0)))


def found_events(release: Release, spans: np.ndarray, far: str = "pycbc_bbh", seed: int = 3) -> EventTable:
    """Events of a search whose statistic falls with the false alarm rate, and noise."""
    rng = np.random.default_rng(seed)
    assert release.time is not None
    inside = np.any([(release.time >= low) & (release.time < high) for low, high in spans], axis=0)
    rate = release.far_per_year[far]
    seen = inside & np.isfinite(rate)
    noise = np.concatenate([rng.uniform(low, high, round((high - low) / 30)) for low, high in spans])
    time = np.concatenate([release.time[seen] + rng.uniform(-0.05, 0.05, seen.sum()), noise])
    statistic = np.concatenate([-np.log(rate[seen]), -np.log(1e4) - rng.exponential(size=len(noise))])
    columns = {"detection_statistic": statistic, "detection_time": time, "shift": np.zeros((len(time), 2))}
    return EventTable(columns, attributes={"Tb": float((spans[:, 1] - spans[:, 0]).sum())})


def background_of(years: float = 20.0) -> Background:
    """Events of time slides whose statistic is minus the logarithm of their rate per year."""
    count = round(1e4 * years)
    return Background(-np.log(np.arange(1, count + 1) / years), years * SECONDS_PER_YEAR)


def test_a_search_of_part_of_the_frames_has_the_volume_of_the_whole(release: Release):
    spans = START + DURATION * np.array([[0.5, 0.9], [0.1, 0.25]])
    search = search_frames(release, found_events(release, spans), spans, background_of(), 1.0)
    assert search.remarks == ()
    assert search.release.total == pytest.approx(0.55 * release.total)
    curves, by_chance = frame_volumes(search, TARGETS)
    ours, theirs = curves["35-35"][SEARCH], curves["35-35"]["pycbc_bbh"]
    for far in (1.0, 10.0, 100.0):
        assert ours.at(far, ours.volume_gpc3) == pytest.approx(theirs.at(far, theirs.volume_gpc3), rel=0.1)
        error = 4 * ours.at(far, ours.standard_error)
        assert ours.at(far, ours.volume_gpc3) == pytest.approx(volume("pycbc_bbh", far), abs=error)
    assert (by_chance["35-35"] <= ours.volume_gpc3).all()
    assert 0 < by_chance["35-35"][-1] < 0.01 * ours.volume_gpc3[-1]
    low, high = ours.interval_gpc3
    assert ((high - low)[:5] > 0).all()
    assert reach("pycbc_bbh", 1.0) == 0.3


def test_strain_of_another_time_or_without_injections_is_refused(release: Release):
    spans = START + np.array([[0.0, 40 * HOUR]])
    events = found_events(release, spans)
    with pytest.raises(DataError, match=r"none of the \d+ injections of .* is in the searched time"):
        search_frames(release, events, spans + 2 * DURATION, background_of(), 1.0)
    noise = events.rows(events["detection_statistic"] < -np.log(1e4))
    with pytest.raises(DataError, match=r"this strain does not hold them; search the frames with injections"):
        search_frames(release, noise, spans, background_of(), 1.0)
    timeless = dataclasses.replace(release, time=None)
    with pytest.raises(DataError, match="has no times of its injections"):
        search_frames(timeless, events, spans, background_of(), 1.0)


def test_injections_that_are_uneven_in_time_are_told(release: Release):
    spans = START + DURATION * np.array([[0.0, 0.3]])
    longer = dataclasses.replace(release, duration=3 * release.duration)
    (remark,) = search_frames(longer, found_events(release, spans), spans, background_of(), 1.0).remarks
    assert "injections are not even in that time" in remark


def test_the_remarks_tell_of_spins_draws_and_time(release: Release, tmp_path: Path):
    curves = pipeline_volumes(release, TARGETS, FAR)
    spins, draws, time = remarks(release, curves)
    assert "those with which the release was drawn" in spins
    assert "recorded of 2e+05 drawn; the others count as missed" in draws
    assert f"means over {DURATION / 86400:.4g} days" in time
    joint = read_release(write_o3(tmp_path / "o3.hdf5", drawn(1000), has_factors=False))
    assert "isotropic and uniform in magnitude" in remarks(joint, curves)[0]


def test_volumes_are_read_as_they_were_written(release: Release, tmp_path: Path):
    path, far = str(tmp_path / "volumes.h5"), reported_rates(release)
    assert (far[0], far[-1]) == (pytest.approx(0.01), pytest.approx(1e3, rel=0.01))
    curves = pipeline_volumes(release, TARGETS, far)
    write_release_volumes(path, curves, {"release": release.path})
    again = read_release_volumes(path)
    assert {name: sorted(each) for name, each in again.items()} == {name: sorted(each) for name, each in curves.items()}
    for name, each in curves.items():
        for search, curve in each.items():
            assert np.array_equal(again[name][search].volume_gpc3, curve.volume_gpc3)
    nothing = dataclasses.replace(release, far_per_year={"cwb": np.full(len(release), np.inf)})
    with pytest.raises(DataError, match="no pipeline has found an injection"):
        reported_rates(nothing)


def test_weights_that_overflow_are_refused(release: Release):
    for factor in (1e300, 1e-300):
        with pytest.raises(DataError, match="too large or too small to add"):
            weigh_release(dataclasses.replace(release, weight=release.weight * factor), TARGETS)
