"""Sensitive volumes from released injections: of the pipelines that searched them, and of a search of their frames.

With N draws from a density p(m₁, m₂, z), mixture weights w and a target density π, the volume is
V = V₀ / N Σ_found w π / p (Tiwari, arXiv:1712.00482; Farr, arXiv:1904.10879). N counts the draws that a release leaves
out.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from aframe import storage
from aframe.constants import SECONDS_PER_DAY, SECONDS_PER_YEAR
from aframe.errors import DataError
from aframe.events.recover import recover
from aframe.events.significance import Background
from aframe.sensitivity.cosmology import comoving_volume_time
from aframe.sensitivity.populations import population_name
from aframe.sensitivity.release_file import Release
from aframe.sensitivity.volume import (
    VolumeCurve,
    accidental_volume_gpc3,
    check_names,
    default_far_grid,
    read_curve,
    volume_against_far,
    write_volumes,
)
from aframe.sensitivity.weighing import NumberOfDraws, TargetDraws, WeighedDraws
from aframe.sensitivity.weights import Binaries, LogNormalTarget, Target, common_redshifts, mass_targets, weights
from aframe.storage.files import Parameters
from aframe.tables import EventTable
from aframe.types import Array
from aframe.waveforms.mixtures import AnyPopulation

LOWEST_FAR_PER_YEAR, HIGHEST_FAR_PER_YEAR = 1e-2, 1e3
"""Ends of the rates of pipelines without a search beside them, events per Julian year."""

FAR_POINTS = 200
"""Number of these rates."""

CHANCE_SIGMAS = 3.0
"""A search sees no signals if matches exceed those by chance by less than so many standard deviations."""

SEEN_FAR_PER_YEAR = 365.25
"""False alarm rate of these matches, events per Julian year, unless the background measures only higher ones."""

UNEVEN_SIGMAS, UNEVEN_SHARE = 5.0, 0.1
"""Injections are taken to be uneven in time if their number in the searched time is off by more than both."""

SEARCH = "aframe"
"""Name of the search of the frames, beside those of pipelines."""

Curves = dict[str, dict[str, VolumeCurve]]
"""Sensitive volume curves by population, then by search."""


@dataclass(frozen=True)
class MassTarget:
    """Masses of a population, at a constant rate per comoving volume and source time. The spins are the release's.

    Attributes:
        name: Name in files and figures.
        population: Binaries of a prior. Only their masses, and the range of their redshifts, matter.
    """

    name: str
    population: AnyPopulation

    @property
    def redshift_range(self) -> tuple[float, float]:
        """Smallest and largest redshift."""
        return self.population.redshift_range

    @property
    def sky_fraction(self) -> None:
        """None: injections of a release cover the whole sky."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Empty: the density depends on masses alone."""
        return ()

    def relative_density(self, binaries: Binaries) -> Float[Array, " n"]:
        """Density of the masses at each redshift."""
        masses = binaries.mass_1_source, binaries.mass_2_source
        log_density = self.population.log_mass_density(*masses, binaries.redshift)
        return np.where(np.isfinite(log_density), np.exp(log_density), 0.0)


def release_targets(
    release: Release, mass_pairs: Sequence[tuple[float, float]], width: float, populations: Mapping[str, AnyPopulation]
) -> list[Target]:
    """Create targets for the injections of a release.

    Args:
        release: The injections.
        mass_pairs: Source-frame masses, solar masses, each the centre of a log-normal population.
        width: Standard deviation of the natural logarithm of each mass.
        populations: Populations of priors by their words.

    Raises:
        ConfigurationError: If two populations have one name.
    """
    pairs = mass_targets(mass_pairs, width, (0.0, float(release.redshift.max())))
    others = [MassTarget(population_name(word), population) for word, population in populations.items()]
    check_names([*pairs, *others])
    return [*pairs, *others]


@dataclass(frozen=True)
class ReportedRates:
    """Thresholds of a statistic that is minus the false alarm rate which a pipeline reports."""

    def threshold_at_far(self, far_per_year: Float[Array, " rates"]) -> Float[Array, " rates"]:
        """Minus the rate."""
        return -far_per_year

    def threshold_interval(
        self, far_per_year: Float[Array, " rates"], probability: float
    ) -> tuple[Float[Array, " rates"], Float[Array, " rates"]]:
        """Minus the rate, twice: a release does not tell how well its rates are known."""
        return -far_per_year, -far_per_year


@dataclass(frozen=True, eq=False)
class FrameSearch:
    """A search of strain that holds the injections of a release.

    Attributes:
        release: The injections in the searched time, and the number of draws for them.
        statistic: Statistic of the event that recovers each injection, −inf without one, shape (n,).
        background: Events of time slides of strain without injections.
        window: Largest time from an injection to the event that recovers it, s.
        remarks: What a reader has to know.
    """

    release: Release
    statistic: Float[Array, " n"]
    background: Background
    window: float
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class _Drawn:
    """Population of the injections of a release. It knows the density of just these."""

    release: Release

    @property
    def redshift_range(self) -> tuple[float, float]:
        return 0.0, float(self.release.redshift.max())

    @property
    def sky_fraction(self) -> float:
        return 1.0

    def log_density(self, mass_1_source: Array, mass_2_source: Array, redshift: Array) -> Array:
        return self.release.log_density


