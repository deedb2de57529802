import dataclasses

import numpy as np
import pytest
import torch

from aframe.bank import matching
from aframe.bank.matching import CompressedMatcher, SeriesMatcher, matcher_of
from aframe.bank.templates import TemplateMaker


def neighbours(columns, rng):
    """Binaries of nearly the same chirp masses, with other mass ratios and spins."""
    mass = columns["chirp_mass"] * np.exp(0.02 * rng.normal(size=len(columns["chirp_mass"])))
    ratio = np.clip(columns["mass_2"] / columns["mass_1"] * np.exp(0.1 * rng.normal(size=len(mass))), 0.1, 1)
    first = mass * (1 + ratio) ** 0.2 / ratio**0.6
    spins = {f"a_{i}": np.clip(columns[f"a_{i}"] + 0.03 * rng.normal(size=len(mass)), 0, 0.95) for i in (1, 2)}
    return columns | spins | {"chirp_mass": mass, "mass_1": first, "mass_2": ratio * first}


def star(columns):
    """Neutron stars of little spin along the orbit's axis."""
    number = len(columns["mass_1"])
    columns |= {"mass_1": np.linspace(1.3, 2.0, number), "mass_2": np.linspace(1.1, 1.4, number)}
    columns |= {name: np.zeros(number) for name in ("a_1", "a_2", "tilt_1", "tilt_2")}
    return columns | {
        "chirp_mass": (columns["mass_1"] * columns["mass_2"]) ** 0.6 / (2.4 + 0 * columns["mass_1"]) ** 0.2
    }


def direct(signal: torch.Tensor, template: torch.Tensor) -> float:
    """The largest correlation of two series at 32 times their rate."""
    size = 2 * len(template)
    products = torch.fft.fft(signal, size).conj() * torch.fft.fft(template, size)
    products[size // 2 :] = 0
    return float(torch.fft.ifft(products, 16 * size).abs().max() * 16)


@pytest.mark.parametrize("kind", [CompressedMatcher, SeriesMatcher])
def test_matches_are_the_largest_correlations(maker, draws, kind):
    """Of templates with neighbours, and of signals, which precess, with the templates of their aligned partners."""
    matcher, columns = kind(maker, 1), draws(40)
    others, total = neighbours(columns, np.random.default_rng(1)), columns["mass_1"] + columns["mass_2"]
    near, spectra, aligned = matcher.templates(others), matcher.signals(columns), matcher.templates(columns)
    templates, signals, bank = maker.make(columns, 1), maker.signals(columns, 1), maker.make(others, 1)
    high = 0
    for row in range(40):
        expected = direct(templates[row], bank[row]) / 2
        match = matcher.best(aligned[row], total[row], near[row, None], None)
        high += expected > 0.9
        assert match == pytest.approx(expected, abs=3e-3 if expected > 0.9 else 0.15)
        expected = direct(signals[row], bank[row])
        match = matcher.best(spectra[row], total[row], near[row, None], None)
        assert match == pytest.approx(expected, abs=6e-3 if expected > 0.9 else 0.15)
    assert high > 15


def test_long_templates_lose_their_beginning_in_both(maker, draws):
    """Neutron stars in templates of 3.25 s, of which LAL's spectrum has more: errors of a match are below 0.003."""
    columns = star(draws(12))
    others = columns | {"mass_1": columns["mass_1"] * 1.0005}
    generator = dataclasses.replace(maker.generator, approximant="IMRPhenomD")
    matcher = CompressedMatcher(dataclasses.replace(maker, generator=generator), 1)
    templates, bank = matcher.maker.make(columns, 1), matcher.maker.make(others, 1)
    pairs = zip(matcher.templates(columns), matcher.templates(others), strict=True)
    match = [matcher.best(one, 2.7, other[None], None) for one, other in pairs]
    expected = [direct(one, other) / 2 for one, other in zip(templates, bank, strict=True)]
    assert min(expected) > 0.9
    np.testing.assert_allclose(match, expected, atol=3e-3)
    whole = CompressedMatcher(TemplateMaker(generator, maker.taps, 64.0, 0.25, maker.taps_after), 1)
    pairs = zip(whole.templates(columns), whole.templates(others), strict=True)
    assert np.abs(np.array([whole.best(one, 2.7, other[None], None) for one, other in pairs]) - expected).max() > 0.01


def test_models_are_compared_by_what_lal_gives(maker):
    assert isinstance(matcher_of(maker), CompressedMatcher)
    generator = dataclasses.replace(maker.generator, approximant="SEOBNRv4_opt")
    assert isinstance(matcher_of(dataclasses.replace(maker, generator=generator)), SeriesMatcher)


def test_spectra_do_not_depend_on_the_number_of_processes(maker, draws, monkeypatch):
    monkeypatch.setattr(matching, "CHUNK", 8)
    columns = draws(20)
    assert torch.equal(CompressedMatcher(maker, 1).templates(columns), CompressedMatcher(maker, 2).templates(columns))


def test_a_first_look_keeps_the_best_templates_and_puts_them_first(maker, draws, monkeypatch):
    """Of 200 templates it leaves few, and all that match."""
    monkeypatch.setattr(matching, "LOOKED_AT", 10)
    matcher, columns, signals = CompressedMatcher(maker, 1), draws(200), draws(15)
    bank, near = matcher.templates(columns), np.arange(200)
    left = 0
    for signal, total in zip(matcher.templates(signals), signals["mass_1"] + signals["mass_2"], strict=True):
        all_matches = np.array([matcher.best(signal, total, template[None], None) for template in bank])
        likely = matcher.likely(signal, total, bank, near, 0.9)
        left += len(likely)
        assert set(np.flatnonzero(all_matches >= 0.9)) <= set(likely)
        assert all_matches[matcher.likely(signal, total, bank, near, None)].max() == all_matches.max()
    assert left < 0.3 * 200 * 15


def test_what_lal_refuses_is_not_a_number(maker, draws):
    columns = draws(6)
    columns["mass_2"][2] = -3.0
    for matcher in (CompressedMatcher(maker, 1), SeriesMatcher(maker, 1)):
        finite = torch.isfinite(torch.view_as_real(matcher.templates(columns))).all(-1).all(-1)
        assert finite.tolist() == [row != 2 for row in range(6)]
