import numpy as np
import pytest
from astropy.cosmology import Planck15
from scipy.integrate import quad

from aframe.sensitivity.cosmology import comoving_volume_time, source_time_volume_density


def test_density_is_astropys() -> None:
    redshift = np.array([1e-4, 0.01, 0.3, 1.0, 1.999])
    expected = 4 * np.pi * Planck15.differential_comoving_volume(redshift).to_value("Gpc3 / sr") / (1 + redshift)
    np.testing.assert_allclose(source_time_volume_density(redshift, 2.0), expected, rtol=1e-6)


@pytest.mark.parametrize(("low", "high"), [(0.0, 2.0), (0.1, 0.5)])
def test_volume_is_the_integral(low: float, high: float) -> None:
    def integrand(z: float) -> float:
        return float(4 * np.pi * Planck15.differential_comoving_volume(z).to_value("Gpc3 / sr") / (1 + z))

    assert comoving_volume_time((low, high), 0.25) == pytest.approx(quad(integrand, low, high)[0] / 4, rel=1e-6)


def test_nearby_space_is_euclidean() -> None:
    distance = 299792.458 * 1e-3 / Planck15.H0.value / 1e3
    assert comoving_volume_time((0.0, 1e-3), 1.0) == pytest.approx(4 / 3 * np.pi * distance**3, rel=3e-3)
