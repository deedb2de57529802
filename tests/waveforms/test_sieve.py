import numpy as np
import pytest
import torch
from bilby.core import prior as priors

from aframe.errors import ConfigurationError, DataError
from aframe.tables import RejectedTable, ResponseTable
from aframe.waveforms import sieve
from aframe.waveforms import source as source_module
from aframe.waveforms import source as waveform_source
from aframe.waveforms.horizon import optimal_snr
from aframe.waveforms.polarizations import WaveformGenerator
from aframe.waveforms.priors import Population, demo_bbh, draw
from aframe.waveforms.projection import (
    antenna_patterns,
    arrival_delays,
    detector_geometry,
    greenwich_mean_sidereal_time,
    project,
)
from aframe.waveforms.sieve import COUNTS, Selection, accepted_signals
from aframe.waveforms.source import SignalSource

RATE, BAND, THRESHOLD = 2048.0, (32.0, None), 6.0
IFOS = ("H1", "L1")


@pytest.fixture(scope="module")
def source(generator):
    return SignalSource(demo_bbh(), generator, 1)


@pytest.fixture(scope="module")
def selection(psds):
    return Selection(IFOS, psds, *BAND, THRESHOLD)


@pytest.fixture
def few_draws(monkeypatch):
    """Few draws at a time, for models that test every draw."""
    monkeypatch.setattr(sieve, "DRAWS", 512)
    monkeypatch.setattr(source_module, "PROBES", 256)


def rng(seed=1):
    return np.random.default_rng(seed)


def changed(population, **columns):
    """The population with different priors of some columns."""
    prior = dict(population.prior) | {name: kind(*limits, name=name) for name, (kind, *limits) in columns.items()}
    return Population(priors.ConditionalPriorDict(prior), False)


def whole(batches):
    """Accepted and rejected draws of all batches."""
    accepted, rejected = zip(*batches, strict=True)
    return ResponseTable.concatenate(accepted, COUNTS), RejectedTable.concatenate(rejected, COUNTS)


def same(first, second):
    columns = {**first.parameters, **first.waveforms}, {**second.parameters, **second.waveforms}
    return all(columns[0][name].tobytes() == columns[1][name].tobytes() for name in columns[0])


def test_the_requested_number_is_accepted_and_every_draw_is_counted_once(source, selection):
    accepted, rejected = whole(accepted_signals(source, selection, 50, rng()))
    assert len(accepted) == 50
    assert accepted.attributes["num_injections"] == len(accepted) + len(rejected)
    assert accepted.attributes["num_not_finite"] == accepted.attributes["num_too_loud"] == 0
    assert (accepted["snr"] >= THRESHOLD).all()
    np.testing.assert_allclose(np.linalg.norm(accepted["ifo_snrs"], axis=-1), accepted["snr"], rtol=1e-6)
    assert not rejected.waveforms


def test_waveforms_are_made_only_where_they_are_needed(source, selection):
    accepted, rejected = whole(accepted_signals(source, selection, 50, rng()))
    judged = np.isfinite(rejected["snr"])
    assert 0 < judged.sum() < len(rejected)
    assert (rejected["snr"][judged] < THRESHOLD).all()
    assert accepted.attributes["num_waveforms"] == 50 + judged.sum()


def test_sorting_is_that_of_full_generation(source, selection, generator):
    """The sieve sorts draws as a reference without the bound, with all waveforms, does."""
    accepted, rejected = whole(accepted_signals(source, selection, 30, rng(2)))
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
    np.testing.assert_array_equal(accepted["num_draws"], np.diff(np.flatnonzero(loud), prepend=-1))


def test_fewer_signals_are_the_first_of_more(source, selection):
    few, few_rejected = whole(accepted_signals(source, selection, 20, rng(3)))
    many, many_rejected = whole(accepted_signals(source, selection, 40, rng(3)))
    np.testing.assert_array_equal(few["mass_1"], many["mass_1"][:20])
    np.testing.assert_array_equal(few_rejected["mass_1"], many_rejected["mass_1"][: len(few_rejected)])


def test_batches_are_small_and_in_order(source, selection, monkeypatch):
    together = whole(accepted_signals(source, selection, 100, rng(3), store_waveforms=False))
    monkeypatch.setattr(waveform_source, "MOST_WAVEFORMS", 64)
    batches = list(accepted_signals(source, selection, 100, rng(3), store_waveforms=False))
    assert len(batches) >= 3
    assert max(len(accepted) for accepted, _ in batches) <= 64
    for one, other in zip(together, whole(batches), strict=True):
        np.testing.assert_array_equal(one["mass_1"], other["mass_1"])
        assert one.attributes["num_injections"] == other.attributes["num_injections"]
        assert not other.waveforms
    counts = [table["num_draws"] for table in (together[0], whole(batches)[0])]
    np.testing.assert_array_equal(*counts)
    assert counts[0].sum() == together[0].attributes["num_injections"]


