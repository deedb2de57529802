"""Parametrisations of priors in bilby's parameters, and their conversion to the parameters of waveforms."""

from collections.abc import Callable, Collection, Iterable, Mapping

import numpy as np
from bilby.core import prior as priors
from bilby.gw.conversion import component_masses_to_chirp_mass

from aframe.errors import ConfigurationError
from aframe.types import Array

SPIN_COLUMNS = ("a_1", "a_2", "tilt_1", "tilt_2", "phi_12", "phi_jl")
ANGLE_COLUMNS = ("ra", "dec", "psi", "theta_jn", "phase")

ANGLES = {
    "tilt_1": (0.0, np.pi), "tilt_2": (0.0, np.pi), "theta_jn": (0.0, np.pi), "dec": (-np.pi / 2, np.pi / 2),
    **dict.fromkeys(("ra", "psi", "phase", "phi_12", "phi_jl"), (-2 * np.pi, 2 * np.pi)),
}  # fmt: skip
"""Limits of angles, rad. The last ones are periodic, and may begin anywhere within a turn."""

SPINS = {
    **dict.fromkeys(("a_1", "a_2"), (0.0, 1.0)), **dict.fromkeys(("chi_1", "chi_2"), (-1.0, 1.0)),
    **dict.fromkeys(("cos_tilt_1", "cos_tilt_2", "cos_theta_jn"), (-1.0, 1.0)),
}  # fmt: skip
"""Limits of dimensionless spins, those of Kerr black holes, and of cosines."""

LIMITS = {"mass_1": (0.0, np.inf), "mass_2": (0.0, np.inf), "redshift": (0.0, 100.0), **SPINS, **ANGLES}
"""Limits of parameters. Higher redshifts are distances in Mpc. Waveform models refuse some more spins."""

CONSTRAINED_DRAWS = 10000
"""Number of draws of which constraints must leave one. Without one, bilby draws for ever."""

MASSES: dict[str, Callable[[Array, Array], Array]] = {
    "mass_1": lambda first, second: first * np.ones_like(second),
    "chirp_mass": component_masses_to_chirp_mass,
    "total_mass": lambda first, second: first + second,
}
"""Parameters to combine with ``mass_ratio``, as functions of the component masses, homogeneous of degree 1."""

SOURCE = "_source"
"""Suffix of bilby's names of source-frame masses."""

MASS_PAIRS: tuple[tuple[str, str], ...] = (("mass_1", "mass_2"), *((name, "mass_ratio") for name in MASSES))

CHOICES: tuple[tuple[tuple[str, ...], ...], ...] = (
    MASS_PAIRS,
    *(((f"a_{i}", f"tilt_{i}"), (f"a_{i}", f"cos_tilt_{i}"), (f"chi_{i}",)) for i in (1, 2)),
    (("theta_jn",), ("cos_theta_jn",)),
    *(((name,),) for name in ("phi_12", "phi_jl", "redshift", "ra", "dec", "psi", "phase")),
)
"""Alternative groups of parameters. A prior has exactly one group of each row."""

ROUNDING = 1e-3
"""Largest error of a limit that is written with few digits, as 6.283 for 2π, rad."""

FIXED_BY_ALIGNED_SPINS = ("phi_12", "phi_jl")
"""Angles of spin components in the orbital plane. Aligned spins do not need them."""


def check(names: Collection[str]) -> None:
    """Check that a prior has all parameters of one parametrisation, and no others.

    Args:
        names: Names of the prior's parameters, without constraints.

    Raises:
        ConfigurationError: With the missing and the surplus parameters.
    """
    plain = {name.removesuffix(SOURCE) if name.removesuffix(SOURCE) in (*MASSES, "mass_2") else name for name in names}
    aligned = {"chi_1", "chi_2"} <= plain
    missing, surplus = [], set(plain)
    for choices in CHOICES:
        chosen = next((choice for choice in choices if surplus.issuperset(choice)), ())
        surplus -= set(chosen)
        if not chosen and not (aligned and choices[0][0] in FIXED_BY_ALIGNED_SPINS):
            missing.append(" or ".join(" and ".join(choice) for choice in choices))
    endings = {name.endswith(SOURCE) for name in names if name.removesuffix(SOURCE) in (*MASSES, "mass_2")}
    if missing or surplus:
        lacks = f"lacks {'; '.join(missing)}" if missing else ""
        unknown = f"has {', '.join(sorted(surplus))}, which cannot be used" if surplus else ""
        raise ConfigurationError(
            f"the prior {' and '.join(part for part in (lacks, unknown) if part)}: give it one parametrisation in "
            "bilby's names of masses, redshift, spins and angles (docs/priors.md)"
        )
    if len(endings) > 1:
        raise ConfigurationError("the prior has one mass in the source frame and another one not: name both alike")


