import numpy as np
import pytest

from aframe.candidates.classes import (
    NEIGHBOURS,
    ChirpMassError,
    ClassModel,
    class_number,
    log_chirp_mass,
    template_masses,
)
from aframe.candidates.p_astro import Foreground
from aframe.tables import EventTable, RecoveredTable
from aframe.types import Array

FLOOR = -2.0


def recovered(masses: tuple[Array, Array], statistic: Array, redshift: float = 0.1, **columns: Array) -> RecoveredTable:
    """Injections with source-frame masses."""
    count = len(statistic)
    table = {"mass_1": masses[0] * (1 + redshift), "mass_2": masses[1] * (1 + redshift)}
    table |= {"redshift": np.full(count, redshift), "detection_statistic": statistic, "snr": np.full(count, 9.0)}
    table |= {"detection_time": np.zeros(count), "injection_time": np.zeros(count), "shift": np.zeros((count, 2))}
    return RecoveredTable(table | columns, attributes={"num_injections": count, "ifos": ["H1", "L1"]})


def overlapping(count: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Source-frame masses of light black holes, and of neutron stars with black holes: chirp masses overlap."""
    is_nsbh = rng.random(count) < 0.4
    first = np.where(is_nsbh, rng.uniform(3.5, 20, count), rng.uniform(3.2, 12, count))
    second = np.where(is_nsbh, rng.uniform(1.2, 2.5, count), rng.uniform(3.1, first.clip(3.2)))
    return first, second


@pytest.mark.parametrize(
    ("masses", "expected"), [((1.4, 1.4), 0), ((3.0, 3.0), 0), ((3.1, 1.4), 1), ((1.4, 30.0), 1), ((3.1, 3.1), 2)]
)
def test_three_solar_masses_part_the_classes(masses: tuple[float, float], expected: int) -> None:
    assert class_number(*(np.array([mass]) for mass in masses)).tolist() == [expected]


def test_equal_masses_have_a_chirp_mass_of_0_87_each() -> None:
    assert np.exp(log_chirp_mass(np.array([1.4]), np.array([1.4])))[0] == pytest.approx(1.4 * 2**-0.2)


def test_the_source_frame_has_the_limit_and_templates_are_redshifted() -> None:
    """Neutron stars of 2.5 solar masses at redshift 1 look like black holes of 5."""
    rng = np.random.default_rng(0)
    star = rng.uniform(2.4, 2.6, 200)
    table = recovered((star, star), rng.normal(3, 1, 200), redshift=1.0, template_chirp_mass=2 * star * 2**-0.2)
    classes = ClassModel.of(table, Foreground(table["detection_statistic"], np.ones(200)), FLOOR)
    assert classes.shares(np.array([3.0]), np.array([[5.0, 5.0]])).tolist() == [[1.0, 0.0, 0.0]]


def test_the_error_of_the_chirp_mass_is_measured_where_it_is_needed() -> None:
    rng = np.random.default_rng(1)
    mass = np.exp(rng.uniform(0, 4, 3000))
    width = np.where(mass < 7, 0.01, 0.2)
    known = rng.random(3000) < 0.5
    template = mass * 2**-0.2 * np.exp(0.05 + width * rng.normal(size=3000))
    table = recovered((mass, mass), np.zeros(3000), redshift=0.0, template_chirp_mass=np.where(known, template, np.nan))
    error = ChirpMassError.of(table)
    assert error is not None
    assert len(error.injected) == known.sum()
    centre, measured = error.at(np.log(np.array([2.0, 30.0])))
    np.testing.assert_allclose(centre, 0.05, atol=0.1)
    assert centre[0] == pytest.approx(0.05, abs=0.01)
    np.testing.assert_allclose(measured, [0.01, 0.2], rtol=4 * NEIGHBOURS**-0.5)


def test_a_few_measured_injections_are_enough_and_none_are_none() -> None:
    mass = np.array([1.4, 30.0])
    table = recovered((mass, mass), np.zeros(2), template_chirp_mass=np.full(2, np.nan))
    assert ChirpMassError.of(table) is None
    assert ChirpMassError.of(recovered((mass, mass), np.zeros(2))) is None
    table.parameters["template_chirp_mass"] = np.array([np.nan, 29.0])
    error = ChirpMassError.of(table)
    assert error is not None
    centre, width = error.at(np.log(np.array([1.0, 100.0])))
    assert centre == pytest.approx(np.full(2, np.log(29 / (33 * 2**-0.2))))
    assert (width > 0).all()


def test_signals_of_overlapping_classes_have_them_as_often_as_the_shares_say() -> None:
    """Calibration: injections of different weights; events from the weighted population, with templates that err."""
    rng, error = np.random.default_rng(2), 0.03
    injected = overlapping(20_000, rng)
    weight = rng.lognormal(0, 0.5, 20_000) * np.where(injected[1] < 3, 0.5, 1.0)
    template = 1.1 * np.exp(log_chirp_mass(*injected) + error * rng.normal(size=20_000))
    measured = np.where(rng.random(20_000) < 0.015, template, np.nan)
    statistic = rng.exponential(2, 20_000) + FLOOR
    table = recovered(injected, statistic, template_chirp_mass=measured)
    classes = ClassModel.of(table, Foreground(statistic, weight), FLOOR)
    np.testing.assert_allclose(classes.expected, classes.sums(weight))

    rows = rng.choice(20_000, 1500, p=weight / weight.sum())
    first, second = (mass[rows] for mass in injected)
    chirp_mass = 1.1 * np.exp(log_chirp_mass(first, second) + error * rng.normal(size=1500))
    masses = np.stack([chirp_mass, chirp_mass], axis=1) * 2**0.2  # a template of that chirp mass, of equal masses
    shares = classes.shares(statistic[rows], masses)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    is_nsbh = second <= 3
    for chosen in np.array_split(np.argsort(shares[:, 1]), 6):
        p = shares[chosen, 1]
        spread = np.sqrt((p * (1 - p)).sum()) / len(p)
        assert is_nsbh[chosen].mean() == pytest.approx(p.mean(), abs=3.5 * spread + 0.02), p.mean()
    assert np.quantile(shares[:, 1], 0.1) < 0.03
    assert np.quantile(shares[:, 1], 0.95) > 0.4
    unknown = classes.shares(statistic[rows], np.full((1500, 2), np.nan))
    assert unknown[:, 1].mean() == pytest.approx(classes.expected[1] / classes.expected.sum(), abs=0.02)
    assert is_nsbh.mean() == pytest.approx(shares[:, 1].mean(), abs=0.03)


def test_without_templates_the_statistic_tells_the_class() -> None:
    """Black holes are louder than neutron stars here."""
    rng = np.random.default_rng(3)
    mass = np.repeat([1.4, 30.0], 1000)
    statistic = np.concatenate([rng.normal(0, 0.5, 1000), rng.normal(4, 0.5, 1000)]).clip(FLOOR)
    classes = ClassModel.of(recovered((mass, mass), statistic), Foreground(statistic, np.ones(2000)), FLOOR)
    shares = classes.shares(np.array([0.0, 2.0, 4.0, 40.0]), np.full((4, 2), np.nan))
    np.testing.assert_allclose(shares[:, 0], [1, 0.5, 0, 0], atol=0.25)
    np.testing.assert_allclose(shares[[0, 2, 3], 0], [1, 0, 0], atol=0.01)


def test_a_template_beyond_all_injections_has_the_class_of_its_masses() -> None:
    mass, statistic = np.repeat([2.0, 30.0], 50), np.tile(np.linspace(0, 1, 50), 2)
    table = recovered((mass, mass), statistic, template_chirp_mass=1.1 * mass * 2**-0.2)
    classes = ClassModel.of(table, Foreground(statistic, np.ones(100)), FLOOR)
    templates = np.array([[1.4, 1.4], [10.0, 1.4], [4.0, 4.0], [33.0, 33.0]])
    shares = classes.shares(np.full(4, 0.5), templates)
    np.testing.assert_array_equal(shares, np.eye(3)[[0, 1, 2, 2]])
    holes = ClassModel.of(table.rows(slice(50, 100)), Foreground(statistic[50:], np.ones(50)), FLOOR)
    np.testing.assert_array_equal(holes.shares(np.full(4, 0.5), templates), np.eye(3)[[2, 2, 2, 2]])


def test_between_sparse_injections_the_nearest_count() -> None:
    """Neutron stars are farther apart than their error. Heavier binaries err more, and reach to each of them."""
    mass, statistic = np.concatenate([np.geomspace(1.2, 2.6, 40), np.geomspace(3.5, 60, 300)]), np.linspace(0, 4, 340)
    error = np.where(mass < 3, 1e-5, 0.2) * np.random.default_rng(6).normal(size=340)
    table = recovered((mass, mass), statistic, redshift=0.0, template_chirp_mass=mass * 2**-0.2 * np.exp(error))
    classes = ClassModel.of(table, Foreground(statistic, np.ones(340)), -9.0)
    middle = np.sqrt(mass[10:30] * mass[11:31])
    shares = classes.shares(np.full(20, 2.0), np.stack([middle, middle], axis=1))
    assert shares[:, 0].min() > 0.8
    assert (shares[:, 0] > 0.99).sum() > 5


def test_where_the_error_was_not_measured_it_is_a_tenth() -> None:
    mass, statistic = np.repeat([2.5, 4.0], 50), np.tile(np.linspace(0, 1, 50), 2)
    classes = ClassModel.of(
        recovered((mass, mass), statistic, redshift=0.0), Foreground(statistic, np.ones(100)), FLOOR
    )
    share = classes.shares(np.array([0.5]), np.array([[2.8, 2.8]]))[0]
    odds = np.exp((np.log(4 / 2.8) ** 2 - np.log(2.5 / 2.8) ** 2) / (2 * 0.1**2))
    assert share[0] / share[2] == pytest.approx(odds)


def test_events_without_columns_have_no_template() -> None:
    events = {"detection_statistic": np.zeros(2), "detection_time": np.zeros(2), "shift": np.zeros((2, 2))}
    assert np.isnan(template_masses(EventTable(events, attributes={"Tb": 1.0}))).all()
    masses = {"template_mass_1": np.array([2.0, np.nan]), "template_mass_2": np.array([1.0, np.nan])}
    known = template_masses(EventTable(events | masses, attributes={"Tb": 1.0}))
    np.testing.assert_array_equal(known, [[2.0, 1.0], [np.nan, np.nan]])
