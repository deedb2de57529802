import numpy as np
import pytest
import torch
from bilby.core import prior as priors

from aframe.errors import ConfigurationError, DataError
from aframe.tables import InjectionTable
from aframe.waveforms import injections
from aframe.waveforms.horizon import optimal_snr
from aframe.waveforms.injections import (
    Placement,
    Selection,
    SignalSource,
    accepted_signals,
    injection_set,
    injection_times,
    polarization_set,
)
from aframe.waveforms.priors import Population, demo_bbh, draw
from aframe.waveforms.projection import (
    antenna_patterns,
    arrival_delays,
    detector_geometry,
    greenwich_mean_sidereal_time,
    project,
)

RATE, BAND, THRESHOLD = 2048.0, (32.0, None), 6.0
IFOS = ("H1", "L1")


@pytest.fixture(scope="module")
def source(generator):
    return SignalSource(demo_bbh(), generator, 1)


@pytest.fixture(scope="module")
def selection(psds):
    return Selection(IFOS, psds, *BAND, THRESHOLD)


def rng(seed=1):
    return np.random.default_rng(seed)


def same(first, second):
    columns = {**first.parameters, **first.waveforms}, {**second.parameters, **second.waveforms}
    return all(columns[0][name].tobytes() == columns[1][name].tobytes() for name in columns[0])


def test_exactly_as_many_as_asked_for_and_every_draw_counted_once(source, selection):
    accepted, rejected = accepted_signals(source, selection, 50, rng())
    assert len(accepted) == 50
    assert accepted.attributes["num_injections"] == len(accepted) + len(rejected)
    assert accepted.attributes["num_unphysical"] == 0
    assert (accepted["snr"] >= THRESHOLD).all()
    np.testing.assert_allclose(np.linalg.norm(accepted["ifo_snrs"], axis=-1), accepted["snr"], rtol=1e-6)
    assert not rejected.waveforms


def test_sorting_is_that_of_full_generation(source, selection, generator):
    """Every draw of the same generator, made in full and without the bound, is sorted alike."""
    accepted, rejected = accepted_signals(source, selection, 30, rng(2))
    total = accepted.attributes["num_injections"]
    columns = draw(source.population, 16384, rng(2))
    columns = {name: column[:total] for name, column in columns.items()}
    waves = [torch.from_numpy(wave) for wave in generator.generate(columns)]
    angles = [torch.tensor(columns[name], dtype=torch.float32) for name in ("ra", "dec", "psi")]
    responses = project(waves[0], waves[1], detector_geometry(IFOS), *angles, RATE)
    loud = optimal_snr(responses, selection.psds, RATE, *BAND).norm(dim=-1).numpy() >= THRESHOLD
    assert loud[-1]
    np.testing.assert_array_equal(columns["mass_1"][loud], accepted["mass_1"])
    np.testing.assert_array_equal(columns["mass_1"][~loud], rejected["mass_1"])


def test_fewer_signals_are_the_first_of_more(source, selection):
    few, few_rejected = accepted_signals(source, selection, 20, rng(3))
    many, many_rejected = accepted_signals(source, selection, 40, rng(3))
    np.testing.assert_array_equal(few["mass_1"], many["mass_1"][:20])
    np.testing.assert_array_equal(few_rejected["mass_1"], many_rejected["mass_1"][: len(few_rejected)])


def test_recorded_ratios_and_delays_are_those_of_the_responses(source, selection):
    times = 1.25e9 + 1e4 * np.arange(25.0)
    accepted, _ = accepted_signals(source, selection, 25, rng(4), gps_times=times)
    responses = torch.from_numpy(np.stack([accepted.waveforms[ifo.lower()] for ifo in IFOS], axis=1))
    ratios = optimal_snr(responses, selection.psds, RATE, *BAND)
    np.testing.assert_allclose(ratios, accepted["ifo_snrs"], rtol=1e-5)
    plus, cross = map(torch.from_numpy, source.generator.generate(accepted.parameters))
    hour = torch.tensor(accepted["ra"] - greenwich_mean_sidereal_time(times), dtype=torch.float32)
    dec, psi = (torch.tensor(accepted[name], dtype=torch.float32) for name in ("dec", "psi"))
    geometry = detector_geometry(IFOS)
    expected = project(plus, cross, geometry, hour, dec, psi, RATE)
    torch.testing.assert_close(responses * 1e22, expected * 1e22, rtol=1e-3, atol=1e-4)
    assert (np.abs(arrival_delays(geometry, hour, dec)) < 0.0214).all()
    assert all(torch.isfinite(pattern).all() for pattern in antenna_patterns(geometry, hour, dec, psi))


