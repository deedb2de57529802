"""Pools of noise curves: files of any kind, their detectors, and the noise that has their spectra."""

import shutil

import h5py
import numpy as np
import pytest
from scipy import signal

from aframe.errors import ConfigurationError, DataError
from aframe.strain.curve_pool import CurvePool, read_pools
from aframe.strain.noise import SimulatedNoise
from aframe.strain.noise_curves import PYCBC_SCALE, asd_at, load_asd, read_curve
from aframe.strain.segments import Segment

START, RATE, BAND = 1262304000.0, 1024.0, (32.0, 512.0)
FREQUENCY = np.geomspace(5, 2048, 400)


def level(value):
    return np.stack([FREQUENCY, np.full_like(FREQUENCY, value)])


@pytest.fixture
def folder(tmp_path):
    """Two curves of H1 and one of L1, in folders, and one of V1."""
    for name, value in (("H1/a.txt", 1e-23), ("H1/b.txt", 2e-23), ("L1/a.txt", 3e-23), ("x_V1.txt", 9e-23)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        np.savetxt(tmp_path / name, level(value).T)
    return tmp_path


def levels(pool):
    return sorted(float(asd[0]) for _, asd in pool.curves)


def test_files_go_to_the_detectors_that_they_are_named_for(folder):
    for places in ([str(folder)], [str(folder / "*" / "*.txt")], [str(p) for p in sorted(folder.glob("*/*.txt"))]):
        pools = read_pools(places, ("H1", "L1"), BAND)
        assert levels(pools["H1"]) == [1e-23, 2e-23]
        assert levels(pools["L1"]) == [3e-23]
    (folder / "H1_L1").mkdir()
    np.savetxt(folder / "any.txt", level(5e-23).T)
    assert levels(read_pools([str(folder)], ("L1",), BAND)["L1"]) == [3e-23, 5e-23]


def test_a_single_curve_is_that_of_all_detectors(folder):
    pools = read_pools([str(folder / "L1" / "a.txt")], ("H1", "L1"), BAND)
    assert pools["H1"].curves == pools["L1"].curves


def test_names_of_bilby_can_stand_beside_files(folder):
    pools = read_pools([str(folder / "H1"), "aLIGO_O4_high_asd.txt"], ("H1",), BAND)
    assert len(pools["H1"].curves) == 3
    with pytest.raises(ConfigurationError, match="neither a file nor"):
        read_pools(["quiet.txt"], ("H1",), BAND)


def test_detectors_without_curves_and_mixed_units_are_named(folder, tmp_path):
    with pytest.raises(DataError, match=r"has no noise curve of K1: its files are named for H1, L1, V1: add one"):
        read_pools([str(folder)], ("H1", "K1"), BAND)
    np.savetxt(folder / "H1" / "c.txt", (level(1e-23) ** [[1], [2]]).T)
    with pytest.raises(DataError, match=r"a\.txt has 1/sqrt\(Hz\), but \S+c\.txt has 1/Hz"):
        read_pools([str(folder)], ("H1", "L1"), BAND)
    shutil.rmtree(folder / "H1")
    (folder / "H1").mkdir()
    with pytest.raises(DataError, match="holds no noise curve"):
        read_pools([str(folder / "H1")], ("H1",), BAND)
    np.savetxt(folder / "H1" / "narrow.txt", level(1e-23).T[100:200])
    with pytest.raises(DataError, match=r"narrow\.txt covers .* not the band of 32 to 512 Hz"):
        read_pools([str(folder)], ("H1", "L1"), BAND)


def test_power_spectral_densities_are_known_by_their_values(tmp_path):
    frequency, asd = load_asd("aLIGO_O4_high_asd.txt")
    np.savetxt(tmp_path / "psd.txt", np.stack([frequency, asd**2]).T)
    np.save(tmp_path / "psd.npy", np.stack([frequency, asd**2]))
    for name in ("psd.txt", "psd.npy"):
        spectrum = read_curve(str(tmp_path / name))
        assert spectrum.is_psd
        np.testing.assert_allclose(spectrum.curve[1], asd)


@pytest.mark.parametrize("scale", [1.0, PYCBC_SCALE**2])
def test_pycbc_series_of_either_scale(tmp_path, scale):
    psd = np.full(1025, 1e-46)
    psd[:10] = 0
    with h5py.File(tmp_path / "psd.hdf", "w") as file:
        file.create_dataset("data", data=psd * scale).attrs["delta_f"] = 0.5
    frequency, asd = load_asd(str(tmp_path / "psd.hdf"))
    assert (frequency[0], frequency[-1]) == (5, 512)
    np.testing.assert_allclose(asd, 1e-23)
    with h5py.File(tmp_path / "psd.hdf", "a") as file:
        file.create_dataset("other", data=psd).attrs["delta_f"] = 0.5
    with pytest.raises(DataError, match=r"has 2 datasets with the attribute delta_f \(data, other\)"):
        load_asd(str(tmp_path / "psd.hdf"))


def test_measured_curves_of_o3(data_directory):
    pools = read_pools([str(data_directory / "psd" / "O3a")], ("H1", "L1"), (20.0, 1024.0))
    assert [len(pools[ifo].curves) for ifo in ("H1", "L1")] == [20, 20]
    for ifo, lowest, highest in (("H1", 4e-24, 8e-24), ("L1", 4e-24, 6e-24)):
        for curve in pools[ifo].curves:
            assert lowest < asd_at(curve, np.array([100.0]))[0] < highest


def test_the_mean_is_geometric():
    pool = CurvePool("H1", tuple((FREQUENCY, level(value)[1]) for value in (1e-23, 4e-23)))
    np.testing.assert_allclose(asd_at(pool.mean, np.array([20.0, 500.0])), 2e-23)


def test_every_segment_has_the_spectrum_of_its_curve(folder, source):
    noise = SimulatedNoise.of(source(asd=(str(folder),), sample_rate=RATE, band=BAND))
    drawn = []
    for k in range(12):
        segment = Segment(START + 64 * k, START + 64 * (k + 1))
        drawn.append(noise.curve_at("H1", segment)(START)[1][0])
        for ifo in ("H1", "L1"):
            _, psd = signal.welch(noise.strain(ifo, segment), RATE, nperseg=1024)
            assert np.sqrt(psd[20:500].mean()) == pytest.approx(noise.curve_at(ifo, segment)(START)[1][0], rel=0.02)
    assert set(drawn) == {1e-23, 2e-23}
    again = SimulatedNoise.of(source(asd=(str(folder),), sample_rate=RATE, band=BAND))
    np.testing.assert_array_equal(again.strain("H1", segment), noise.strain("H1", segment))
    other = SimulatedNoise.of(source(asd=(str(folder),), sample_rate=RATE, band=BAND, seed=8))
    assert drawn != [
        other.curve_at("H1", Segment(START + 64 * k, START + 64 * (k + 1)))(START)[1][0] for k in range(12)
    ]


def test_glitches_at_a_border_are_the_same_in_both_segments(folder, source):
    settings = {"asd": (str(folder),), "sample_rate": RATE, "band": BAND}
    loud, quiet = (SimulatedNoise.of(source(**settings, glitches=glitches)) for glitches in ("o3", None))
    border = loud.glitches([Segment(START, START + 2000)])
    time = np.round(border["glitch_time"][border["ifo"] == "H1"][0])
    segments = [Segment(time - 20, time), Segment(time, time + 16), Segment(time - 20, time + 16)]
    before, after, whole = (loud.strain("H1", each) - quiet.strain("H1", each) for each in segments)
    np.testing.assert_allclose(np.concatenate([before, after]), whole, rtol=0, atol=1e-9 * np.abs(whole).max())
    rows = loud.glitches([Segment(time - 20, time + 16)])
    here = np.argmin(np.abs(rows["glitch_time"] - time))
    curve = loud.curve_at("H1", segments[2])(START)
    spectrum = np.abs(np.fft.rfft(whole) / RATE)[360:]
    frequency = np.fft.rfftfreq(len(whole), 1 / RATE)[360:]
    measured = np.sqrt(4 * ((spectrum / asd_at(curve, frequency)) ** 2).sum() * RATE / len(whole))
    near = rows.rows(rows["ifo"] == "H1")
    assert measured == pytest.approx(np.sqrt((near["snr"] ** 2).sum()), rel=0.02)
    assert rows["snr"][here] > 0
