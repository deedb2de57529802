"""Sensitive volume of a search against its false alarm rate, with its uncertainty."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import h5py
import numpy as np
from jaxtyping import Float
from scipy.special import gammaincinv

from aframe import storage
from aframe.constants import SECONDS_PER_YEAR
from aframe.errors import ConfigurationError, DataError
from aframe.events.significance import Background
from aframe.sensitivity import efficiency
from aframe.sensitivity.efficiency import Efficiency
from aframe.sensitivity.weighing import WeighedDraws, WeightSums
from aframe.sensitivity.weights import LogNormalTarget, Target
from aframe.storage.files import Parameters
from aframe.types import Array

HIGHEST_FAR_PER_YEAR = 1e6
"""End of the default grid: an event every half minute."""

LEAST_COVERAGE = 0.98
"""Share of a target that must lie inside the source prior, or it is said that it does not."""

ENOUGH = 100
"""Effective number of draws from which the share is judged, and of found injections from which errors are."""

CONFIDENCE = 0.95
"""Probability with which an interval holds the volume."""

ALL_DRAWS = "all draws"
"""Whose efficiency counts each draw once: the source prior's binaries, with its own law of redshift."""

UNITS: Mapping[str, str] = {
    "far_per_year": "1 / yr",
    "threshold": "",
    "volume_gpc3": "Gpc^3",
    "standard_error": "Gpc^3",
    "effective_sample_size": "",
    "volume_low_gpc3": "Gpc^3",
    "volume_high_gpc3": "Gpc^3",
    "volume_time_gpc3_yr": "Gpc^3 yr",
    "volume_time_standard_error": "Gpc^3 yr",
    "sensitive_distance_mpc": "Mpc",
}


@dataclass(frozen=True)
class Volume:
    """Sensitive volumes at some thresholds, all of shape (thresholds,).

    Attributes:
        volume_gpc3: V in Gpc³.
        standard_error: One standard deviation of V in Gpc³.
        effective_sample_size: (Σ w)² / Σ w² over the found injections: how many equal ones tell as much.
    """

    volume_gpc3: Float[Array, " thresholds"]
    standard_error: Float[Array, " thresholds"]
    effective_sample_size: Float[Array, " thresholds"]


@dataclass(frozen=True)
class Scope:
    """What a volume is one of.

    Attributes:
        v0_gpc3: Volume that a perfect search would see: no V is larger.
        redshift_range: Smallest and largest redshift in it.
        livetime: Seconds of unshifted data that were searched, T.
        coverage: Share of the target population that the injections' prior can draw.
        coverage_error: One standard deviation of it.
        effective_draws: (Σ w)² / Σ w² over all draws: how many draws from the target itself tell as much.
    """

    v0_gpc3: float
    redshift_range: tuple[float, float]
    livetime: float
    coverage: float
    coverage_error: float
    effective_draws: float

    @property
    def is_covered(self) -> bool:
        """Whether the injections' prior holds all of the target; where too few draws tell, nothing says that not."""
        enough = self.effective_draws > ENOUGH  # fewer cannot tell their own error
        return not (enough and self.coverage + 5 * self.coverage_error < LEAST_COVERAGE)


