import numpy as np
import pytest

from aframe.candidates.classes import CLASSES, ClassModel, chirp_mass_of, class_of
from aframe.candidates.p_astro import Foreground
from aframe.tables import RecoveredTable


@pytest.mark.parametrize(
    ("masses", "expected"),
    [((1.4, 1.4), "BNS"), ((3.0, 3.0), "BNS"), ((3.1, 1.4), "NSBH"), ((1.4, 30.0), "NSBH"), ((3.1, 3.1), "BBH")],
)
def test_three_solar_masses_part_the_classes(masses: tuple[float, float], expected: str) -> None:
    assert class_of(*masses) == expected


def recovered(mass_1: list[float], mass_2: list[float], redshift: list[float]) -> RecoveredTable:
    """Injections by their masses in the source's frame; all but the last have an event."""
    z = np.array(redshift)
    count = len(z)
    statistic = np.where(np.arange(count) < count - 1, 10.0, -np.inf)
    columns = {"mass_1": np.array(mass_1) * (1 + z), "mass_2": np.array(mass_2) * (1 + z), "redshift": z}
    columns |= {name: np.zeros(count) for name in ("detection_time", "injection_time", "snr")}
    columns |= {"detection_statistic": statistic, "shift": np.zeros((count, 2))}
    return RecoveredTable(columns, attributes={"num_injections": count, "ifos": []})


def test_a_class_is_that_of_the_masses_at_the_source() -> None:
    """A pair of neutron stars at z = 1 has the redshifted masses of two light black holes."""
    table = recovered([2.0, 4.0, 4.0], [2.0, 4.0, 4.0], [1.0, 0.0, 0.0])
    foreground = Foreground(np.array([10.0, 10.0]), np.array([3.0, 1.0]))
    classes = ClassModel.of(table, foreground, 5.0)
    np.testing.assert_allclose(classes.shares(np.array([4.0]), np.array([4.0])), [[0.75, 0.0, 0.25]])
    far = classes.shares(np.array([1.2, 40.0, np.nan]), np.array([1.2, 1.4, np.nan]))
    np.testing.assert_allclose(far, [[1, 0, 0], [0, 1, 0], [0.75, 0.0, 0.25]])  # own masses, and the population


def test_quiet_injections_do_not_count() -> None:
    table = recovered([2.0, 4.0, 4.0], [2.0, 4.0, 4.0], [1.0, 0.0, 0.0])
    classes = ClassModel.of(table, Foreground(np.array([4.0, 10.0]), np.array([3.0, 1.0])), 5.0)
    np.testing.assert_allclose(classes.shares(np.array([4.0]), np.array([4.0])), [[0, 0, 1]])


def test_a_population_of_one_class_gives_it_all() -> None:
    table = recovered([30.0, 20.0, 9.0], [20.0, 10.0, 9.0], [0.1, 0.2, 0.0])
    classes = ClassModel.of(table, Foreground(np.array([10.0, 10.0]), np.array([3.0, 1.0])), 5.0)
    masses = np.array([30.0, 1.4, np.nan]), np.array([20.0, 1.4, np.nan])
    np.testing.assert_array_equal(classes.shares(*masses), [[0, 0, 1]] * 3)


def test_shares_are_right_on_average_where_classes_overlap() -> None:
    """Of events with a share near p, a part p has the class, though the classes overlap and the weights differ."""
    rng = np.random.default_rng(5)

    def mixture(number: int) -> tuple[np.ndarray, ...]:
        """Chirp masses around 2.2 (NSBH) and 3.3 (BBH), three of the second for each of the first."""
        kind = np.where(rng.random(number) < 0.25, 1, 2)
        return rng.normal(np.where(kind == 1, np.log(2.2), np.log(3.3)), 0.25), kind

    injected, kind = mixture(8_000)
    kept = (kind == 2) | (rng.random(len(kind)) < 0.5)  # NSBHs are injected half as often as they occur
    injected, kind = injected[kept], kind[kept]
    order = np.argsort(injected)
    model = ClassModel(injected[order], kind[order], np.where(kind[order] == 1, 2.0, 1.0))
    true, real = mixture(5_000)
    measured = np.exp(true + rng.normal(0, 0.1, len(true)))  # the error that the kernel stands for
    mass = measured * 2**0.2
    np.testing.assert_allclose(chirp_mass_of(mass, mass), measured)
    shares = model.shares(mass, mass)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert shares[:, CLASSES.index("BNS")].max() == 0
    share, is_nsbh = shares[:, 1], real == 1
    for low, high in ((0.0, 0.1), (0.1, 0.3), (0.3, 0.5), (0.5, 0.7), (0.7, 1.0)):
        inside = (share >= low) & (share < high)
        assert inside.sum() > 100
        error = 0.5 / np.sqrt(inside.sum())
        assert is_nsbh[inside].mean() == pytest.approx(share[inside].mean(), abs=4 * error)
    assert share.mean() == pytest.approx(0.25, abs=0.02)
