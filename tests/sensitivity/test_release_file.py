"""Reading of released injections: layouts, units, and what cannot be read."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from released import DURATION, REACH, drawn, write_o3, write_o4

from aframe.constants import SECONDS_PER_YEAR
from aframe.errors import DataError, StorageError, UnknownNameError
from aframe.sensitivity.release_file import read_header, read_release

DRAWS = drawn(2000)


def changed(path: Path, change: str) -> str:
    """The layout of O3 after a change that a test names: a dataset or attribute left out."""
    write_o3(path, DRAWS)
    with h5py.File(path, "a") as file:
        for node in (file, file["injections"]):
            for name in change.split():
                if name in node:
                    del node[name]
                if name in node.attrs:
                    del node.attrs[name]
    return str(path)


def test_the_layout_of_o3_is_read(tmp_path: Path):
    release = read_release(write_o3(tmp_path / "o3.hdf5", DRAWS))
    assert (len(release), release.total, release.duration) == (len(DRAWS.far["cwb"]), 2000, DURATION)
    assert np.array_equal(release.time, DRAWS.columns["time"])
    assert list(release.far_per_year) == sorted(REACH)
    for name, rate in DRAWS.far.items():
        assert np.array_equal(release.far_per_year[name], rate)
    assert release.log_density == pytest.approx(np.log(DRAWS.density["masses"] * DRAWS.density["redshift"]))
    assert release.has_own_spins


def test_inverse_rates_and_whole_times_serve_without_the_others(tmp_path: Path):
    path = changed(tmp_path / "o3.hdf5", "far_cwb far_gstlal gps_time")
    with h5py.File(path, "a") as file:
        file["injections/gps_time_int"] = np.floor(DRAWS.columns["time"]).astype(np.int64)
    release = read_release(path, ["cwb", "pycbc_bbh"])
    assert list(release.far_per_year) == ["cwb", "pycbc_bbh"]
    found = np.isfinite(DRAWS.far["cwb"])
    assert release.far_per_year["cwb"][found] == pytest.approx(DRAWS.far["cwb"][found])
    assert np.isinf(release.far_per_year["cwb"][~found]).all()
    assert np.abs(release.time - DRAWS.columns["time"]).max() <= 0.5


def test_the_layout_of_o4_is_read_with_its_names(tmp_path: Path):
    for is_group in (False, True):
        path = write_o4(tmp_path / f"{is_group}.hdf5", DRAWS)
        with h5py.File(path, "a") as file:
            table = file["events"][:]
            table["gstlal_far"][:2] = np.nan, -1.0
            del file["events"]
            if is_group:
                for name in table.dtype.names:
                    file[f"events/{name}"] = table[name]
            else:
                file["events"] = table
        release = read_release(path)
        assert set(release.far_per_year) == {"gstlal", "pycbc-bbh", "cwb"}
        assert np.isinf(release.far_per_year["gstlal"][:2]).all()
        assert release.log_density == pytest.approx(np.log(DRAWS.density["masses"] * DRAWS.density["redshift"]))


@pytest.mark.parametrize(
    ("name", "value", "seconds"),
    [
        ("analysis_time", 0.5, 0.5 * SECONDS_PER_YEAR),
        ("analysis_time", 28519200, 28519200.0),
        ("total_analysis_time_yr", 0.25, 0.25 * SECONDS_PER_YEAR),
        ("analysis_time_s", 900.0, 900.0),
        ("total_analysis_time_1ifo", 2e7, 2e7),
    ],
)
def test_times_are_in_seconds_or_years(tmp_path: Path, name: str, value: float, seconds: float):
    path = changed(tmp_path / "o3.hdf5", "analysis_time_s")
    with h5py.File(path, "a") as file:
        file["injections"].attrs[name] = value
    assert read_header(path).duration == pytest.approx(seconds)


def test_accepted_and_rejected_draws_add_up_to_all(tmp_path: Path):
    path = changed(tmp_path / "o3.hdf5", "total_generated n_accepted")
    with h5py.File(path, "a") as file:
        file.attrs.update({"n_accepted": 700, "n_rejected": 2300})
    assert read_header(path).total == 3000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("injections", r"is no injection set of a known layout: it lacks a group `injections` .* it has nothing"),
        ("mass1_source", r"lacks the masses: expected are mass1_source, mass2_source, .*; there are far_cwb, .* more"),
        ("redshift", r"injections lacks redshift, also as z; there are far_cwb, .* more"),
        (
            "sampling_pdf redshift_sampling_pdf",
            r"injections lacks the draw probabilities: expected are sampling_pdf, .* there are far_cwb, .* more",
        ),
        ("total_generated n_accepted", r"does not tell the total number of draws \(attribute total_generated\)"),
        ("analysis_time_s", r"does not tell the time of its injections"),
        ("redshift_sampling_pdf spin1x", r"lacks spin1x: expected are sampling_pdf"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, change: str, message: str):
    path = tmp_path / "o3.hdf5"
    if change == "injections":
        write_o3(path, DRAWS)
        h5py.File(path, "w").close()
    else:
        changed(path, change)
    with pytest.raises(DataError, match=message) as error:
        read_header(str(path))
    assert "\n" not in str(error.value)


def test_impossible_values_are_refused(tmp_path: Path):
    for name, value, message in (
        ("mass2_source", 200.0, r"1 of \d+ injections have impossible masses or redshifts \(the first: row 3"),
        ("redshift_sampling_pdf", 0.0, r"1 of \d+ injections have no positive draw probability \(the first: row 3"),
        ("mixture_weight", -1.0, "a mixture weight is negative or no number"),
    ):
        path = write_o3(tmp_path / f"{name}.hdf5", DRAWS)
        with h5py.File(path, "a") as file:
            values = file[f"injections/{name}"][:] if name in file["injections"] else np.ones(len(DRAWS.far["cwb"]))
            values[3] = value
            if name in file["injections"]:
                del file[f"injections/{name}"]
            file[f"injections/{name}"] = values
        with pytest.raises(DataError, match=message):
            read_release(path)
    path = write_o3(tmp_path / "few.hdf5", DRAWS)
    with h5py.File(path, "a") as file:
        file.attrs["total_generated"] = 5
    with pytest.raises(DataError, match="total_generated = 5 is less than the"):
        read_release(path)


def test_aligned_spins_need_a_density_without_them(tmp_path: Path):
    for has_factors in (True, False):
        path = write_o3(tmp_path / f"{has_factors}.hdf5", DRAWS, has_factors=has_factors)
        with h5py.File(path, "a") as file:
            for body, axis in ((1, "x"), (1, "y"), (2, "x"), (2, "y")):
                file[f"injections/spin{body}{axis}"][:] = 0.0
        if has_factors:
            assert read_release(path).has_own_spins
        else:
            with pytest.raises(DataError, match="all spins lie along the orbit's axis"):
                read_release(path)


def test_a_pipeline_that_is_not_there_is_named_with_the_nearest(tmp_path: Path):
    path = write_o3(tmp_path / "o3.hdf5", DRAWS)
    with pytest.raises(
        UnknownNameError, match=r"of 'gstlall' \(did you mean 'gstlal'\?\); it has those of cwb, gstlal"
    ):
        read_release(path, ["gstlall"])
    assert read_header(path).chosen(None) == sorted(REACH)


def test_a_file_of_another_kind_is_refused(tmp_path: Path):
    with pytest.raises(StorageError):
        read_header(str(tmp_path / "none.hdf5"))
    (tmp_path / "text.hdf5").write_text("no HDF5")
    with pytest.raises(StorageError):
        read_header(str(tmp_path / "text.hdf5"))


def test_a_column_that_is_shorter_than_the_others_is_refused(tmp_path: Path):
    path = write_o3(tmp_path / "short.hdf5", DRAWS)
    with h5py.File(path, "a") as file:
        rates = file["injections/far_gstlal"][:-3]
        del file["injections/far_gstlal"]
        file["injections/far_gstlal"] = rates
    with pytest.raises(DataError, match=r"gstlal has the shape \(\d+,\), and there are \d+ redshifts"):
        read_release(path)
