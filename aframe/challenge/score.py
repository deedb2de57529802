"""The challenge's measure: the sensitive distance of a search at each false alarm rate."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from aframe.challenge.data_sets import PADDING, SECONDS_PER_MONTH
from aframe.challenge.events import Events
from aframe.challenge.injections import Injections
from aframe.errors import ConfigurationError, DataError
from aframe.events.significance import tail_scale
from aframe.strain.segments import Segment
from aframe.types import Array

RATES = (1.0, 10.0, 100.0, 1000.0)
"""False alarm rates at which distances are printed, per month."""

PROBABILITY = 0.9
"""Probability of an interval."""

DRAWS = 1000
"""Draws from which an interval is estimated."""

TOLERANCE = 1e-9
"""Rounding error of a number of background events."""

LARGEST_TIME_OUTSIDE = 1.0
"""Seconds beyond a segment's end at which an event may lie."""


@dataclass(frozen=True)
class Trial:
    """What the distance of a search follows from.

    Attributes:
        background: Statistics of the events in noise alone, loudest first, shape (events,).
        duration: Length of that noise, s.
        found: Statistic of the loudest event of each signal that counts, −inf without one, shape (signals,).
        injections: The signals that count.
    """

    background: Float[Array, " events"]
    duration: float
    found: Float[Array, " signals"]
    injections: Injections

    @property
    def weights(self) -> Float[Array, " signals"]:
        """Weight Mc^(5/2) of each signal over that of the heaviest one.

        Signals of one chirp distance lie at luminosity distances ∝ Mc^(5/6), so that they stand for volumes ∝ Mc^(5/2).
        """
        mass = self.injections.chirp_mass
        return np.asarray((mass / mass.max()) ** 2.5)

    @property
    def farthest_mpc(self) -> float:
        """Largest luminosity distance of a signal, Mpc."""
        return float(self.injections.distance_mpc.max())


@dataclass(frozen=True)
class Score:
    """Sensitive distances at some false alarm rates. All arrays have shape (rates,), with NaN at unmeasured rates.

    Attributes:
        far_per_month: False alarm rates per month of 30 days.
        threshold: Statistic that found signals exceed.
        num_found: Number of found signals.
        distance_mpc: Sensitive distance, Mpc.
        low_mpc: Lower end of its interval of ``PROBABILITY``, Mpc.
        high_mpc: Upper end.
    """

    far_per_month: Float[Array, " rates"]
    threshold: Float[Array, " rates"]
    num_found: Float[Array, " rates"]
    distance_mpc: Float[Array, " rates"]
    low_mpc: Float[Array, " rates"]
    high_mpc: Float[Array, " rates"]


def try_search(
    foreground: Events, background: Events, injections: Injections, segments: list[Segment], paths: str = "the strain"
) -> Trial:
    """Bring together what a search has found, and what it should have found.

    Args:
        foreground: Events in noise with signals.
        background: Events in the same noise without signals.
        injections: Signals of the injection file.
        segments: Segments of the strain with signals.
        paths: Name of the strain, for error messages.

    Raises:
        DataError: If there is no strain or no signal in it, or events are of other strain.
    """
    duration = sum(segment.duration for segment in segments)
    if not duration > 0:
        raise DataError(f"{paths} has no time: false alarm rates need a background of some duration")
    for name, events in (("foreground", foreground), ("background", background)):
        _check_times(name, events, segments)
        if events.duration is not None and abs(events.duration - duration) > LARGEST_TIME_OUTSIDE:
            raise DataError(
                f"the {name} events are of {events.duration:.0f} s of strain, and {paths} has {duration:.0f} s: give "
                "events of the whole of this data set, and of no other"
            )
    counted = injections.within(segments)
    if not len(counted.tc):
        raise DataError(
            f"none of {len(injections.tc)} signals lies {PADDING:g} s inside a segment of {paths}: give the injection "
            "file of this data set"
        )
    return Trial(np.sort(background.stat)[::-1], duration, loudest(foreground, counted), counted)


def _check_times(name: str, events: Events, segments: list[Segment]) -> None:
    """Refuse events outside the strain."""
    starts, stops = (np.array([getattr(segment, end) for segment in segments]) for end in ("start", "stop"))
    row = np.searchsorted(starts, events.time + LARGEST_TIME_OUTSIDE, side="right") - 1
    outside = (row < 0) | (events.time > stops[row] + LARGEST_TIME_OUTSIDE)
    if outside.any():
        raise DataError(
            f"{outside.sum()} of {len(events.time)} {name} events are outside the strain, the first at "
            f"{events.time[outside][0]:.3f} (GPS s): give events and strain of the same data set"
        )


def loudest(events: Events, injections: Injections) -> Float[Array, " signals"]:
    """Statistic of the loudest event of each signal.

    An event is of the signal that is nearest to it, if that one lies within its ``var``. The challenge's own evaluation
    counts two events of one signal twice. Here a signal counts once.

    Args:
        events: Events in any order.
        injections: Signals, in order of time, at least one.

    Returns:
        Shape (signals,); −inf for a signal without event.
    """
    after = np.searchsorted(injections.tc, events.time)
    before, after = np.maximum(after - 1, 0), np.minimum(after, len(injections.tc) - 1)
    is_before = np.abs(events.time - injections.tc[before]) <= np.abs(events.time - injections.tc[after])
    nearest = np.where(is_before, before, after)
    is_near = np.abs(events.time - injections.tc[nearest]) <= events.var
    result = np.full(len(injections.tc), -np.inf)
    np.maximum.at(result, nearest[is_near], events.stat[is_near])
    return result


