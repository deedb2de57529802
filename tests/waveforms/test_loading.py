import re
from pathlib import Path

import numpy as np
import pytest

from aframe.errors import ConfigurationError
from aframe.waveforms.loading import load_population
from aframe.waveforms.priors import draw
from aframe.waveforms.source import check_draws

HOME = "aframe.waveforms.priors"

MODULE = """
from bilby.core.prior import Uniform, PowerLaw

from aframe.waveforms.priors import Population, rates_and_populations_bbh


def heavy(lowest=30.0):
    prior = rates_and_populations_bbh().prior.copy()
    prior["mass_1"] = PowerLaw(-2.35, lowest, 100.0, name="mass_1")
    return Population(prior, detector_frame=False)


def bare():
    return rates_and_populations_bbh().prior


def broken():
    return {}["nothing"]


heaviest = heavy(60.0)
"""

FILE = """
# a comment
chirp_mass_source = bilby.gw.prior.UniformInComponentsChirpMass(name='chirp_mass_source', minimum=10, maximum=40)
mass_ratio = Uniform(name='mass_ratio', minimum=0.25, maximum=1)
mass_2_source = Constraint(name='mass_2_source', minimum=8, maximum=50)
redshift = PowerLaw(name='redshift', alpha=2, minimum=0.0, maximum=0.5)
chi_1 = 0
chi_2 = bilby.gw.prior.AlignedSpin(name='chi_2', a_prior=Uniform(minimum=0, maximum=0.9))
dec = Cosine(name='dec')
ra = Uniform(name='ra', minimum=0, maximum=2 * np.pi, boundary='periodic')
theta_jn = Sine(name='theta_jn')
psi = Uniform(name='psi', minimum=0, maximum=np.pi, boundary='periodic')
phase = Uniform(name='phase', minimum=0, maximum=2 * np.pi, boundary='periodic')
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "my_population.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)


def median_mass(population):
    columns = draw(population, 5000, np.random.default_rng(1))
    return np.median(columns["mass_1"] / (1 + columns["redshift"]))


def test_a_population_by_its_path():
    population = load_population(f"{HOME}.demo_bbh")
    assert population.redshift_range == (0.0, 1.0)
    assert population.fixed_names == []


def test_a_pair_of_masses_by_a_call():
    population = load_population(f"{HOME}.log_normal_bbh(50, 20, 0.1, maximum_redshift=0.5)")
    assert median_mass(population) == pytest.approx(50, rel=0.02)
    assert population.redshift_range == (0.0, 0.5)


@pytest.mark.usefixtures("module")
def test_a_population_of_ones_own():
    assert 30 < median_mass(load_population("my_population.heavy")) < 60
    assert median_mass(load_population("my_population.heavy(lowest=60)")) > 60
    assert median_mass(load_population("my_population.heaviest")) > 60


def test_the_example_of_the_documentation(tmp_path, monkeypatch):
    page = (Path(__file__).parents[2] / "docs" / "priors.md").read_text(encoding="utf-8")
    (tmp_path / "documented_population.py").write_text(page.split("```python")[1].split("```")[0])
    monkeypatch.syspath_prepend(tmp_path)
    population = load_population("documented_population.heavy")
    assert median_mass(population) == pytest.approx(50 + 100 * np.sqrt(0.5), rel=0.02)  # of the larger of two
    assert population.mass_frame == "source"


def test_a_prior_file(tmp_path):
    (tmp_path / "mine.prior").write_text(FILE)
    population = load_population("mine.prior", lambda path: str(tmp_path / path))
    assert population.mass_frame == "source"
    columns = draw(population, 3000, np.random.default_rng(2))
    light = columns["mass_2"] / (1 + columns["redshift"])
    chirp_mass = columns["chirp_mass"] / (1 + columns["redshift"])
    assert light.min() > 8
    assert 10 < chirp_mass.min() < 11
    assert 39 < chirp_mass.max() < 40
    assert not columns["a_1"].any()
    assert columns["a_2"].max() < 0.9
    assert np.isfinite(
        population.log_density(columns["mass_1"] / (1 + columns["redshift"]), light, columns["redshift"])
    ).all()


@pytest.mark.parametrize(
    ("value", "highest", "hubble_constant"),
    [
        ("bilby.gw.prior.UniformSourceFrame(0, 1)", 1.0, 67.74),
        ("UniformSourceFrame(0, 1)", 1.0, 67.74),
        ("UniformComovingVolume(maximum=1.0, minimum=0, cosmology='Planck15', latex_label='$z$')", 1.0, 67.74),
        ("UniformComovingVolume(0, 1, name='redshift', cosmology=astropy.cosmology.FlatLambdaCDM(50, 0.3))", 1.0, 50.0),
        ("Interped([0, 0.5, 1], [0, 1, 4], minimum=0, maximum=1)", 1.0, None),
        ("FromFile('z.txt', 0, 0.5)", 0.5, None),
        ("bilby.gw.prior.UniformSourceFrame(minimum=0, maximum=1)  # (comoving, and source time)", 1.0, 67.74),
        ("bilby.gw.prior.UniformSourceFrame(\n    minimum=0,  # no (\n maximum=2 * 0.5,\n)", 1.0, 67.74),
        ("bilby.gw.prior.UniformSourceFrame(0, 1, cosmology=FlatLambdaCDM(H0=50, Om0=0.3))", 1.0, 50.0),
        ("bilby.gw.prior.UniformSourceFrame(0, 1, astropy.cosmology.FlatLambdaCDM(H0=50, Om0=0.3))", 1.0, 50.0),
        ("bilby.gw.prior.UniformSourceFrame(0, 1, cosmology=dict(H0=50, Om0=0.3, Ode0=0.6))", 1.0, 50.0),
        ("bilby.gw.prior.UniformSourceFrame(0, 1, cosmology='WMAP9')", 1.0, 69.32),
        ("PowerLaw(2, 0.0, 0.5)\r", 0.5, None),
    ],
)
def test_values_in_other_forms(tmp_path, value, highest, hubble_constant):
    old = "PowerLaw(name='redshift', alpha=2, minimum=0.0, maximum=0.5)"
    assert old in FILE
    (tmp_path / "mine.prior").write_text("\ufeff" + FILE.replace(old, value), encoding="utf-8", newline="")
    (tmp_path / "z.txt").write_text("0 0\n0.5 1\n1 4\n")
    population = load_population("mine.prior", lambda path: str(tmp_path / path))
    assert population.redshift_range == (0.0, highest)
    cosmology = getattr(population.prior["redshift"], "cosmology", None)
    assert (cosmology and cosmology.H0.value) == hubble_constant


def test_numbers_in_other_forms(tmp_path):
    text = FILE.replace("chi_1 = 0", "chi_1 = DeltaFunction(-0.5)")
    text = text.replace("chi_2 = ", "chi_2 = -0.25  # was ")
    for name, value in (("theta_jn", "3.1416"), ("psi", "pi/4"), ("phase", "math.pi")):
        text = re.sub(rf"{name} = .*", f"{name} = {value}", text)
    (tmp_path / "mine.prior").write_text(text)
    population = load_population("mine.prior", lambda path: str(tmp_path / path))
    columns = draw(population, 3, np.random.default_rng(2))
    expected = {"theta_jn": np.pi, "a_2": 0.25, "psi": np.pi / 4, "phase": np.pi, "a_1": 0.5, "tilt_1": np.pi}
    assert {name: set(columns[name]) for name in expected} == {name: {value} for name, value in expected.items()}


def test_an_infinite_limit(tmp_path):
    """A power law that falls has a density up to any mass."""
    masses = (
        "mass_1_source = PowerLaw(-2.35, 5, inf)\nmass_ratio = Uniform(0.5, 1)\nmass_2_source = Constraint(2, np.inf)\n"
    )
    (tmp_path / "mine.prior").write_text(masses + "".join(FILE.splitlines(keepends=True)[5:]))
    population = load_population("mine.prior", lambda path: str(tmp_path / path))
    columns = draw(population, 5000, np.random.default_rng(2))
    assert np.median(columns["mass_1"] / (1 + columns["redshift"])) == pytest.approx(5 * 2 ** (1 / 1.35), rel=0.03)


@pytest.mark.parametrize(
    ("lines", "is_isotropic"),
    [
        ("ra = Uniform(0, 6.283)\ndec = Cosine(-1.5708, 1.5708)\npsi = Uniform(0, 3.1416)", True),
        ("ra = Uniform(-3.1416, 3.1416)\ndec = Cosine(-1.571, 1.571)\npsi = Uniform(0, 3.1416)", True),
        ("ra = Uniform(0, 6.2)\ndec = Cosine()\npsi = Uniform(0, np.pi)", False),
        ("ra = Uniform(0, 0.0008)\ndec = Cosine()\npsi = Uniform(0, np.pi)", False),
    ],
)
def test_limits_of_angles_may_be_rounded(tmp_path, lines, is_isotropic):
    text = re.sub(r"^(ra|dec|psi) = .*\n", "", FILE, flags=re.MULTILINE)
    (tmp_path / "mine.PRIOR").write_text(f"{text}{lines}\n")
    population = load_population("mine.PRIOR", lambda path: str(tmp_path / path))
    assert population.isotropic_in_right_ascension == is_isotropic
    assert (population.prior["dec"].maximum, population.prior["psi"].maximum) == (np.pi / 2, np.pi)
    assert (population.sky_fraction == pytest.approx(1, abs=1e-12)) == is_isotropic
    assert population.prior["ra"].maximum - population.prior["ra"].minimum > 0
    check_draws(draw(population, 20000, np.random.default_rng(1)))


def test_distances_in_another_unit(tmp_path):
    def limits(value):
        text = re.sub("redshift = .*", f"luminosity_distance = {value}", FILE)
        (tmp_path / "mine.prior").write_text(text)
        prior = load_population("mine.prior", lambda path: str(tmp_path / path)).prior["redshift"]
        return prior.minimum, prior.maximum

    expected = pytest.approx(limits("UniformSourceFrame(100, 5000)"))
    assert limits("UniformSourceFrame(0.1, 5, unit='Gpc', name='luminosity_distance')") == expected
    assert limits("UniformSourceFrame(1e5, 5e6, unit='kpc')") == expected
    with pytest.raises(ConfigurationError, match=r"line \d+: luminosity_distance has unit = 'Hz': give its"):
        limits("UniformSourceFrame(0.1, 5, unit='Hz')")


def test_spins_above_those_of_black_holes_are_refused(tmp_path):
    text = re.sub(r"^(a|tilt|cos_tilt|chi)_1 = .*\n", "", FILE, flags=re.MULTILINE)
    (tmp_path / "mine.prior").write_text(f"{text}chi_1 = Uniform(-1.5, 1.5)\n")
    with pytest.raises(ConfigurationError, match=r"chi_1 is from -1\.5 to 1\.5, .* within -1 to 1: mend the prior$"):
        load_population("mine.prior", lambda path: str(tmp_path / path))


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("Uniform(0, inf)", "the prior's redshift is from 0 to inf, and it must lie within 0 to 100"),
        ("UniformComovingVolume(100, 5000)", "the prior's redshift is from 100 to 5000, and it must lie within 0"),
        ("Gaussian(0.3, 0.1)", "the prior's redshift is from -inf to inf"),
        ("np.nan", "the prior's redshift is from nan to nan"),
        ("-1", "the prior's redshift is from -1 to -1"),
        ("UniformSourceFrame(0, 1, name='luminosity_distance')", "its redshift has name='luminosity_distance', of an"),
        ("Uniform('0', '1')", "TypeError"),
        ("Uniform(0, 1)\nmass_1_source = Constraint(1, 2)", "constraint on .*mass_1_source leaves no draw"),
        ("FromFile('none.txt', 0, 1)", r"line \d: redshift's table .*none\.txt does not exist: mend its path"),
        ("zero", r"line \d: redshift = zero cannot be read by bilby \(.* neither a number nor a prior"),
    ],
)
def test_priors_that_cannot_be_drawn_from_are_refused(tmp_path, value, problem):
    (tmp_path / "mine.prior").write_text(re.sub("redshift = .*", f"redshift = {value}", FILE))
    with pytest.raises(ConfigurationError, match=rf"prior = mine\.prior.*{problem}") as caught:
        load_population("mine.prior", lambda path: str(tmp_path / path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dec", "Cosine(-90, 90)"),  # bilby draws from 63 degrees south to 63 degrees north
        ("ra", "Uniform(0, 360)"),
        ("psi", "Uniform(0, 180)"),
        ("phase", "45"),
        ("theta_jn", "Sine(0, 180)"),
    ],
)
def test_angles_in_degrees_are_refused(tmp_path, name, value):
    (tmp_path / "mine.prior").write_text(re.sub(rf"{name} = .*", f"{name} = {value}", FILE))
    with pytest.raises(
        ConfigurationError, match=rf"mine\.prior: the prior's {name} is from .* \(angles are in radians"
    ):
        load_population("mine.prior", lambda path: str(tmp_path / path))


@pytest.mark.parametrize("name", ["precessing_spins_bbh.prior", "aligned_spins_bbh.prior"])
def test_bilbys_own_prior_files(name):
    """Chirp mass, mass ratio and luminosity distance, with constraints on the component masses: all detector-frame."""
    population = load_population(name)
    assert population.mass_frame == "detector"
    columns = draw(population, 3000, np.random.default_rng(3))
    assert columns["mass_2"].min() > 5
    assert columns["mass_1"].max() < 100
    assert 25 < columns["chirp_mass"].min() < 26
    assert columns["luminosity_distance"].min() > 100
    assert 4900 < columns["luminosity_distance"].max() < 5001


@pytest.mark.parametrize(
    ("prior", "words"),
    [
        ("nowhere.at_all", "cannot be imported"),
        (f"{HOME}.nothing", "cannot be imported"),
        ("plain", "cannot be imported"),
        ("numpy.random.default_rng", "gives a Generator"),
        ("math.pi", "gives a float"),
        ("my_population.bare", "gives a ConditionalPriorDict"),
        ("my_population.broken", "fails .KeyError: 'nothing'."),
        (f"{HOME}.log_normal_bbh(35)", "missing .* required .*mass_2"),
        (f"{HOME}.log_normal_bbh(35, 30, __import__('os').getpid())", "cannot be read"),
        (f"{HOME}.log_normal_bbh(35, 30", "cannot be read"),
        (f"{HOME}.log_normal_bbh[0]", "cannot be read"),
        ("my.prior", "neither .*my.prior nor a file of bilby's collection"),
        ("GW150914.prior", "luminosity_distance is no cosmological prior"),
        ("aligned_spins_bns_tides_on.prior", "has lambda_1, lambda_2, which cannot be used"),
    ],
)
@pytest.mark.usefixtures("module")
def test_what_is_no_population_is_refused_in_one_line(prior, words):
    with pytest.raises(ConfigurationError, match=words) as caught:
        load_population(prior)
    assert str(caught.value).startswith(f"prior = {prior}")
    assert "\n" not in str(caught.value)


def test_a_file_that_bilby_cannot_read_is_refused_in_one_line(tmp_path):
    (tmp_path / "mine.prior").write_text(FILE.replace("Cosine(", "Kosine("))
    with pytest.raises(
        ConfigurationError, match=r"mine.prior, line 9: dec = Kosine.* cannot be read by bilby .*Kosine"
    ):
        load_population("mine.prior", lambda path: str(tmp_path / path))
