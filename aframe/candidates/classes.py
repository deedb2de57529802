"""Split p_astro by the class of the source: binary neutron star, neutron star and black hole, binary black hole.

The search measures the statistic x and the chirp mass M of the best template, which is redshifted. The recovered
injections tell which signals have such values. With expected numbers w_i of signals, a signal is of class c with the
probability

    q_c(x, M) = Σ_{i in c} w_i K(x, M | i) / Σ_i w_i K(x, M | i).

K is a Gaussian kernel in the statistic, times the error of the chirp mass of injection i. Its width is no smaller than
the distance of that injection from its neighbours of the same class. ``class_rates`` has the rates of the classes,
which may differ from those of the population.
"""

import functools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.ndimage import gaussian_filter1d

from aframe.candidates.p_astro import Foreground
from aframe.sensitivity.weighing import WeightSums
from aframe.sensitivity.weights import Binaries
from aframe.tables import RecoveredTable, Table
from aframe.types import Array

NEUTRON_STAR_LIMIT = 3.0
"""Largest mass of a neutron star, solar masses, in the source's frame: the upper limit of its maximum mass
(arXiv:astro-ph/9608059)."""

CLASSES = ("BNS", "NSBH", "BBH")
"""Classes of signals, as alerts name them."""

TERRESTRIAL = "Terrestrial"
"""Class of noise."""

CLASS_COLUMNS = ("p_bns", "p_nsbh", "p_bbh")
"""Columns of candidates with the probability of each class, in the order of ``CLASSES``. Their sum is p_astro."""

TEMPLATE_COLUMNS = ("template_mass_1", "template_mass_2")
"""Columns of events with the masses of the best template, detector frame, solar masses; NaN if they are not known."""

TEMPLATE_CHIRP_MASS = "template_chirp_mass"
"""Column of injections and candidates with its chirp mass, detector frame, solar masses."""

FEWEST_NEAR = 10
"""Smallest effective number of injections near an event that tell its class, and number within a kernel's width."""

USUAL_WIDTH = 0.1
"""Error of ln chirp mass where it was not measured. It is chosen."""

LEAST_WIDTH = 1e-3
"""Smallest error of ln chirp mass. A few hundred injections cannot show that it is smaller."""

FARTHEST_WIDTHS = 4.0
"""Distance from the nearest injection, in widths, beyond which injections tell nothing of a template."""

NEIGHBOURS = 32
"""Injections, next to a chirp mass, that give the error of the chirp mass there."""

ONE_SIGMA = 0.6827
"""Share of a Gaussian within one standard deviation."""

SILVERMAN = 1.06
"""Bandwidth of a Gaussian kernel density in units of σ n^−1/5."""

STATISTIC_KNOTS = 2000
"""Grid points in the statistic for events without a template."""


def class_number(mass_1: Float[Array, " n"], mass_2: Float[Array, " n"]) -> Int[Array, " n"]:
    """Place of each binary's class in ``CLASSES``: the number of its black holes.

    Args:
        mass_1: Mass of one body, solar masses, shape (n,).
        mass_2: Mass of the other, shape (n,).

    >>> class_number(np.array([1.4, 10.0, 30.0]), np.array([1.3, 1.4, 25.0])).tolist()
    [0, 1, 2]
    """
    return (mass_1 > NEUTRON_STAR_LIMIT).astype(np.intp) + (mass_2 > NEUTRON_STAR_LIMIT)


def log_chirp_mass(mass_1: Float[Array, " n"], mass_2: Float[Array, " n"]) -> Float[Array, " n"]:
    """Natural logarithm of the chirp mass (m1 m2)^(3/5) / (m1 + m2)^(1/5).

    Args:
        mass_1: Mass of one body, solar masses, shape (n,).
        mass_2: Mass of the other, shape (n,).
    """
    return np.asarray(0.6 * np.log(mass_1 * mass_2) - 0.2 * np.log(mass_1 + mass_2), dtype=np.float64)


