import functools
import itertools

import numpy as np
import pytest
import torch

from aframe.bank import placement
from aframe.bank.placement import even, matches, place
from aframe.errors import DataError


@pytest.fixture
def make(maker):
    return functools.partial(maker.make, workers=1)


@pytest.fixture
def templates(make, draws):
    return make(draws(12))


def test_the_match_with_itself_is_one_at_any_time_and_phase(templates):
    for number, series in enumerate(templates):
        bank = templates[number : number + 1]
        for signal in (series, series.roll(5), series.roll(-100), series * np.exp(1j * 0.7), series.roll(17) * 1j):
            assert matches(bank, signal.real[None]).item() == pytest.approx(1, abs=5e-3)


def test_matches_are_the_largest_correlations(templates, maker, draws):
    """A plain sum over samples in double precision, at each sample, is never more, and at most a little less."""
    signals = maker.signals(draws(6), workers=1)
    best = matches(templates, signals)
    for signal, match in zip(signals.double().numpy(), best.tolist(), strict=True):
        sums = [np.correlate(signal, series, "full") for series in templates.to(torch.complex128).numpy()]
        direct = abs(np.array(sums)).max()
        assert direct - 2e-3 < match < direct + 0.06


def test_a_bank_covers_its_population_and_stays_thin(make, draws):
    """Templates match each other less, and most draws more, than the minimum."""
    templates, columns = place(make, draws, 60, 0.85)
    assert len(templates) == len(columns["mass_1"]) <= 60
    assert (np.diff(columns["chirp_mass"]) >= 0).all()
    others = [matches(templates[[a]], templates.real[[b]]).item() for a, b in itertools.pairwise(range(len(templates)))]
    assert max(others) < 0.85 + 0.01
    assert (matches(templates, make(draws(40)).real) >= 0.85).float().mean() > 0.8
    torch.testing.assert_close(templates, make(columns))


def test_a_full_bank_ends_the_placement(make, draws):
    heard = []
    templates, columns = place(make, draws, 5, 0.95, lambda *numbers: heard.append(numbers))
    assert len(templates) == len(columns["chirp_mass"]) == 5
    assert heard == [(5, 5)]


def test_few_joining_draws_end_the_placement(make, draws):
    """A match of 0.3 is easy: the bank is complete after 300 draws and few templates."""
    templates, _ = place(make, draws, 512, 0.3)
    assert len(templates) < 20


def test_the_placement_depends_on_the_draws_alone(make, draws):
    drawn = draws(placement.DRAWS_AT_ONCE)
    first, second = (place(make, lambda _: drawn, 8, 0.9)[0] for _ in range(2))
    assert torch.equal(first, second)


def test_what_lal_refuses_is_left_out(make, draws):
    def bad(number):
        columns = draws(number)
        columns["mass_2"][::2] = -3.0
        return columns

    _, columns = place(make, bad, 5, 0.95)
    assert (columns["mass_2"] > 0).all()


def test_a_population_without_templates_is_refused(make, draws):
    with pytest.raises(DataError, match="none of 512 draws has a template: check the prior"):
        place(make, lambda number: draws(number) | {"mass_2": np.full(number, -3.0)}, 5, 0.95)


def test_rare_chirp_masses_are_drawn_more_often():
    rng = np.random.default_rng(1)
    columns = {"chirp_mass": np.append(rng.uniform(30, 60, 9000), rng.uniform(5, 6, 100)), "place": np.arange(9100)}
    chosen = even(columns, 900, rng)
    assert len(np.unique(chosen["place"])) == 900
    np.testing.assert_array_equal(chosen["chirp_mass"], columns["chirp_mass"][chosen["place"]])
    light = (chosen["chirp_mass"] < 10).sum()
    assert 25 < light < 60  # 10 by their share
    assert len(even(columns, 10**5, rng)["place"]) == 9100
    assert len(even({"chirp_mass": np.full(7, 30.0)}, 5, rng)["chirp_mass"]) == 5
