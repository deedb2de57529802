import pytest

from aframe.online.source_classes import class_of, class_probabilities


@pytest.mark.parametrize(
    ("masses", "expected"),
    [((1.4, 1.4), "BNS"), ((3.0, 3.0), "BNS"), ((3.1, 1.4), "NSBH"), ((1.4, 30.0), "NSBH"), ((3.1, 3.1), "BBH")],
)
def test_three_solar_masses_part_the_classes(masses: tuple[float, float], expected: str) -> None:
    assert class_of(*masses) == expected
    shares = class_probabilities(0.75, {"mass_1": masses[0], "mass_2": masses[1], "chi_eff": 0.0})
    assert shares[expected] == 0.75
    assert shares["Terrestrial"] == 0.25
    assert sum(shares.values()) == 1


def test_without_masses_there_are_no_classes() -> None:
    assert class_probabilities(0.75, {}) == {}
