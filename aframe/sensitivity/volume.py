"""Sensitive volume of a search against its false alarm rate, with its uncertainty."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial

import h5py
import numpy as np
from jaxtyping import Float

from aframe import storage
from aframe.constants import SECONDS_PER_YEAR
from aframe.errors import ConfigurationError, DataError
from aframe.events.significance import Background, Thresholds
from aframe.sensitivity import efficiency
from aframe.sensitivity.efficiency import Efficiency
from aframe.sensitivity.interval import LEAST_EFFECTIVE_NUMBER, Scope, Volume, confidence_interval
from aframe.sensitivity.weighing import WeighedDraws, WeightSums
from aframe.sensitivity.weights import LogNormalTarget, Target
from aframe.storage.files import Parameters
from aframe.types import Array

GRID_HIGHEST_FAR_PER_YEAR = 1e6
"""Highest false alarm rate of the default grid: an event every half minute."""

CONFIDENCE = 0.95
"""Probability that an interval contains the volume."""

ALL_DRAWS = "all draws"
"""Name of the efficiency without a target's weights. It averages over binaries and redshifts of the source prior."""

UNITS: Mapping[str, str] = {
    "far_per_year": "1 / yr",
    "threshold": "",
    "volume_at_low_threshold_gpc3": "Gpc^3",
    "volume_at_high_threshold_gpc3": "Gpc^3",
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
class VolumeCurve(Volume):
    """Sensitive volume against false alarm rate.

    Attributes:
        far_per_year: False alarm rates in events per Julian year, shape (thresholds,).
        threshold: Smallest detection statistic at each rate, shape (thresholds,).
        volume_at_low_threshold_gpc3: Volume at the lowest threshold of the rate (``Background.threshold_interval``).
        volume_at_high_threshold_gpc3: Volume at the highest.
        scope: Limits of the measurement.
    """

    far_per_year: Float[Array, " thresholds"]
    threshold: Float[Array, " thresholds"]
    volume_at_low_threshold_gpc3: Float[Array, " thresholds"]
    volume_at_high_threshold_gpc3: Float[Array, " thresholds"]
    scope: Scope

    @property
    def volume_time_gpc3_yr(self) -> Float[Array, " thresholds"]:
        """Sensitive volume times observing time, V T, in Gpc³ Julian years."""
        return self.volume_gpc3 * (self.scope.livetime / SECONDS_PER_YEAR)

    @property
    def volume_time_standard_error(self) -> Float[Array, " thresholds"]:
        """Standard deviation of V T, in Gpc³ Julian years."""
        return self.standard_error * (self.scope.livetime / SECONDS_PER_YEAR)

    @property
    def sensitive_distance_mpc(self) -> Float[Array, " thresholds"]:
        """Radius (3 V / 4π)^(1/3) of a Euclidean sphere with the sensitive volume, in Mpc."""
        return np.asarray(1e3 * np.cbrt(3 * self.volume_gpc3 / (4 * np.pi)))

    def quantity(self, name: str) -> Float[Array, " thresholds"]:
        """Values of a quantity of ``UNITS``, by the name of its dataset in a file."""
        ends = {"volume_low_gpc3": 0, "volume_high_gpc3": 1}
        return self.interval_gpc3[ends[name]] if name in ends else np.asarray(getattr(self, name))

    def at(self, far_per_year: float, values: Float[Array, " thresholds"]) -> float:
        """Interpolate a quantity of the curve at a rate, linearly in the rate's logarithm.

        Args:
            far_per_year: False alarm rate, events per Julian year.
            values: Values of the quantity along the curve, shape (thresholds,).
        """
        return float(np.interp(np.log(far_per_year), np.log(self.far_per_year), values))

    @property
    def interval_gpc3(self) -> tuple[Float[Array, " thresholds"], Float[Array, " thresholds"]]:
        """Lower and upper ends of the 95 % interval of V in Gpc³.

        It adds, in squares, distances to the ends that the injections give (``confidence_interval``) and the threshold.
        """
        (low, high), volume = confidence_interval(self, self.scope, CONFIDENCE), self.volume_gpc3
        below = np.hypot(volume - low, volume - self.volume_at_high_threshold_gpc3)
        above = np.hypot(high - volume, self.volume_at_low_threshold_gpc3 - volume)
        return np.maximum(volume - below, 0.0), np.minimum(volume + above, np.maximum(self.scope.v0_gpc3, high))


def sensitive_volume(
    statistic: Float[Array, " injections"],
    weight: Float[Array, " injections"],
    everything: WeightSums,
    v0_gpc3: float,
    threshold: Float[Array, " thresholds"],
) -> Volume:
    """Compute the sensitive volume V = V₀ Σ_found w / Σ_all w at each threshold.

    The standard error is that of the share of found draws (``WeightSums.share_variance``). The cost is
    O((N + T) log N) for N injections and T thresholds.

    Args:
        statistic: Detection statistic of the accepted injections, −inf without an event, shape (injections,).
        weight: Importance weight of the accepted injections, shape (injections,).
        everything: Sums over the weights of all draws, accepted and rejected.
        v0_gpc3: Volume of a search that recovers all signals, V₀, in Gpc³.
        threshold: Smallest statistic of a found injection, shape (thresholds,).

    Returns:
        Volumes and their standard errors.

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
    recovered, squares = (_sum_from_the_end(values[order])[first] for values in (weight, weight**2))
    ratio, error = recovered / everything.total, np.sqrt(everything.share_variance(recovered, squares))
    effective = np.divide(recovered**2, squares, out=np.zeros_like(recovered), where=squares > 0)
    return Volume(v0_gpc3 * ratio, v0_gpc3 * error, effective)


def accidental_volume_gpc3(
    draws: WeighedDraws, curve: VolumeCurve, target: str, recovery_window: float
) -> Float[Array, " thresholds"]:
    """Part of a sensitive volume that is expected from accidental matches of missed injections with noise.

    Noise at a rate FAR has an event within the window w of an injection with the probability q = 1 − exp(−2 w FAR). Of
    the truly missed injections, 1 − q stay missed, so q / (1 − q) times those are matched. The volume includes this
    part. It is too large an estimate by the noise that signals displace.

    Args:
        draws: Injections with weights.
        curve: Sensitive volume of the target.
        target: Name of the target.
        recovery_window: Largest time from an injection to the event that recovers it, w, s.

    Returns:
        Gpc³ at each rate, no more than the volume.
    """
    weighed = draws.targets[target]
    order = np.argsort(draws.statistic)
    first = np.searchsorted(draws.statistic[order], curve.threshold, side="left")
    missed = np.concatenate([[0.0], np.cumsum(weighed.weight[order])])[first] / weighed.everything.total
    odds = np.expm1(2 * recovery_window * curve.far_per_year / SECONDS_PER_YEAR)
    return np.minimum(weighed.v0_gpc3 * odds * missed, curve.volume_gpc3)


def default_far_grid(background: Background, points: int = 500) -> Float[Array, " rates"]:
    """Choose false alarm rates, even in the logarithm.

    The lowest rate is one event per live time. The highest is the rate of all background events, at most a million per
    year.

    Args:
        background: Events of time slides.
        points: Number of rates.

    Returns:
        Events per Julian year, shape (points,).
    """
    lowest = background.lowest_far_per_year
    highest = max(lowest, min(GRID_HIGHEST_FAR_PER_YEAR, lowest * len(background.statistics)))
    return np.geomspace(lowest, highest, points)


def volume_against_far(
    draws: WeighedDraws, background: Thresholds, far_per_year: Float[Array, " rates"], livetime: float
) -> dict[str, VolumeCurve]:
    """Compute the sensitive volume against false alarm rate for each target population.

    Args:
        draws: Accepted and rejected injections with weights.
        background: Events of time slides, or another source of thresholds.
        far_per_year: False alarm rates, events per Julian year, shape (rates,).
        livetime: Observing time, s.

    Returns:
        Curve of each target, by its name.

    Raises:
        DataError: If no draw has a weight in a target.
        ConfigurationError: If a rate is below what the background can measure.
    """
    threshold = background.threshold_at_far(far_per_year)
    lowest, highest = background.threshold_interval(far_per_year, CONFIDENCE)
    curves = {}
    for name, target in draws.targets.items():
        everything = target.everything
        at = partial(sensitive_volume, draws.statistic, target.weight, everything, target.v0_gpc3)
        try:
            volume = at(threshold)
        except DataError as error:
            raise DataError(f"{name}: {error}") from None
        scope = Scope(
            target.v0_gpc3, target.redshift_range, livetime, *everything.coverage, everything.effective_number
        )
        curves[name] = VolumeCurve(
            **vars(volume), far_per_year=far_per_year, threshold=threshold, scope=scope,
            volume_at_low_threshold_gpc3=np.maximum(at(lowest).volume_gpc3, volume.volume_gpc3),
            volume_at_high_threshold_gpc3=np.minimum(at(highest).volume_gpc3, volume.volume_gpc3),
        )  # fmt: skip
    return curves


def efficiencies(
    draws: WeighedDraws, background: Background, far_per_year: Float[Array, " rates"]
) -> dict[str, dict[str, Efficiency]]:
    """Compute the share of all draws that the search recovers, against distance and chirp mass.

    Args:
        draws: Accepted and rejected injections with weights.
        background: Events of time slides.
        far_per_year: False alarm rates, events per Julian year, shape (rates,).

    Returns:
        Efficiencies by axis, for each target by its name and for ``ALL_DRAWS``. They are empty without injections.

    Raises:
        ConfigurationError: If a rate is below what the background can measure.
    """
    thresholds = dict(zip(far_per_year.tolist(), background.threshold_at_far(far_per_year).tolist(), strict=True))
    rows = {name: (target.weight, target.bins) for name, target in draws.targets.items()}
    rows[ALL_DRAWS] = (draws.exposure, draws.as_drawn)
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
    """Check that names of populations are unique, and that only pairs of masses look like pairs of masses.

    Raises:
        ConfigurationError: With the name of the first ambiguous population.
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
    """State the limits of the volumes: populations outside the prior, and too few injections."""
    sentences = [
        f"{100 * curve.scope.coverage:.0f} % of the population {name} lies inside the injections' prior: its volume is "
        "that of this part; take a wider prior or another population"
        for name, curve in curves.items()
        if not curve.scope.is_covered
    ]
    few = {name: curve.effective_sample_size[curve.far_per_year.argmin()] for name, curve in curves.items()}
    few = {name: number for name, number in few.items() if number < LEAST_EFFECTIVE_NUMBER}
    if few:
        lowest = next(iter(curves.values())).far_per_year.min()
        listed = ", ".join(f"{name} ({number:.0f})" for name, number in few.items())
        sentences.append(
            f"fewer than {LEAST_EFFECTIVE_NUMBER} effective injections are found at a false alarm rate of {lowest:.3g} "
            f"per year: {listed}; their errors are rough, their 95 % intervals are to be preferred; make more "
            "injections"
        )
    return sentences


def write_volumes(
    path: str,
    curves: Mapping[str, VolumeCurve],
    shares: Mapping[str, Mapping[str, Efficiency]],
    made_with: Parameters | None = None,
    attributes: Mapping[str, float | str] | None = None,
    *,
    accidental_gpc3: Mapping[str, Float[Array, " thresholds"]] | None = None,
) -> None:
    """Write volumes and efficiencies, a group per population (docs/sensitivity.md lists the datasets).

    The file appears only when complete.

    Args:
        path: Local or s3 path.
        curves: Sensitive volumes by population.
        shares: Efficiencies by population and axis.
        made_with: Parameters of the file.
        attributes: Attributes of the file.
        accidental_gpc3: Part of each volume from accidental matches, Gpc³, by population.
    """
    with storage.create_hdf5(path, made_with) as file:
        file.attrs.update(attributes or {})
        for name, curve in curves.items():
            group = file.create_group(name)
            for quantity, unit in UNITS.items():
                group.create_dataset(quantity, data=curve.quantity(quantity)).attrs["unit"] = unit
            if accidental_gpc3 is not None:
                by_chance = group.create_dataset("accidental_volume_gpc3", data=accidental_gpc3[name])
                by_chance.attrs["unit"] = "Gpc^3"
            for field in fields(Scope):
                group.attrs[field.name] = getattr(curve.scope, field.name)
            group.attrs["is_covered"] = curve.scope.is_covered
        for name, by_axis in shares.items():
            for axis, share in by_axis.items():
                _write_efficiency(file.require_group(f"{name}/efficiency").create_group(axis), share)


def read_volumes(path: str) -> dict[str, VolumeCurve]:
    """Read the curve of each population: mass pairs first, in descending order of chirp mass."""
    with storage.open_hdf5(path) as file:
        curves = {name: read_curve(group) for name, group in file.items() if "volume_gpc3" in group}
    return dict(sorted(curves.items(), key=lambda item: chirp_mass(item[0]), reverse=True))


def read_efficiencies(path: str) -> dict[str, dict[str, Efficiency]]:
    """Read efficiencies by population and axis."""
    names = [field.name for field in fields(Efficiency) if field.name != "axis"]
    with storage.open_hdf5(path) as file:
        return {
            name: {
                axis: Efficiency(axis, **{dataset: share[dataset][:] for dataset in names})
                for axis, share in group["efficiency"].items()
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
    """Masses in solar masses, the heavier first, of a pair such as ``35-20``; None for any other population."""
    try:
        mass_1, mass_2 = (float(mass) for mass in name.split("-"))
    except ValueError:
        return None
    return (mass_2, mass_1) if mass_2 > mass_1 else (mass_1, mass_2)  # max() would lose a NaN


def population_label(name: str) -> str:
    """Label of a population in figures. A mass pair has its unit."""
    return f"{name} M☉" if chirp_mass(name) else name


def read_curve(group: h5py.Group) -> VolumeCurve:
    """Read the curve of one population from its group."""
    names = [field.name for field in fields(VolumeCurve) if field.name != "scope"]
    values = {name: group[name if name in group else "volume_gpc3"][:] for name in names}  # of earlier versions
    scope = {field.name: group.attrs[field.name] for field in fields(Scope)}
    low, high = scope.pop("redshift_range")
    numbers = {name: float(value) for name, value in scope.items()}
    return VolumeCurve(**values, scope=Scope(redshift_range=(float(low), float(high)), **numbers))


def _write_efficiency(group: h5py.Group, share: Efficiency) -> None:
    units = {"edges": efficiency.UNITS[share.axis], "far_per_year": "1 / yr"}
    for field in fields(Efficiency):
        if field.name != "axis":
            group.create_dataset(field.name, data=getattr(share, field.name)).attrs["unit"] = units.get(field.name, "")


def _sum_from_the_end(values: Array) -> Array:
    """Sum of the values from each index to the end, and 0 after the last index."""
    return np.concatenate([np.cumsum(values[::-1])[::-1], [0.0]])
