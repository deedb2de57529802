from itertools import combinations

import numpy as np
import pytest

from aframe.report.palette import BLACK, PALETTE

VISION = {
    "normal": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
"""Linear RGB as it is seen (Machado, Oliveira and Fernandes 2009, severity 1)."""

TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
WHITE = np.array([0.95047, 1.0, 1.08883])

LEAST_DISTANCE = 15.0
"""In CIELAB; 2.3 is a just noticeable difference of areas side by side, and lines are thin and apart from a legend."""


def seen(color: str, vision: str) -> np.ndarray:
    """CIELAB coordinates of an sRGB colour as somebody sees it."""
    coded = np.array([int(color[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    linear = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(np.array(VISION[vision]) @ linear, 0, 1) / WHITE
    x, y, z = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def distance(one: str, other: str, vision: str) -> float:
    return float(np.linalg.norm(seen(one, vision) - seen(other, vision)))


@pytest.mark.parametrize("vision", VISION)
def test_any_two_colours_can_be_distinguished(vision: str) -> None:
    for one, other in combinations((*PALETTE, BLACK, "#ffffff"), 2):
        assert distance(one, other, vision) > LEAST_DISTANCE, (one, other)


def test_the_simulation_sees_as_colour_blind_people_do() -> None:
    confused = {
        "protanopia": ("#1f77b4", "#9467bd"),  # blue and purple, red and green of a common default palette
        "deuteranopia": ("#d62728", "#2ca02c"),
        "tritanopia": ("#1f77b4", "#006d5b"),
    }
    for vision, pair in confused.items():
        assert distance(*pair, vision) < LEAST_DISTANCE < 2 * LEAST_DISTANCE < distance(*pair, "normal")
    np.testing.assert_allclose(seen("#ffffff", "protanopia"), [100, 0, 0], atol=0.1)  # grey stays grey
    np.testing.assert_allclose(seen("#ff0000", "normal"), [53.24, 80.09, 67.20], atol=0.05)
