"""Signals of a data set: their distributions, and the challenge's file of them."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy import stats

from aframe.challenge.data_sets import DATA_SETS, MAXIMUM_SPIN, PADDING, SAMPLE_RATE, data_set
from aframe.challenge.injections import (
    chirp_mass,
    draw_binaries,
    draw_injections,
    draw_times,
    luminosity_distance,
    read_injections,
    write_injections,
)
from aframe.errors import ConfigurationError, DataError
from aframe.strain.segments import Segment

SEGMENT = Segment(1238166018.0, 1238566018.0)


def uniform_p_value(values, low, high):
    return stats.kstest((values - low) / (high - low), "uniform").pvalue


def test_mergers_are_uniformly_18_to_30_s_apart_and_30_s_inside_their_segment():
    times = draw_times(SEGMENT, np.random.default_rng(1))
    assert uniform_p_value(np.diff(times), 18, 30) > 0.001
    assert SEGMENT.start + PADDING <= times[0] < SEGMENT.start + PADDING + 24
    assert SEGMENT.stop - PADDING - 30 <= times[-1] <= SEGMENT.stop - PADDING
    np.testing.assert_array_equal(times * SAMPLE_RATE, np.round(times * SAMPLE_RATE))
    assert len(draw_times(Segment(0.0, 59.0), np.random.default_rng(1))) == 0


@pytest.mark.parametrize("number", DATA_SETS)
def test_binaries_have_the_challenges_distributions(number):
    chosen = data_set(number)
    columns = draw_binaries(chosen, 20000, np.random.default_rng(2))
    near, far = 130.0**3, 350.0**3
    assert uniform_p_value(columns["chirp_distance"] ** 3, near, far) > 0.001
    low, high = chosen.masses
    assert (columns["mass_1"] >= columns["mass_2"]).all()
    assert uniform_p_value(((columns["mass_1"] - low) / (high - low)) ** 2, 0, 1) > 0.001  # the larger of two
    mass = chirp_mass(columns["mass_1"], columns["mass_2"])
    np.testing.assert_allclose(mass, columns["chirp_mass"])
    scaled = columns["luminosity_distance"] * ((1.4 * 2**-0.2) / mass) ** (5 / 6)
    np.testing.assert_allclose(scaled, columns["chirp_distance"])
    for name, cosine in (("theta_jn", np.cos), ("dec", np.sin)):
        assert uniform_p_value(cosine(columns[name]), -1, 1) > 0.001
    for name in ("ra", "psi", "phase"):
        assert uniform_p_value(columns[name], 0, 2 * np.pi) > 0.001
    along = columns["a_1"] * np.cos(columns["tilt_1"])
    if number == 1:
        assert not along.any()
    if number == 2:
        assert uniform_p_value(along, -MAXIMUM_SPIN, MAXIMUM_SPIN) > 0.001
        np.testing.assert_allclose(np.abs(along), columns["a_1"])
    if number == 3:
        assert uniform_p_value(columns["a_2"], 0, MAXIMUM_SPIN) > 0.001
        assert uniform_p_value(np.cos(columns["tilt_2"]), -1, 1) > 0.001


def test_neutron_stars_of_1_4_solar_masses_have_equal_distance_and_chirp_distance():
    mass = chirp_mass(np.array([1.4]), np.array([1.4]))
    assert luminosity_distance(np.array([200.0]), mass)[0] == pytest.approx(200)


def test_signals_of_a_segment_depend_on_seed_and_segment_alone():
    segments = [Segment(1000.0, 1300.0), Segment(1300.0, 1700.0)]
    both = draw_injections(data_set(2), segments, 4)
    alone = draw_injections(data_set(2), segments[1:], 4)
    for name, column in alone.items():
        np.testing.assert_array_equal(both[name][-len(column) :], column)
    assert (draw_injections(data_set(2), segments[1:], 5)["ra"][0] != alone["ra"][0]).all()
    with pytest.raises(ConfigurationError, match="data set 4 is not made here: choose 1, 2, 3"):
        data_set(4)


@pytest.mark.parametrize("number", DATA_SETS)
def test_the_file_has_the_challenges_columns(number, tmp_path: Path):
    columns = draw_injections(data_set(number), [Segment(1000.0, 1300.0)], 4)
    path = tmp_path / "injections.hdf"
    with h5py.File(path, "w") as file:
        write_injections(file, columns)
        assert {f"spin{i}{axis}" for i in (1, 2) for axis in "xyz"} < set(file)
        spin = np.linalg.norm([file[f"spin1{axis}"][()] for axis in "xyz"], axis=0)
        np.testing.assert_allclose(spin, columns["a_1"], atol=1e-12)
        inclination, is_same = file["inclination"][()], number != 3
        np.testing.assert_allclose(file["chirp_distance"][()], columns["chirp_distance"])
    assert np.allclose(inclination, columns["theta_jn"]) == is_same
    read = read_injections(str(path))
    np.testing.assert_array_equal(read.tc, columns["tc"])
    np.testing.assert_array_equal(read.distance_mpc, columns["luminosity_distance"])
    np.testing.assert_allclose(read.chirp_mass, columns["chirp_mass"])


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("tc", None, "lacks tc .it has "),
        ("chirp_distance", None, "lacks chirp_distance .*drawn in chirp distance"),
        ("mass1", [np.nan, 20.0], "mass1 is nan in row 0"),
        ("distance", [100.0, 0.0], "distance is 0.0 in row 1"),
        ("mass2", [10.0], "columns have different lengths"),
    ],
)
def test_bad_files_are_one_line(name, value, message, tmp_path: Path):
    columns = {"mass1": [30.0, 20.0], "mass2": [30.0, 20.0], "distance": [1000.0, 2000.0], "tc": [50.0, 20.0]}
    path = tmp_path / "injections.hdf"
    with h5py.File(path, "w") as file:
        for key, column in (columns | {"chirp_distance": [200.0, 200.0], name: value}).items():
            if column is not None:
                file[key] = np.array(column)
    with pytest.raises(DataError, match=message):
        read_injections(str(path))


def test_signals_are_read_in_order_of_time(tmp_path: Path):
    columns = {"mass1": [30.0, 20.0], "mass2": [30.0, 20.0], "distance": [1000.0, 2000.0], "tc": [50.0, 20.0]}
    with h5py.File(tmp_path / "injections.hdf", "w") as file:
        for key, column in (columns | {"chirp_distance": [200.0, 200.0]}).items():
            file[key] = np.array(column)
    read = read_injections(str(tmp_path / "injections.hdf"))
    assert read.tc.tolist() == [20.0, 50.0]
    assert read.distance_mpc.tolist() == [2000.0, 1000.0]