def template_masses(events: Table) -> Float[Array, "events 2"]:
    """Masses of the best templates of events, detector frame, solar masses; NaN if they are not known.

    Args:
        events: Events, with the columns ``TEMPLATE_COLUMNS`` or without.
    """
    unknown = np.full(len(events), np.nan)
    return np.stack([events.parameters.get(name, unknown) for name in TEMPLATE_COLUMNS], axis=1)


@dataclass(frozen=True)
class ChirpMassError:
    """Error of the chirp mass of the best template, measured on injections.

    Attributes:
        injected: Natural logarithm of the injections' chirp masses (detector frame, solar masses), ascending, shape
            (n,).
        error: Logarithm of the best template's chirp mass, less that, shape (n,).
    """

    injected: Float[Array, " n"]
    error: Float[Array, " n"]

    @classmethod
    def of(cls, recovered: RecoveredTable) -> "ChirpMassError | None":
        """The error that injections show; None if the best template of none is known.

        Args:
            recovered: Injections, with the column ``template_chirp_mass`` (detector frame, solar masses, NaN where the
                best template is not known) or without.
        """
        if TEMPLATE_CHIRP_MASS not in recovered.parameters:
            return None
        known = np.isfinite(recovered[TEMPLATE_CHIRP_MASS])
        if not known.any():
            return None
        injected = log_chirp_mass(recovered["mass_1"][known], recovered["mass_2"][known])
        order = np.argsort(injected, kind="stable")
        return cls(injected[order], (np.log(recovered[TEMPLATE_CHIRP_MASS][known]) - injected)[order])

    def at(self, log_chirp_mass: Float[Array, " m"]) -> tuple[Float[Array, " m"], Float[Array, " m"]]:
        """Median error and 68 % width about it of the ``NEIGHBOURS`` injections nearest to each chirp mass.

        Args:
            log_chirp_mass: Natural logarithm of the chirp mass, detector frame, solar masses, shape (m,).
        """
        size = min(NEIGHBOURS, len(self.injected))
        errors = np.lib.stride_tricks.sliding_window_view(self.error, size)
        middles = np.lib.stride_tricks.sliding_window_view(self.injected, size).mean(1)
        centre = np.median(errors, axis=1)
        width = np.quantile(np.abs(errors - centre[:, None]), ONE_SIGMA, axis=1)
        at = [np.interp(log_chirp_mass, middles, values) for values in (centre, np.maximum(width, LEAST_WIDTH))]
        return np.asarray(at[0]), np.asarray(at[1])