def rates(trial: Trial) -> tuple[float, ...]:
    """``RATES``, and before them the lowest rate that a background of less than a month measures."""
    lowest = SECONDS_PER_MONTH / trial.duration
    return tuple(sorted({*RATES, lowest})) if lowest > RATES[0] else RATES


def threshold(trial: Trial, far_per_month: float) -> float:
    """Statistic of a false alarm rate: that of the k-th loudest background event, whose rate is (k − 1) / duration.

    Args:
        trial: Its background.
        far_per_month: False alarm rate per month.

    Returns:
        NaN if the background is too short or has too few events for the rate.
    """
    number = far_per_month * trial.duration / SECONDS_PER_MONTH
    rank = int(np.floor(number * (1 + TOLERANCE)))  # of the event, from 0
    if number < 1 - TOLERANCE or rank >= len(trial.background):
        return float("nan")
    return float(trial.background[rank])


def sensitive_distance(trial: Trial, threshold: float) -> float:
    """Radius R of the sphere that has the sensitive volume, Mpc (arXiv:2209.11146).

    With the largest luminosity distance D and chirp mass M of the N signals, (4/3) π R³ = (4/3) π D³ Σ Mc^(5/2) / (N
    M^(5/2)), with the sum over found signals. Signals that are all found, and of one mass, give R = D.

    Args:
        trial: Signals, and their loudest events.
        threshold: Statistic that found signals exceed.
    """
    return float(trial.farthest_mpc * np.cbrt(trial.weights[trial.found > threshold].sum() / len(trial.found)))


def score(trial: Trial, rates: tuple[float, ...], rng: np.random.Generator) -> Score:
    """Compute the sensitive distance at false alarm rates, with intervals of ``PROBABILITY``.

    Args:
        trial: What a search has found.
        rates: False alarm rates per month.
        rng: Source of the draws of the intervals.

    Raises:
        ConfigurationError: If a rate is not positive.
    """
    if min(rates) <= 0:
        raise ConfigurationError(f"false alarm rates must be positive, not {min(rates)}")
    thresholds = np.array([threshold(trial, rate) for rate in rates])
    is_measured = np.isfinite(thresholds)
    low, high = (np.full(len(rates), np.nan) for _ in range(2))
    if is_measured.any():
        low[is_measured], high[is_measured] = intervals(trial, np.array(rates)[is_measured], rng)
    distances = np.array([sensitive_distance(trial, each) for each in thresholds])
    found = np.array([float((trial.found > each).sum()) for each in thresholds])
    return Score(
        np.array(rates), thresholds, np.where(is_measured, found, np.nan), np.where(is_measured, distances, np.nan),
        np.minimum(low, np.where(is_measured, distances, np.nan)),
        np.maximum(high, np.where(is_measured, distances, np.nan)),
    )  # fmt: skip


def intervals(
    trial: Trial, rates: Float[Array, " rates"], rng: np.random.Generator
) -> tuple[Float[Array, " rates"], Float[Array, " rates"]]:
    """Intervals of ``PROBABILITY`` of sensitive distances, from ``DRAWS`` draws of background and signals together.

    The number of background events above the true threshold of a rate is Poisson, with the mean rate × duration. A draw
    of this number m puts the threshold between the m-th loudest event and the next one. Without any event above it, it
    lies beyond the loudest by an exponential excess, whose scale is ``tail_scale``. Signals are
    drawn anew by Poisson weights. Where all or no signals are found, draws do not vary: the end is then that of
    Clopper and Pearson.

    Args:
        trial: What a search has found.
        rates: False alarm rates per month that the background measures.
        rng: Source of the draws.

    Returns:
        Lower and upper ends, Mpc, each of shape (rates,).
    """
    order = np.argsort(-trial.found, kind="stable")
    ascending, weights = -trial.found[order], trial.weights[order]
    drawn = _drawn_thresholds(trial, rates, rng)
    volumes = np.empty_like(drawn)
    for row, thresholds in enumerate(drawn):
        copies = rng.poisson(1.0, len(weights))
        sums = np.concatenate([[0.0], np.cumsum(copies * weights)])
        volumes[row] = sums[np.searchsorted(ascending, -thresholds)] / max(copies.sum(), 1)
    ends = np.quantile(volumes, [(1 - PROBABILITY) / 2, (1 + PROBABILITY) / 2], axis=0)
    rare = 1 - ((1 - PROBABILITY) / 2) ** (1 / len(weights))
    everything = weights.mean()
    low, high = np.minimum(ends[0], everything * (1 - rare)), np.maximum(ends[1], everything * rare)
    return trial.farthest_mpc * np.cbrt(low), trial.farthest_mpc * np.cbrt(high)


def _drawn_thresholds(trial: Trial, rates: Array, rng: np.random.Generator) -> Array:
    """Thresholds of rates that are compatible with a background, shape (draws, rates)."""
    loud = trial.background
    number = np.minimum(rng.poisson(rates * trial.duration / SECONDS_PER_MONTH, (DRAWS, len(rates))), len(loud))
    above = np.concatenate([[np.nan], loud])[number]
    above = np.where(number == 0, loud[0] + tail_scale(loud) * rng.exponential(size=number.shape), above)
    below = np.concatenate([loud, loud[-1:]])[number]
    return np.asarray(np.where(number == 0, above, below + (above - below) * rng.uniform(size=number.shape)))