@dataclass(frozen=True)
class VolumeCurve(Volume):
    """Sensitive volume against false alarm rate.

    Attributes:
        far_per_year: False alarm rates in events per Julian year.
        threshold: Smallest detection statistic at each rate.
        scope: What the volume is one of.
    """

    far_per_year: Float[Array, " thresholds"]
    threshold: Float[Array, " thresholds"]
    scope: Scope

    @property
    def volume_time_gpc3_yr(self) -> Float[Array, " thresholds"]:
        """V T, with T in Julian years."""
        return self.volume_gpc3 * (self.scope.livetime / SECONDS_PER_YEAR)

    @property
    def volume_time_standard_error(self) -> Float[Array, " thresholds"]:
        """One standard deviation of V T."""
        return self.standard_error * (self.scope.livetime / SECONDS_PER_YEAR)

    @property
    def sensitive_distance_mpc(self) -> Float[Array, " thresholds"]:
        """Radius (3 V / 4π)^(1/3) of a Euclidean sphere with the sensitive volume."""
        return np.asarray(1e3 * np.cbrt(3 * self.volume_gpc3 / (4 * np.pi)))

    def quantity(self, name: str) -> Float[Array, " thresholds"]:
        """A quantity of ``UNITS``, by the name that its dataset in a file has."""
        ends = {"volume_low_gpc3": 0, "volume_high_gpc3": 1}
        return self.interval_gpc3[ends[name]] if name in ends else np.asarray(getattr(self, name))

    def at(self, far_per_year: float, values: Float[Array, " thresholds"]) -> float:
        """One of the curve's quantities at a rate, linearly in the rate's logarithm.

        Args:
            far_per_year: Events per Julian year.
            values: The quantity.
        """
        return float(np.interp(np.log(far_per_year), np.log(self.far_per_year), values))

    @property
    def interval_gpc3(self) -> tuple[Float[Array, " thresholds"], Float[Array, " thresholds"]]:
        """Ends of the interval that holds V with 95 % probability (see ``confidence_interval``)."""
        return confidence_interval(self, self.scope, CONFIDENCE)


def sensitive_volume(
    statistic: Float[Array, " injections"],
    weight: Float[Array, " injections"],
    everything: WeightSums,
    v0_gpc3: float,
    threshold: Float[Array, " thresholds"],
) -> Volume:
    """V = V₀ Σ_found w / Σ_all w for all thresholds at once, O((N + T) log N).

    The standard error is that of a ratio of two correlated sums (delta method): with r = Σ_found w / Σ_all w,
    var(r) = Σ (w f − w r)² / (Σ_all w)² = [(1 − 2 r) Σ_found w² + r² Σ_all w²] / (Σ_all w)².

    Args:
        statistic: Detection statistic of the accepted injections, −inf where no event recovered one.
        weight: Their importance weights.
        everything: Sums over the weights of all draws, accepted and rejected.
        v0_gpc3: Volume that a perfect search would see.
        threshold: Injections with at least this statistic are found.

    Raises:
        DataError: If no draw has a weight.
    """
    if not everything.total > 0:
        raise DataError(
            f"none of the {everything.count:.0f} draws has any weight in the target population: "
            "choose populations within the prior from which injections are drawn, or draw more"
        )
    order = np.argsort(statistic)
    first = np.searchsorted(statistic[order], threshold, side="left")
    found, squares = (_sum_from_the_end(values[order])[first] for values in (weight, weight**2))
    ratio = found / everything.total
    variance = (1 - 2 * ratio) * squares + ratio**2 * everything.squares
    error = np.sqrt(np.maximum(variance, 0.0)) / everything.total
    effective = np.divide(found**2, squares, out=np.zeros_like(found), where=squares > 0)
    return Volume(v0_gpc3 * ratio, v0_gpc3 * error, effective)


def confidence_interval(
    volume: Volume, scope: Scope, probability: float
) -> tuple[Float[Array, " thresholds"], Float[Array, " thresholds"]]:
    """Ends of an interval that holds the volume with some probability, also where few injections are found.

    V is taken as a Poisson number times a constant, of V's own mean and variance (Bohm and Zech, arXiv:1309.1287): a
    number k = (V / σ)², which for equal weights and rare detections is that of the found injections. The interval is
    Garwood's for a Poisson number, from quantiles of gamma distributions of shapes k and k + 1. Where none is found
    the constant is V₀ over the effective number of draws; no upper end is below the one of that case, because a few
    found injections of small weights say nothing of the heavy ones that were not found.
    """
    unseen = volume.standard_error <= 0
    number = (volume.volume_gpc3 / np.where(unseen, 1.0, volume.standard_error)) ** 2
    number[unseen] = 0.0
    each = np.full_like(number, scope.v0_gpc3 / scope.effective_draws)
    np.divide(volume.standard_error**2, volume.volume_gpc3, out=each, where=~unseen)
    low = each * gammaincinv(np.where(unseen, 1.0, number), (1 - probability) / 2)
    of_none = scope.v0_gpc3 / scope.effective_draws * gammaincinv(1.0, (1 + probability) / 2)
    high = np.maximum(each * gammaincinv(number + 1, (1 + probability) / 2), of_none)
    return np.where(unseen, volume.volume_gpc3, low), np.minimum(np.maximum(high, volume.volume_gpc3), scope.v0_gpc3)


