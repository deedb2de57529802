import itertools

import lalsimulation
import numpy as np
import pytest
from scipy import signal, stats

from aframe.errors import ConfigurationError, DataError
from aframe.strain.noise_curves import FLATTEN_FREQUENCY, asd_at, check_band, load_asd
from aframe.strain.simulate import simulate

START, RATE = 1262304000.0, 2048.0


@pytest.fixture(scope="module")
def curve():
    return load_asd("aLIGO_O4_high_asd.txt")


@pytest.fixture(scope="module")
def noise(curve):
    return simulate(curve, "H1", START, START + 300, RATE, seed=3)


def test_measured_psd_is_the_noise_curve(curve, noise):
    frequency, psd = signal.welch(noise, RATE, nperseg=int(4 * RATE))
    band = (frequency > 15) & (frequency < 0.95 * RATE / 2)
    expected = np.exp(np.interp(np.log(frequency[band]), np.log(curve[0]), np.log(curve[1]))) ** 2
    ratio = psd[band] / expected
    assert abs(ratio.mean() - 1) < 0.01
    medians = np.median(ratio[: len(ratio) // 80 * 80].reshape(-1, 80), axis=1)  # of 20 Hz: spares the narrow lines
    assert np.abs(medians - 1).max() < 0.06


def test_low_frequencies_are_flat(curve, noise):
    frequency, psd = signal.welch(noise, RATE, nperseg=int(16 * RATE))
    level = np.exp(np.interp(np.log(FLATTEN_FREQUENCY), np.log(curve[0]), np.log(curve[1]))) ** 2
    assert psd[(frequency > 1) & (frequency < 8)].mean() == pytest.approx(level, rel=0.1)


def test_real_curve_with_lines(data_directory):
    frequency, asd = load_asd(str(data_directory / "asd" / "cogwheel_asd_H_O3.npy"))
    noise = simulate((frequency, asd), "H1", START, START + 200, RATE, seed=1)
    measured, psd = signal.welch(noise, RATE, nperseg=int(8 * RATE), average="median")
    band = (measured > 20) & (measured < 500)
    ratio = psd[band] / np.interp(measured[band], frequency, asd**2)
    assert np.median(ratio) == pytest.approx(1, abs=0.05)


def test_continuous_across_any_border(curve, noise):
    edges = START + np.array([0, 64, 100.5, 101, 300])
    pieces = [simulate(curve, "H1", a, b, RATE, seed=3) for a, b in itertools.pairwise(edges)]
    np.testing.assert_allclose(np.concatenate(pieces), noise, atol=1e-9 * noise.std())


def test_other_detectors_and_seeds_are_independent(curve, noise):
    others = [simulate(curve, ifo, START, START + 300, RATE, seed=s) for ifo, s in (("L1", 3), ("H1", 4))]
    sos = signal.butter(4, [30, 800], "bandpass", fs=RATE, output="sos")
    series = [signal.sosfilt(sos, x) for x in (noise, *others)]
    correlation = np.corrcoef(series)[np.triu_indices(3, 1)]
    assert np.abs(correlation).max() < 0.03


def test_gaussian(curve):
    white = simulate((np.array([1.0, 1000.0]), np.ones(2)), "H1", START, START + 100, RATE, seed=5)
    assert stats.kstest(white / np.sqrt(RATE / 2), "norm").pvalue > 1e-3
    _, psd = signal.welch(white, RATE, nperseg=int(RATE))
    assert psd[2:-2].mean() == pytest.approx(1, rel=0.01)


def test_times_between_samples_are_refused(curve):
    with pytest.raises(DataError, match="lies between samples"):
        simulate(curve, "H1", START + 0.0001, START + 1, RATE, seed=1)


def test_text_and_binary_tables(data_directory, tmp_path):
    frequency, asd = load_asd(str(data_directory / "asd" / "aligo_O4high.txt"))
    np.save(tmp_path / "same.npy", np.stack([frequency, asd]))
    np.testing.assert_array_equal(load_asd(str(tmp_path / "same.npy")), (frequency, asd))
    np.save(tmp_path / "columns.npy", np.stack([frequency, asd], axis=1))
    np.testing.assert_array_equal(load_asd(str(tmp_path / "columns.npy")), (frequency, asd))
    rows = [f"{k},{f:.17g},{a:.17g}" for k, (f, a) in enumerate(zip(frequency[::-1], asd[::-1], strict=True))]
    (tmp_path / "falling.csv").write_text("\n".join([",frequency,asd", *rows]))
    np.testing.assert_array_equal(load_asd(str(tmp_path / "falling.csv")), (frequency, asd))


def test_analytic_curves_of_lalsimulation_have_its_names():
    frequency, asd = load_asd("aLIGOZeroDetHighPower")
    assert frequency[0] <= 10
    assert frequency[-1] >= 4096
    for each in (15.0, 50.0, 300.0, 1000.0):
        expected = lalsimulation.SimNoisePSDaLIGOZeroDetHighPower(each)
        assert asd_at((frequency, asd), np.array([each]))[0] ** 2 == pytest.approx(expected, rel=1e-4)
    for name in ("aLIGOO9", "aLIGOZeroDetHighPowerGWINC"):  # of the second, LAL has a table
        with pytest.raises(ConfigurationError, match="neither a file nor"):
            load_asd(name)


def test_unknown_and_unusable_curves(tmp_path):
    with pytest.raises(ConfigurationError, match=r"neither a file nor .*aLIGO_O4_high_asd\.txt"):
        load_asd("aLIGO_O9.txt")
    (tmp_path / "words.txt").write_text("no numbers here\n")
    with pytest.raises(DataError, match="give two columns"):
        load_asd(str(tmp_path / "words.txt"))
    (tmp_path / "three.txt").write_text("10 1e-22 2e-22\n20 1e-22 2e-22\n30 1e-22 2e-22\n")
    with pytest.raises(DataError, match=r"three\.txt has 3 columns: give two columns"):
        load_asd(str(tmp_path / "three.txt"))
    (tmp_path / "twice.txt").write_text("10 1e-22\n20 1e-22\n20 2e-22\n30 1e-22\n")
    with pytest.raises(DataError, match=r"twice\.txt has two rows of 20 Hz: leave one of them out"):
        load_asd(str(tmp_path / "twice.txt"))
    with pytest.raises(ConfigurationError, match=r"'aLIGO_early_psd\.txt' is a PSD: give one of bilby's ASDs, AdV_asd"):
        load_asd("aLIGO_early_psd.txt")
    (tmp_path / "zero.txt").write_text("10 1e-22\n20 0\n")
    with pytest.raises(DataError, match="positive and finite"):
        load_asd(str(tmp_path / "zero.txt"))


def test_a_row_at_zero_frequency_is_left_out(curve, tmp_path):
    np.savetxt(tmp_path / "rfft.txt", np.stack([np.r_[0.0, curve[0]], np.r_[1.0, curve[1]]]).T)
    read = load_asd(str(tmp_path / "rfft.txt"))
    np.testing.assert_array_equal(read, curve)
    assert np.isfinite(simulate(read, "H1", START, START + 8, RATE, seed=1)).all()


@pytest.mark.parametrize("name", ["GEO600_S6e", "LIGO_srd", "aLIGO_O4_high", "AdV", "KAGRA_design", "ET_D", "CE"])
def test_noise_of_every_generation_is_a_detectors(name):
    check_band(load_asd(f"{name}_asd.txt"), name, 20.0, 2048.0)


def test_curves_of_no_detector_or_of_another_band_are_refused(curve):
    frequency, asd = curve
    check_band((frequency[frequency < 1000], asd[frequency < 1000]), "asd.txt", 20.0, 1024.0)
    with pytest.raises(DataError, match=r"asd\.txt covers 10\.\d+ to \d+\.?\d* Hz, not the band of 20 to 1024 Hz"):
        check_band((frequency[frequency < 900], asd[frequency < 900]), "asd.txt", 20.0, 1024.0)
    with pytest.raises(DataError, match="not the band of 5 to 1024 Hz"):
        check_band(curve, "asd.txt", 5.0, 1024.0)
    with pytest.raises(DataError, match="seem to be in kHz: give Hz"):
        check_band((frequency / 1000, asd), "asd.txt", 20.0, 1024.0)
    with pytest.raises(DataError, match=r"e-47 in band, .* looks like a PSD: give its square root"):
        check_band((frequency, asd**2), "asd.txt", 20.0, 1024.0)
    with pytest.raises(DataError, match=r"median of 1 in band, which is no detector's ASD: give 1/sqrt"):
        check_band((frequency, np.ones_like(asd)), "asd.txt", 20.0, 1024.0)