@dataclass(frozen=True)
class ClassModel:
    """Recovered injections, their classes, and what a template tells of them.

    Attributes:
        foreground: Statistics and expected numbers of signals, shape (injections,).
        source_class: Place of each one's class in ``CLASSES``, shape (injections,).
        log_chirp_mass: Natural logarithm of the chirp mass, detector frame, solar masses, shape (injections,).
        mass_error: Error of the best template's chirp mass; None if it was not measured.
        floor: Smallest statistic of the signals that count.
    """

    foreground: Foreground
    source_class: Int[Array, " injections"]
    log_chirp_mass: Float[Array, " injections"]
    mass_error: ChirpMassError | None
    floor: float

    @classmethod
    def of(cls, recovered: RecoveredTable, foreground: Foreground, floor: float) -> "ClassModel":
        """Classes of recovered injections.

        Args:
            recovered: Accepted injections and the events that recovered them.
            foreground: Their expected numbers of signals.
            floor: Smallest statistic of the signals that count.
        """
        above, has_event = foreground.statistic >= floor, np.isfinite(recovered["detection_statistic"])
        binaries = Binaries.of(recovered.rows(has_event).rows(above))
        source_class = class_number(binaries.mass_1_source, binaries.mass_2_source)
        chirp_mass = binaries.log_chirp_mass_source + np.log1p(binaries.redshift)
        kept = Foreground(foreground.statistic[above], foreground.expected[above])
        return cls(kept, source_class, chirp_mass, ChirpMassError.of(recovered), floor)

    @functools.cached_property
    def expected(self) -> Float[Array, " classes"]:
        """Expected number of signals of each class above the floor."""
        return self.sums(self.foreground.expected)

    def sums(self, weight: Float[Array, " injections"]) -> Float[Array, " classes"]:
        """Sum of weights in each class.

        Args:
            weight: Weight of each injection, shape (injections,).
        """
        return np.bincount(self.source_class, weight, len(CLASSES)).astype(np.float64)

    def shares(
        self,
        statistic: Float[Array, " events"],
        template_masses: Float[Array, "events 2"],
    ) -> Float[Array, "events classes"]:
        """Probability of each class of a signal, at the population's rates.

        Too few injections at an event's statistic and chirp mass leave its chirp mass alone. No injection near that
        leaves the masses of its template, unless the population has one class alone. An event without a template has
        its statistic alone.

        Args:
            statistic: Statistic of each event, shape (events,).
            template_masses: Masses of its best template, detector frame, solar masses; NaN if they are not known.
        """
        shares = self._shares_at(statistic)
        if np.count_nonzero(self.expected) == 1:
            return shares
        for row in np.flatnonzero(np.isfinite(template_masses).all(axis=1)):
            shares[row] = self._shares_near(float(statistic[row]), template_masses[row])
        return shares

    def _shares_near(self, statistic: float, masses: Float[Array, " 2"]) -> Array:
        offset, width = self._mass_kernel
        distance = (log_chirp_mass(masses[:1], masses[1:]) - self.log_chirp_mass - offset) / width
        if np.abs(distance).min() > FARTHEST_WIDTHS:
            return np.eye(len(CLASSES))[class_number(masses[:1], masses[1:])[0]]
        near = self.foreground.expected * np.exp(-(distance**2) / 2) / width
        loudness = min(statistic, float(self.foreground.statistic.max()))
        as_loud = near * np.exp(-(((loudness - self.foreground.statistic) / self._bandwidth) ** 2) / 2)
        if WeightSums.of(as_loud).effective_number >= FEWEST_NEAR:
            near = as_loud
        total = self.sums(near)
        return np.asarray(total / total.sum())

    @functools.cached_property
    def _mass_kernel(self) -> tuple[Array, Array]:
        """Offset and width of each injection's kernel in ln chirp mass."""
        if self.mass_error is None:
            offset, width = np.zeros_like(self.log_chirp_mass), np.full_like(self.log_chirp_mass, USUAL_WIDTH)
        else:
            offset, width = self.mass_error.at(self.log_chirp_mass)
        for each in range(len(CLASSES)):
            rows = np.flatnonzero(self.source_class == each)
            rows = rows[np.argsort(self.log_chirp_mass[rows], kind="stable")]
            place, values = np.arange(len(rows)), self.log_chirp_mass[rows]
            high, low = (np.clip(place + step, 0, len(rows) - 1) for step in (FEWEST_NEAR // 2, -(FEWEST_NEAR // 2)))
            width[rows] = np.maximum(width[rows], (values[high] - values[low]) / 2)
        return offset, width

    @functools.cached_property
    def _bandwidth(self) -> float:
        statistic, weight = self.foreground.statistic, self.foreground.expected
        mean = np.average(statistic, weights=weight)
        spread = float(np.sqrt(np.average((statistic - mean) ** 2, weights=weight)))
        return SILVERMAN * spread * WeightSums.of(weight).effective_number ** -0.2

    def _shares_at(self, statistic: Array) -> Array:
        grid, densities = self._densities
        at = np.stack([np.interp(statistic, grid, density) for density in densities], axis=1)
        return np.asarray(at / at.sum(axis=1, keepdims=True))

    @functools.cached_property
    def _densities(self) -> tuple[Array, Array]:
        """Statistics, and the density of each class there, to a common factor.

        A little of each class's sum stands for the loud statistics between which there are no injections.
        """
        statistic, weight = self.foreground.statistic, self.foreground.expected
        grid = np.linspace(self.floor, float(statistic.max()), STATISTIC_KNOTS)
        step = grid[1] - grid[0]
        index = np.rint((statistic - self.floor) / step).astype(np.intp)
        counts = np.zeros((len(CLASSES), STATISTIC_KNOTS))
        np.add.at(counts, (self.source_class, index), weight)
        densities = gaussian_filter1d(counts, self._bandwidth / step, axis=1, mode="reflect")
        return grid, densities + 1e-9 * self.expected[:, None]