def default_far_grid(background: Background, points: int = 500) -> Float[Array, " rates"]:
    """Rates from one per livetime up to where all background events count, or a million a year, evenly in logarithm."""
    lowest = background.lowest_far_per_year
    return np.geomspace(lowest, max(lowest, min(HIGHEST_FAR_PER_YEAR, lowest * len(background.statistics))), points)


def volume_against_far(
    draws: WeighedDraws, background: Background, far_per_year: Float[Array, " rates"], livetime: float
) -> dict[str, VolumeCurve]:
    """Sensitive volume against false alarm rate for each target population.

    Args:
        draws: Accepted and rejected injections, weighed.
        background: Events of time slides.
        far_per_year: Events per Julian year.
        livetime: Seconds of unshifted data that were searched.

    Returns:
        A curve for each target, by its name.

    Raises:
        DataError: If no draw has a weight in a target.
        ConfigurationError: If a rate is below what the background can measure.
    """
    threshold = background.threshold_at_far(far_per_year)
    curves = {}
    for name, target in draws.targets.items():
        everything = target.everything
        try:
            volume = sensitive_volume(draws.statistic, target.weight, everything, target.v0_gpc3, threshold)
        except DataError as error:
            raise DataError(f"{name}: {error}") from None
        scope = Scope(
            target.v0_gpc3, target.redshift_range, livetime, *everything.coverage, everything.effective_number
        )
        curves[name] = VolumeCurve(**vars(volume), far_per_year=far_per_year, threshold=threshold, scope=scope)
    return curves


def efficiencies(
    draws: WeighedDraws, background: Background, far_per_year: Float[Array, " rates"]
) -> dict[str, dict[str, Efficiency]]:
    """Share of all binaries that are found, injected or not, against distance and chirp mass.

    Args:
        draws: Accepted and rejected injections, weighed.
        background: Events of time slides.
        far_per_year: A few rates, in events per Julian year.

    Returns:
        By axis, for each target by its name, and for ``ALL_DRAWS``; none without injections.

    Raises:
        ConfigurationError: If a rate is below what the background can measure.
    """
    thresholds = dict(zip(far_per_year.tolist(), background.threshold_at_far(far_per_year).tolist(), strict=True))
    rows = {name: (target.weight, target.bins) for name, target in draws.targets.items()}
    rows[ALL_DRAWS] = (np.ones(len(draws.statistic)), draws.as_drawn)
    return {
        name: {
            bins.axis: efficiency.efficiency(
                bins, everything, (draws.coordinates[bins.axis], weight, draws.statistic), thresholds
            )
            for bins, everything in zip(draws.bins, sums, strict=True)
        }
        for name, (weight, sums) in rows.items()
    }


def check_names(targets: Sequence[Target]) -> None:
    """Refuse populations that files and figures could not tell apart, or would take for a pair of masses.

    Raises:
        ConfigurationError: Naming the population.
    """
    names = [target.name for target in targets]
    for target in targets:
        is_pair = isinstance(target, LogNormalTarget)
        if names.count(target.name) > 1 or target.name == ALL_DRAWS or (chirp_mass(target.name) and not is_pair):
            raise ConfigurationError(
                f"a population called {target.name} would be mistaken for another one of that name: rename its "
                "function or file, and give each pair of masses once"
            )


def remarks(curves: Mapping[str, VolumeCurve]) -> list[str]:
    """What a reader of these volumes should know: populations outside the prior, and too few injections."""
    told = [
        f"{100 * curve.scope.coverage:.0f} % of the population {name} lies inside the injections' prior: its volume is "
        "that of this part; take a wider prior or another population"
        for name, curve in curves.items()
        if not curve.scope.is_covered
    ]
    few = {name: curve.effective_sample_size[curve.far_per_year.argmin()] for name, curve in curves.items()}
    few = {name: number for name, number in few.items() if number < ENOUGH}
    if few:
        lowest = next(iter(curves.values())).far_per_year.min()
        listed = ", ".join(f"{name} ({number:.0f})" for name, number in few.items())
        told.append(
            f"fewer than {ENOUGH} effective injections are found at a false alarm rate of {lowest:.3g} per year: "
            f"{listed}; their errors are rough, their 95 % intervals are to be preferred; make more injections"
        )
    return told