def weigh_release(release: Release, targets: Sequence[Target]) -> WeighedDraws:
    """Weigh the injections of a release for each target.

    Targets that reach beyond the redshifts of the recorded injections end there, where nothing was recorded. Their
    volumes stay the same.

    Args:
        release: The injections.
        targets: Populations whose density depends on masses and redshift alone.

    Returns:
        Weights w π / p of the injections, with a statistic of −inf.

    Raises:
        DataError: If no injection has a weight in a target, or the median of a mass is not among the recorded masses.
    """
    binaries = Binaries(release.mass_1_source, release.mass_2_source, release.redshift, {})
    source = _Drawn(release)
    lowest, highest = release.mass_2_source.min(), release.mass_1_source.max()
    weighed = {}
    for target, row in zip(targets, weights(binaries, source, targets) * release.weight, strict=True):
        found = float(row.sum())
        masses = (target.mass_1, target.mass_2) if isinstance(target, LogNormalTarget) else ()
        if not found > 0 or any(not lowest <= mass <= highest for mass in masses):
            raise DataError(
                f"{release.path} has no injection in the population {target.name}, or in a part of it alone: its "
                f"source-frame masses are {lowest:.3g} to {highest:.3g} M☉; name another population, or give a release "
                "for such binaries"
            )
        with np.errstate(over="ignore"):
            squares = float(np.square(row).sum())
        if not 0 < squares < np.inf:
            raise DataError(
                f"{release.path}: the weights of injections in the population {target.name}, up to {row.max():.3g}, "
                "are too large or too small to add: fetch the file again"
            )
        limits = common_redshifts(source, target)
        everything = NumberOfDraws(release.total, release.total * squares / found, len(row))
        weighed[target.name] = TargetDraws(comoving_volume_time(limits, 1.0), limits, row, everything, ())
    return WeighedDraws(np.full(len(release), -np.inf), weighed, np.ones(len(release)), (), (), {})


def reported_rates(release: Release) -> Float[Array, " rates"]:
    """False alarm rates at which to show pipelines, even in the logarithm.

    Args:
        release: The injections.

    Raises:
        DataError: If no pipeline has found an injection.
    """
    found = [rate[np.isfinite(rate)] for rate in release.far_per_year.values()]
    highest = max((float(rate.max()) for rate in found if len(rate)), default=0.0)
    if not highest > 0:
        reason = "no pipeline has found an injection" if release.far_per_year else "it has no pipeline's rates"
        raise DataError(f"{release.path}: {reason}: name other pipelines, or give a search's events")
    return np.geomspace(min(LOWEST_FAR_PER_YEAR, highest / 10), min(HIGHEST_FAR_PER_YEAR, highest), FAR_POINTS)


def pipeline_volumes(release: Release, targets: Sequence[Target], far_per_year: Float[Array, " rates"]) -> Curves:
    """Compute the volume of each pipeline of a release at false alarm rates.

    Args:
        release: The injections.
        targets: Target populations.
        far_per_year: Events per Julian year, shape (rates,).
    """
    draws = weigh_release(release, targets)
    curves: Curves = {target.name: {} for target in targets}
    for pipeline, rate in release.far_per_year.items():
        of_pipeline = replace(draws, statistic=-rate)
        for name, curve in volume_against_far(of_pipeline, ReportedRates(), far_per_year, release.duration).items():
            curves[name][pipeline] = curve
    return curves


def search_frames(
    release: Release,
    events: EventTable,
    spans: Float[Array, "stretches 2"],
    background: Background,
    window: float,
) -> FrameSearch:
    """Match the injections of a release with the events of a search of its frames.

    The injections in the searched time stand for that share of all draws which the time is of the release's time.

    Args:
        release: The injections.
        events: Events of unshifted data.
        spans: Start and stop of the searched stretches, GPS s.
        background: Events of time slides of strain without injections.
        window: Largest time from an injection to the event that recovers it, s.

    Raises:
        DataError: If no injection is in the searched time, or if no more of them have events than chance gives.
    """
    inside, seconds = _inside(release, spans), float((spans[:, 1] - spans[:, 0]).sum())
    share = seconds / release.duration
    if not inside.any():
        time = release.time if release.time is not None else np.zeros(1)
        raise DataError(
            f"none of the {len(release)} injections of {release.path} (GPS {time.min():.0f} to {time.max():.0f}) is in "
            f"the searched time (GPS {spans.min():.0f} to {spans.max():.0f}): search the frames of this release"
        )
    part = replace(release.rows(inside), total=release.total * share, duration=seconds)
    assert part.time is not None, "times have been compared"
    unshifted = np.zeros((len(part), events["shift"].shape[1]))
    index = recover(
        (part.time, unshifted), (events["detection_time"], events["shift"]), events["detection_statistic"], window
    )
    statistic = np.full(len(part), -np.inf)
    statistic[index >= 0] = events["detection_statistic"][index[index >= 0]]
    search = FrameSearch(part, statistic, background, window, tuple(_uneven(release, part, share)))
    _check_signals(search)
    return search