def test_bytes_depend_on_the_seed_alone(source, selection):
    alone, rejected = accepted_signals(source, selection, 30, rng(5))
    together, rejected_too = accepted_signals(
        SignalSource(source.population, source.generator, 3), selection, 30, rng(5)
    )
    assert same(alone, together)
    assert same(rejected, rejected_too)
    assert not same(alone, accepted_signals(source, selection, 30, rng(6))[0])


def test_unphysical_draws_are_in_neither_table(source, selection):
    """Where the model fails, a draw is counted apart (spins above 1 are refused by LAL)."""
    prior = dict(source.population.prior)
    prior["a_1"] = priors.Uniform(0.5, 1.5, name="a_1")
    population = Population(priors.ConditionalPriorDict(prior), False)
    accepted, rejected = accepted_signals(SignalSource(population, source.generator, 1), selection, 40, rng(7))
    assert accepted.attributes["num_unphysical"] > 0
    assert accepted.attributes["num_injections"] == 40 + len(rejected)
    assert accepted["a_1"].max() <= 1


def test_injections_of_a_segment(source, selection, tmp_path):
    placement = Placement(1264314069.0, 1264314069.0 + 400, 12.0, 8.0, 2.0, (0.0, 3.0))
    table, rejected = injection_set(source, selection, placement, 20, rng(8))
    times = table["injection_time"]
    assert len(table) == 20
    assert times.min() >= placement.start + 8
    assert times.max() <= placement.stop - 8
    assert np.diff(times).min() >= 12 - 2 * 2
    np.testing.assert_array_equal(table["shift"], np.tile([0.0, 3.0], (20, 1)))
    path = str(tmp_path / "waveforms.hdf5")
    table.write(path)
    again = InjectionTable.read(path, waveforms=True)
    assert same(table, again)
    assert again.attributes["ifos"] == ["H1", "L1"]
    assert again.attributes["num_injections"] == 20 + len(rejected)
    assert again.waveforms["h1"].shape == (20, 8 * 2048)
    peak = np.abs(again.waveforms["l1"]).argmax(axis=-1) / RATE
    assert (np.median(np.abs(peak - 7.5))) < 0.03


def test_more_than_fit_are_refused_with_the_number_that_do(source, selection):
    placement = Placement(0.0, 100.0, 10.0, 5.0, 0.0, (0.0, 1.0))
    with pytest.raises(DataError, match="10 do"):
        injection_set(source, selection, placement, 11, rng())


@pytest.mark.parametrize(("stop", "number"), [(100.0, 10), (20.0, 2), (19.9, 1), (10.0, 1), (9.0, 0)])
def test_as_many_times_as_fit(stop, number):
    times = injection_times(Placement(0.0, stop, 10.0, 5.0, 0.0, (0.0,)), rng())
    np.testing.assert_allclose(times, 5.0 + 10 * np.arange(number))


def test_offsets_may_not_reorder(source):
    with pytest.raises(ConfigurationError, match="jitter"):
        injection_times(Placement(0.0, 100.0, 10.0, 5.0, 5.0, (0.0,)), rng())


def test_training_set(source):
    calls = []
    table = polarization_set(source, 40, rng(9), progress=lambda done, total: calls.append((done, total)))
    assert len(table) == 40
    assert table.attributes == {"sample_rate": RATE, "duration": 8.0, "right_pad": 0.5, "num_dropped": 0}
    assert np.isfinite(table.waveforms["plus"]).all()
    assert calls[-1] == (40, 40)
    assert same(table, polarization_set(SignalSource(source.population, source.generator, 2), 40, rng(9)))


def test_no_signals_are_an_empty_table(source, selection):
    accepted, rejected = accepted_signals(source, selection, 0, rng())
    assert len(accepted) == len(rejected) == accepted.attributes["num_injections"] == 0


def test_a_threshold_beyond_reach_ends(source, psds, monkeypatch):
    monkeypatch.setattr(injections, "HOPELESS_DRAWS", 1)
    with pytest.raises(DataError, match="snr_threshold"):
        accepted_signals(source, Selection(IFOS, psds, *BAND, 1e6), 1, rng())


def test_a_patch_of_right_ascension_cannot_be_placed_in_time(source, selection):
    prior = priors.ConditionalPriorDict(dict(source.population.prior) | {"ra": priors.Uniform(0.0, 1.0, name="ra")})
    patchy = SignalSource(Population(prior, False), source.generator, 1)
    assert patchy.population.sky_fraction == pytest.approx(1 / (2 * np.pi))
    with pytest.raises(ConfigurationError, match="ra"):
        accepted_signals(patchy, selection, 1, rng(), gps_times=np.array([1.25e9]))
