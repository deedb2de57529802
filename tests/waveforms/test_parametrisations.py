import numpy as np
import pytest
from bilby.gw import conversion

from aframe.waveforms.parametrisations import (
    component_masses,
    mass_names,
    mass_parameters,
    orientation,
    with_all_masses,
)

HEAVY, LIGHT = np.array([30.0, 40.0, 2.0]), np.array([30.0, 8.0, 1.1])
RATIO = LIGHT / HEAVY
SIZES = {
    "mass_1": HEAVY,
    "total_mass": HEAVY + LIGHT,
    "chirp_mass": conversion.component_masses_to_chirp_mass(HEAVY, LIGHT),
}


@pytest.mark.parametrize("ending", ["", "_source"])
@pytest.mark.parametrize("name", SIZES)
def test_masses_are_those_that_bilby_converts(name, ending):
    sample = {f"{name}{ending}": SIZES[name], "mass_ratio": RATIO, "redshift": np.ones(3)}
    assert mass_names(sample) == (f"{name}{ending}", "mass_ratio")
    np.testing.assert_allclose(component_masses(sample), [HEAVY, LIGHT])
    columns, _ = mass_parameters(sample, HEAVY, LIGHT)
    np.testing.assert_allclose(columns[f"{name}{ending}"], SIZES[name])
    np.testing.assert_allclose(columns["mass_ratio"], RATIO)


@pytest.mark.parametrize("name", SIZES)
def test_the_jacobian_is_that_of_finite_differences(name):
    names, step = (name, "mass_ratio"), 1e-6

    def parameters(mass_1, mass_2):
        return np.stack([mass_parameters(names, mass_1, mass_2)[0][n] for n in names])

    along_1 = (parameters(HEAVY + step, LIGHT) - parameters(HEAVY - step, LIGHT)) / (2 * step)
    along_2 = (parameters(HEAVY, LIGHT + step) - parameters(HEAVY, LIGHT - step)) / (2 * step)
    determinant = np.abs(along_1[0] * along_2[1] - along_1[1] * along_2[0])
    np.testing.assert_allclose(np.exp(mass_parameters(names, HEAVY, LIGHT)[1]), determinant, rtol=1e-6)


def test_every_mass_is_what_bilby_makes_of_two():
    expected = conversion.generate_mass_parameters({"mass_1": HEAVY, "mass_2": LIGHT})
    columns = with_all_masses({"chirp_mass": SIZES["chirp_mass"], "mass_ratio": RATIO})
    assert columns.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(columns[name], value, err_msg=name)
    assert "mass_1" not in with_all_masses({"chirp_mass_source": HEAVY, "mass_ratio": RATIO})


def test_aligned_spins_and_cosines_are_what_bilby_makes_of_them():
    sample = {
        "chi_1": np.array([0.5, -0.3, 0.0]),
        "a_2": np.array([0.1, 0.2, 0.3]),
        "cos_tilt_2": np.array([1.0, -0.5, 0.0]),
        "cos_theta_jn": np.array([0.1, 0.2, -1.0]),
        **{name: np.full(3, 0.4) for name in ("phi_12", "phi_jl", "ra", "dec", "psi", "phase")},
    }
    expected, _ = conversion.convert_to_lal_binary_black_hole_parameters(dict(sample))
    columns = orientation(sample)
    for name in ("a_1", "a_2", "tilt_2", "theta_jn", "phi_12"):
        np.testing.assert_allclose(columns[name], expected[name], err_msg=name)
    assert columns["tilt_1"].tolist() == [0.0, np.pi, 0.0]
    assert orientation({"chi_1": HEAVY, "chi_2": HEAVY, "ra": HEAVY})["phi_jl"].tolist() == [0.0, 0.0, 0.0]
