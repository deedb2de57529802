from dataclasses import replace

import numpy as np
import pytest
from bilby.core import prior as priors

from aframe.errors import ConfigurationError, DataError
from aframe.tables import PolarizationTable
from aframe.waveforms import source as source_module
from aframe.waveforms.priors import Population, aligned_spin_bbh, demo_bbh
from aframe.waveforms.sieve import COUNTS
from aframe.waveforms.source import SignalSource, polarization_batches, waveform_generator


def whole(source, number, seed, **options):
    return PolarizationTable.concatenate(
        list(polarization_batches(source, number, np.random.default_rng(seed), **options)), COUNTS
    )


@pytest.fixture(autouse=True)
def few_probes(monkeypatch):
    monkeypatch.setattr(source_module, "PROBES", 256)


@pytest.fixture
def any_spin(monkeypatch):
    """Spins that the waveform model refuses, and that no check refuses before."""
    monkeypatch.setitem(source_module.LIMITS, "a_1", (0.0, 2.0))


def spinning(low, high):
    prior = dict(demo_bbh().prior) | {"a_1": priors.Uniform(low, high, name="a_1")}
    return Population(priors.ConditionalPriorDict(prior), False)


def test_the_requested_number_is_drawn_in_batches_of_any_size(generator, monkeypatch):
    calls = []
    source = SignalSource(demo_bbh(), generator, 1)
    table = whole(source, 40, 9, progress=lambda done, total: calls.append((done, total)))
    assert len(table) == 40
    assert (
        table.attributes | {"right_pad": 0.5, "num_not_finite": 0, "num_below_minimum_frequency": 0} == table.attributes
    )
    assert np.isfinite(table.waveforms["plus"]).all()
    assert calls[-1] == (40, 40)
    two = whole(SignalSource(demo_bbh(), generator, 2), 40, 9)
    assert all(table.waveforms[name].tobytes() == two.waveforms[name].tobytes() for name in ("plus", "cross"))
    monkeypatch.setattr(source_module, "MOST_WAVEFORMS", 16)
    batches = list(polarization_batches(source, 40, np.random.default_rng(9)))
    assert [len(batch) for batch in batches] == [16, 16, 8]


def test_what_is_no_signal_is_replaced_and_counted(generator, any_spin):
    table = whole(SignalSource(spinning(0.5, 1.5), generator, 1), 30, 1)
    assert len(table) == 30
    assert table["a_1"].max() <= 1
    assert table.attributes["num_not_finite"] > 0


def test_a_population_that_the_model_refuses_is_an_error_with_the_counts(generator, any_spin):
    with pytest.raises(DataError, match=r"IMRPhenomPv2 makes no waveform of 520 draws \(the last not_finite: 20"):
        whole(SignalSource(spinning(1.2, 1.5), generator, 1), 20, 1)


def test_what_cannot_have_waveforms_is_refused_beforehand(generator, any_spin):
    with pytest.raises(ConfigurationError, match="makes none of 256 binaries"):
        SignalSource(spinning(1.2, 1.5), generator, 1).check()
    with pytest.raises(ConfigurationError, match=r"IMRPhenomD does not precess.*aligned_spin_bbh"):
        SignalSource(demo_bbh(), replace(generator, approximant="IMRPhenomD"), 1).check()
    SignalSource(aligned_spin_bbh(), replace(generator, approximant="IMRPhenomD"), 1).check()


@pytest.mark.parametrize(
    ("name", "prior", "message"),
    [
        ("dec", priors.Uniform(-90, 90), r"draws dec = \S+, and it must be from -1\.5708 to 1\.5708"),
        ("redshift", priors.Uniform(-0.5, 0.5), r"draws redshift = -"),
        ("a_1", priors.DeltaFunction(np.nan), r"draws a_1 = nan, and it must be finite"),
        ("a_1", priors.Uniform(0, 1.2), r"draws a_1 = 1\.\S+, and it must be from 0 to 1: mend the prior$"),
        ("mass_1", priors.Uniform(5, np.inf), r"draws mass_1 = \w+, and it must be finite: mend the prior \(masses"),
        ("tilt_1", priors.Uniform(0, 180), r"draws tilt_1 = .*radians"),
    ],
)
def test_draws_that_no_binary_has_are_refused_beforehand(generator, name, prior, message):
    population = Population(priors.ConditionalPriorDict(dict(demo_bbh().prior) | {name: prior}), False)
    with pytest.raises(ConfigurationError, match=message):
        SignalSource(population, generator, 1).check()


def test_no_signals_are_an_empty_table(generator):
    table = whole(SignalSource(demo_bbh(), generator, 1), 0, 1)
    assert len(table) == 0
    assert table.waveforms["plus"].shape == (0, generator.size)


def test_a_table_says_how_its_waveforms_are_made(generator):
    attributes = SignalSource(demo_bbh(), generator).attributes
    assert waveform_generator(attributes, "waveforms.hdf5") == generator
    del attributes["approximant"]
    with pytest.raises(DataError, match=r"waveforms\.hdf5 .* approximant"):
        waveform_generator(attributes, "waveforms.hdf5")