def check_limits(prior: Mapping[str, priors.Prior]) -> None:
    """Check the limits of a prior's parameters, and set those of angles that ``ROUNDING`` changed to a multiple of π/2.

    Args:
        prior: Priors of parameters. Those of angles that are bilby's Uniform, Sine, Cosine or DeltaFunction may change.

    Raises:
        ConfigurationError: If a limit is beyond those of the parameter, as an angle in degrees.
    """
    for name, each in prior.items():
        low, high = LIMITS.get(name.removesuffix(SOURCE), (-np.inf, np.inf))
        for edge in _edges(each) if name in ANGLES else ():
            value = getattr(each, edge)
            exact = round(value / (np.pi / 2)) * np.pi / 2
            setattr(each, edge, exact if abs(value - exact) <= ROUNDING else value)
        if not isinstance(each, priors.Constraint) and not low <= each.minimum <= each.maximum <= high:
            raise ConfigurationError(
                f"the prior's {name} is from {each.minimum:.5g} to {each.maximum:.5g}, and it must lie within "
                f"{low:.5g} to {high:.5g}: mend the prior{unit_hint(name)}"
            )


def unit_hint(name: str) -> str:
    """What a prior may have mistaken: the unit of a parameter. Empty if it has none."""
    plain = name.removesuffix(SOURCE)
    if plain in ANGLES:
        return " (angles are in radians)"
    return " (masses are in solar masses)" if plain in (*MASSES, "mass_2") else ""


def _edges(prior: priors.Prior) -> tuple[str, ...]:
    """Attributes with the limits of a prior that may be rounded. None for narrow priors."""
    if isinstance(prior, priors.DeltaFunction):
        return "peak", "minimum", "maximum"
    is_wide = isinstance(prior, (priors.Uniform, priors.Sine, priors.Cosine)) and prior.maximum - prior.minimum > 1
    return ("minimum", "maximum") if is_wide else ()


def mass_names(names: Iterable[str]) -> tuple[str, str]:
    """Find the two mass parameters among a prior's names."""
    by_plain = {name.removesuffix(SOURCE): name for name in names}
    pair = next(pair for pair in MASS_PAIRS if by_plain.keys() >= set(pair))
    return by_plain[pair[0]], by_plain[pair[1]]


def component_masses(sample: Mapping[str, Array]) -> tuple[Array, Array]:
    """Convert the masses of draws to component masses, with the prior's labels and in the frame of the draws."""
    first, second = mass_names(sample)
    if second != "mass_ratio":
        return sample[first], sample[second]
    ratio = sample[second]
    heavy = sample[first] / MASSES[first.removesuffix(SOURCE)](np.ones_like(ratio), ratio)
    return heavy, ratio * heavy


def mass_parameters(names: Iterable[str], mass_1: Array, mass_2: Array) -> tuple[dict[str, Array], Array]:
    """Convert component masses to a prior's mass parameters, with the Jacobian of the conversion.

    For homogeneous X(m₁, m₂) and q = m₂/m₁, ∂(X, q)/∂(m₁, m₂) = X/m₁².

    Args:
        names: Names of the prior's parameters.
        mass_1: First mass with the prior's label, shape (n,).
        mass_2: Second mass with the prior's label, shape (n,).

    Returns:
        Columns by the prior's names, and the natural logarithm of the Jacobian, shape (n,).
    """
    first, second = mass_names(names)
    if second != "mass_ratio":
        return {first: mass_1, second: mass_2}, np.zeros_like(mass_1)
    size = MASSES[first.removesuffix(SOURCE)](mass_1, mass_2)
    return {first: size, second: mass_2 / mass_1}, np.log(size / mass_1**2)


def with_all_masses(sample: Mapping[str, Array]) -> dict[str, Array]:
    """Add all of bilby's mass parameters to draws, in the frame of the draws. It is a fast ``conversion_function``."""
    ending = SOURCE if mass_names(sample)[0].endswith(SOURCE) else ""
    mass_1, mass_2 = component_masses(sample)
    masses = {name: function(mass_1, mass_2) for name, function in MASSES.items()} | {"mass_2": mass_2}
    ratios = {"mass_ratio": mass_2 / mass_1, "symmetric_mass_ratio": mass_1 * mass_2 / (mass_1 + mass_2) ** 2}
    return {**{name + ending: value for name, value in masses.items()}, **ratios, **sample}


def orientation(sample: Mapping[str, Array]) -> dict[str, Array]:
    """Convert spins and angles of draws to columns of waveforms. Negative aligned spins have tilt π, as in bilby."""
    columns = {name: sample[name] for name in (*SPIN_COLUMNS, *ANGLE_COLUMNS) if name in sample}
    for name in ("tilt_1", "tilt_2", "theta_jn"):
        if f"cos_{name}" in sample:
            columns[name] = np.arccos(sample[f"cos_{name}"])
    for i in (1, 2):
        if f"chi_{i}" in sample:
            spin = sample[f"chi_{i}"]
            columns[f"a_{i}"], columns[f"tilt_{i}"] = np.abs(spin), np.where(spin < 0, np.pi, 0.0)
    for name in FIXED_BY_ALIGNED_SPINS:
        columns.setdefault(name, np.zeros_like(columns["ra"]))
    return columns