def test_recorded_ratios_and_delays_are_those_of_the_responses(source, selection):
    times = 1.25e9 + 1e4 * np.arange(25.0)
    accepted, _ = whole(accepted_signals(source, selection, 25, rng(4), gps_times=times))
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
    alone, rejected = whole(accepted_signals(source, selection, 30, rng(5)))
    many = SignalSource(source.population, source.generator, 16)
    together, rejected_too = whole(accepted_signals(many, selection, 30, rng(5)))
    assert same(alone, together)
    assert same(rejected, rejected_too)
    assert not same(alone, whole(accepted_signals(source, selection, 30, rng(6)))[0])


@pytest.mark.usefixtures("few_draws")
def test_what_the_model_refuses_is_in_neither_table_near_or_far(source, selection, monkeypatch):
    """LAL too refuses spins above 1: half of all draws, wherever they are, so that the shares of the two tables do not
    depend on the distance at which a waveform is needed.
    """
    monkeypatch.delitem(source_module.LIMITS, "a_1")
    population = changed(source.population, a_1=(priors.Uniform, 0.5, 1.5))
    accepted, rejected = whole(accepted_signals(SignalSource(population, source.generator, 1), selection, 40, rng(7)))
    refused, counted = (accepted.attributes[name] for name in ("num_not_finite", "num_injections"))
    assert counted == 40 + len(rejected)
    assert refused == pytest.approx(counted, abs=5 * np.sqrt(counted))
    assert max(accepted["a_1"].max(), rejected["a_1"].max()) <= 1


@pytest.mark.usefixtures("few_draws")
def test_what_merges_below_the_minimum_frequency_is_missed(source, psds):
    """Total masses beyond 500 solar masses ring down below 60 Hz; below 200, far above it."""
    high = WaveformGenerator("IMRPhenomPv2", RATE, 8.0, 0.5, 60.0, 60.0)
    masses = {"mass_1": (priors.Uniform, 100.0, 600.0), "mass_2": (priors.Uniform, 90.0, 100.0)}
    population = changed(demo_bbh(), **masses, a_1=(priors.Uniform, 0.0, 0.1))
    chosen = Selection(IFOS, psds, 60.0, None, 4.0)
    accepted, rejected = whole(accepted_signals(SignalSource(population, high, 1), chosen, 20, rng(8)))
    assert accepted.attributes["num_not_finite"] == 0
    assert accepted.attributes["num_injections"] == len(accepted) + len(rejected) == accepted["num_draws"].sum()
    assert (accepted["mass_1"] + accepted["mass_2"]).max() < 500
    total = rejected["mass_1"] + rejected["mass_2"]
    assert (total > 500).sum() > 100
    assert np.isnan(rejected["snr"][total > 500]).all()


@pytest.mark.usefixtures("few_draws")
def test_what_no_source_can_be_is_in_neither_table(source, psds):
    """In noise a hundred thousand times too quiet, all signals exceed the largest physical SNR."""
    chosen = Selection(IFOS, psds * 1e-10, *BAND, THRESHOLD)
    population = changed(source.population, redshift=(priors.Uniform, 1e-3, 10.0))
    accepted, rejected = whole(accepted_signals(SignalSource(population, source.generator, 1), chosen, 5, rng(9)))
    assert accepted.attributes["num_too_loud"] > 0
    assert accepted["snr"].max() <= 1e4
    assert accepted.attributes["num_injections"] == 5 + len(rejected)


def test_no_signals_are_an_empty_table(source, selection):
    accepted, rejected = whole(accepted_signals(source, selection, 0, rng()))
    assert len(accepted) == len(rejected) == accepted.attributes["num_injections"] == 0
    assert accepted["ifo_snrs"].shape == (0, 2)


def test_a_threshold_beyond_reach_ends(source, psds, monkeypatch):
    monkeypatch.setattr(sieve, "HOPELESS_DRAWS", 1)
    with pytest.raises(DataError, match="snr_threshold"):
        whole(accepted_signals(source, Selection(IFOS, psds, *BAND, 1e6), 1, rng()))


def test_signals_that_are_all_too_loud_end_soon(source, psds, monkeypatch):
    monkeypatch.setattr(sieve, "HOPELESS_FAULTS", 1)
    with pytest.raises(DataError, match=r"64 of \d+ draws have a network SNR above 10000, .*: check the PSDs"):
        whole(accepted_signals(source, Selection(IFOS, psds * 1e-12, *BAND, 8.0), 1, rng()))


def test_a_psd_that_is_zero_is_refused_with_the_name_of_its_detector(source, psds):
    psds = psds.clone()
    psds[1] = 0
    with pytest.raises(DataError, match=f"{IFOS[1]}: the PSD is zero"):
        whole(accepted_signals(source, Selection(IFOS, psds, *BAND, 8.0), 1, rng()))


def test_a_patch_of_right_ascension_cannot_be_placed_in_time(source, selection):
    patchy = SignalSource(changed(source.population, ra=(priors.Uniform, 0.0, 1.0)), source.generator, 1)
    assert patchy.population.sky_fraction == pytest.approx(1 / (2 * np.pi))
    with pytest.raises(ConfigurationError, match="ra"):
        accepted_signals(patchy, selection, 1, rng(), gps_times=np.array([1.25e9]))