def _inside(release: Release, spans: Array) -> Bool[Array, " n"]:
    """Whether each injection is in a searched stretch."""
    if release.time is None:
        raise DataError(
            f"{release.path} has no times of its injections (time_geocenter or gps_time), so no search can be compared "
            "with it: give another release"
        )
    start, stop = spans[np.argsort(spans[:, 0])].T
    index = np.searchsorted(start, release.time, side="right") - 1
    return np.asarray((index >= 0) & (release.time < stop[index]))


def _check_signals(search: FrameSearch) -> None:
    """Refuse strain in which injections have no more loud events than by chance.

    Args:
        search: The search.
    """
    far = max(SEEN_FAR_PER_YEAR, search.background.lowest_far_per_year)
    seen = int((search.statistic >= search.background.threshold_at_far(far)).sum())
    chance = len(search.release) * -math.expm1(-2 * search.window * far / SECONDS_PER_YEAR)
    if seen <= chance + CHANCE_SIGMAS * math.sqrt(chance):
        raise DataError(
            f"{seen} of the {len(search.release)} injections of {search.release.path} in the searched time have an "
            f"event within {search.window:g} s at {far:.4g} false alarms a year, and chance gives {chance:.2g}: this "
            "strain does not hold them; search the frames with injections, not those without"
        )


def _uneven(release: Release, part: Release, share: float) -> list[str]:
    """Remark on injections that are more or fewer in the searched time than its length lets expect."""
    expected = share * len(release)
    excess = abs(len(part) - expected)
    if excess <= max(UNEVEN_SIGMAS * np.sqrt(expected), UNEVEN_SHARE * expected):
        return []
    return [
        f"the searched time has {len(part)} injections, and {expected:.0f} would be its share of the release's time: "
        "injections are not even in that time, and volumes are off by as much"
    ]


def frame_volumes(search: FrameSearch, targets: Sequence[Target]) -> tuple[Curves, dict[str, Float[Array, " rates"]]]:
    """Compute the volume of a search of frames, and of the release's pipelines for the same injections.

    Args:
        search: The search.
        targets: Target populations.

    Returns:
        Curves, and by population the part of the search's volume from accidental matches, Gpc³ at each rate.
    """
    far = default_far_grid(search.background)
    draws = replace(weigh_release(search.release, targets), statistic=search.statistic)
    ours = volume_against_far(draws, search.background, far, search.release.duration)
    others = pipeline_volumes(search.release, targets, far)
    by_chance = {name: accidental_volume_gpc3(draws, curve, name, search.window) for name, curve in ours.items()}
    return {name: {SEARCH: curve, **others[name]} for name, curve in ours.items()}, by_chance


def remarks(release: Release, curves: Curves) -> list[str]:
    """What a reader of a release's volumes has to know.

    Args:
        release: The injections.
        curves: Their volumes.
    """
    spins = (
        "The spins of the populations are those with which the release was drawn."
        if release.has_own_spins
        else "The spins of the populations are isotropic and uniform in magnitude, since the release has only a joint "
        "density with spins."
    )
    curve = next(curve for by_search in curves.values() for curve in by_search.values())
    days = curve.scope.livetime / SECONDS_PER_DAY
    return [
        spins,
        f"{len(release)} injections are recorded of {release.total:.4g} drawn; the others count as missed.",
        f"Volumes are means over {days:.4g} days, time without data included if injections were drawn in it.",
    ]


def write_release_volumes(
    path: str,
    curves: Curves,
    made_with: Parameters,
    by_chance: Mapping[str, Float[Array, " rates"]] | None = None,
    attributes: Mapping[str, str] | None = None,
) -> None:
    """Write volumes, in a group per population with one per search. The file appears only when complete.

    Args:
        path: Local or s3 path.
        curves: The volumes.
        made_with: Parameters of the file.
        by_chance: Part of the volumes of a search of frames from accidental matches, Gpc³, by population.
        attributes: Attributes of the file.
    """
    flat = {f"{population}/{search}": curve for population, each in curves.items() for search, curve in each.items()}
    accidental = {
        key: (by_chance or {}).get(key.removesuffix(f"/{SEARCH}"), np.full(len(curve.far_per_year), np.nan))
        for key, curve in flat.items()
    }
    write_volumes(path, flat, {}, made_with, attributes, accidental_gpc3=accidental if by_chance else None)


def read_release_volumes(path: str) -> Curves:
    """Read volumes by population, then by search."""
    with storage.open_hdf5(path) as file:
        return {
            population: {search: read_curve(group) for search, group in searches.items()}
            for population, searches in file.items()
        }