def write_volumes(
    path: str,
    curves: Mapping[str, VolumeCurve],
    found: Mapping[str, Mapping[str, Efficiency]],
    made_with: Parameters | None = None,
    attributes: Mapping[str, float] | None = None,
) -> None:
    """Write a group per population, whole or not at all (docs/sensitivity.md lists its datasets).

    Args:
        path: Local or s3 path.
        curves: Sensitive volumes by population.
        found: Efficiencies by population and axis.
        made_with: Parameters that made them.
        attributes: Attributes of the file.
    """
    with storage.create_hdf5(path, made_with) as file:
        file.attrs.update(attributes or {})
        for name, curve in curves.items():
            group = file.create_group(name)
            for quantity, unit in UNITS.items():
                group.create_dataset(quantity, data=curve.quantity(quantity)).attrs["unit"] = unit
            for field in fields(Scope):
                group.attrs[field.name] = getattr(curve.scope, field.name)
            group.attrs["is_covered"] = curve.scope.is_covered
        for name, by_axis in found.items():
            for axis, one in by_axis.items():
                _write_efficiency(file.require_group(f"{name}/efficiency").create_group(axis), one)


def read_volumes(path: str) -> dict[str, VolumeCurve]:
    """Curves by population: mass pairs first, the heaviest chirp mass before all."""
    with storage.open_hdf5(path) as file:
        curves = {name: _read_curve(group) for name, group in file.items() if "volume_gpc3" in group}
    return dict(sorted(curves.items(), key=lambda item: chirp_mass(item[0]), reverse=True))


def read_efficiencies(path: str) -> dict[str, dict[str, Efficiency]]:
    """Efficiencies by population and axis."""
    names = [field.name for field in fields(Efficiency) if field.name != "axis"]
    with storage.open_hdf5(path) as file:
        return {
            name: {
                axis: Efficiency(axis, **{each: one[each][:] for each in names})
                for axis, one in group["efficiency"].items()
            }
            for name, group in file.items()
            if "efficiency" in group
        }


def chirp_mass(name: str) -> float:
    """Chirp mass in solar masses of a mass pair such as ``35-20``; 0 for any other population.

    >>> round(chirp_mass("35-35"), 2), chirp_mass("demo_bbh")
    (30.47, 0.0)
    """
    pair = mass_pair(name)
    return 0.0 if pair is None else float((pair[0] * pair[1]) ** 0.6 / sum(pair) ** 0.2)


def mass_pair(name: str) -> tuple[float, float] | None:
    """Masses in solar masses, the heavier first, of a pair such as ``35-20``; None of any other population."""
    try:
        mass_1, mass_2 = (float(mass) for mass in name.split("-"))
    except ValueError:
        return None
    return max(mass_1, mass_2), min(mass_1, mass_2)


def population_label(name: str) -> str:
    """A population's name for readers: a mass pair with its unit."""
    return f"{name} M☉" if chirp_mass(name) else name


def _read_curve(group: h5py.Group) -> VolumeCurve:
    values = {field.name: group[field.name][:] for field in fields(VolumeCurve) if field.name != "scope"}
    scope = {field.name: group.attrs[field.name] for field in fields(Scope)}
    low, high = scope.pop("redshift_range")
    numbers = {name: float(value) for name, value in scope.items()}
    return VolumeCurve(**values, scope=Scope(redshift_range=(float(low), float(high)), **numbers))


def _write_efficiency(group: h5py.Group, one: Efficiency) -> None:
    units = {"edges": efficiency.UNITS[one.axis], "far_per_year": "1 / yr"}
    for field in fields(Efficiency):
        if field.name != "axis":
            group.create_dataset(field.name, data=getattr(one, field.name)).attrs["unit"] = units.get(field.name, "")


def _sum_from_the_end(values: Array) -> Array:
    """Sums of the values from each index on, and 0 beyond the last."""
    return np.concatenate([np.cumsum(values[::-1])[::-1], [0.0]])
