"""Probabilities of a signal's source class, from its best template and the run's own injections.

A class is that of the masses in the source's frame. The search measures redshifted masses only. Recovered injections
with a similar chirp mass tell how often each class makes such a template: P(class | ℳ) is the class's share of their
expected signals. Bayes' theorem in this form is that of arXiv:1903.06881, with the relative rates of the classes fixed
to those of the astrophysical population.
"""

import functools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from aframe.candidates.p_astro import Foreground
from aframe.sensitivity.weights import Binaries
from aframe.tables import RecoveredTable
from aframe.types import Array

NEUTRON_STAR_LIMIT = 3.0
"""Largest mass of a neutron star, solar masses: the upper limit of its maximum mass (arXiv:astro-ph/9608059)."""

TERRESTRIAL = "Terrestrial"
"""Class of noise."""

CLASSES = ("BNS", "NSBH", "BBH")
"""Classes of signals, as alerts name them."""

CLASS_COLUMNS = ("p_bns", "p_nsbh", "p_bbh")
"""Columns of the candidates with the probability of each class."""

CHIRP_MASS_WIDTH = 0.1
"""Standard deviation of the Gaussian kernel in ln chirp mass.

It stands for the error of the best template's chirp mass, and is meant to be no smaller than that error.
"""

FARTHEST_WIDTHS = 4.0
"""Distance from the nearest injection, in widths, beyond which injections tell nothing of a template."""

CHUNK_ROWS = 256
"""Number of events in one chunk of the kernel's sum."""


def class_of(mass_1: float, mass_2: float) -> str:
    """Class of a binary.

    Args:
        mass_1: Mass of one body, solar masses.
        mass_2: Mass of the other.

    >>> class_of(1.4, 1.3), class_of(10.0, 1.4), class_of(30.0, 25.0)
    ('BNS', 'NSBH', 'BBH')
    """
    return CLASSES[int(_classes(np.array([mass_1]), np.array([mass_2]))[0])]


def chirp_mass_of(mass_1: Float[Array, " n"], mass_2: Float[Array, " n"]) -> Float[Array, " n"]:
    """Chirp mass (m1 m2)^(3/5) / (m1 + m2)^(1/5), in the unit and the frame of the masses."""
    return np.asarray((mass_1 * mass_2) ** 0.6 / (mass_1 + mass_2) ** 0.2)


@dataclass(frozen=True)
class ClassModel:
    """Classes of the signals that the search recovers, by detector-frame chirp mass.

    Attributes:
        log_chirp_mass: Natural logarithm of the detector-frame chirp mass of recovered injections (solar masses), in
            ascending order, shape (injections,).
        source_class: Index in ``CLASSES`` of each injection, by its masses in the source's frame, shape (injections,).
        expected: Number of astrophysical signals that each injection represents, shape (injections,).
    """

    log_chirp_mass: Float[Array, " injections"]
    source_class: Int[Array, " injections"]
    expected: Float[Array, " injections"]

    @classmethod
    def of(cls, recovered: RecoveredTable, foreground: Foreground, floor: float) -> "ClassModel":
        """Classes of the injections that have an event above the floor.

        Args:
            recovered: Accepted injections and the events that recovered them.
            foreground: The signals that those with an event represent, in the order of ``recovered``.
            floor: Statistic of the quietest events that count.
        """
        binaries = Binaries.of(recovered.rows(np.isfinite(recovered["detection_statistic"])))
        logarithm = binaries.log_chirp_mass_source + np.log1p(binaries.redshift)
        rows = np.flatnonzero((foreground.statistic >= floor) & (foreground.expected > 0))
        rows = rows[np.argsort(logarithm[rows], kind="stable")]
        classes = _classes(binaries.mass_1_source, binaries.mass_2_source)
        return cls(logarithm[rows], classes[rows], foreground.expected[rows])

    @functools.cached_property
    def population(self) -> Float[Array, " classes"]:
        """Share of each class in all signals that the search recovers."""
        return self._sums(self.expected[None])[0] / self.expected.sum()

    def shares(self, mass_1: Float[Array, " events"], mass_2: Float[Array, " events"]) -> Float[Array, "events 3"]:
        """Probability of each class, given that an event is a signal.

        A template far from all injections has the class of its own masses, unless the population has one class alone.

        Args:
            mass_1: Mass of a body of the best template in the detector's frame, solar masses; NaN without a template:
                the shares are then those of the population.
            mass_2: Mass of the other.

        Returns:
            Probabilities in the order of ``CLASSES``, shape (events, 3). Each row's sum is 1.
        """
        shares = np.tile(self.population, (len(mass_1), 1))
        if (self.population > 0).sum() == 1:
            return shares
        has_template = np.flatnonzero(np.isfinite(mass_1) & np.isfinite(mass_2))
        for first in range(0, len(has_template), CHUNK_ROWS):
            rows = has_template[first : first + CHUNK_ROWS]
            logarithm = np.log(chirp_mass_of(mass_1[rows], mass_2[rows]))
            distance = (logarithm[:, None] - self.log_chirp_mass) / CHIRP_MASS_WIDTH
            is_far = np.abs(distance).min(axis=1) > FARTHEST_WIDTHS
            sums = self._sums(self.expected * np.exp(-0.5 * distance**2))
            near = sums / np.where(is_far, 1.0, sums.sum(axis=1))[:, None]
            own = np.eye(len(CLASSES))[_classes(mass_1[rows], mass_2[rows])]
            shares[rows] = np.where(is_far[:, None], own, near)
        return shares

    def _sums(self, weight: Float[Array, "events injections"]) -> Float[Array, "events 3"]:
        """Sums of the weights of each class's injections."""
        return np.stack([weight[:, self.source_class == k].sum(axis=1) for k in range(len(CLASSES))], axis=1)


def _classes(mass_1: Float[Array, " n"], mass_2: Float[Array, " n"]) -> Int[Array, " n"]:
    """Index in ``CLASSES`` of each binary: the number of its bodies that are too heavy for neutron stars."""
    return (mass_1 > NEUTRON_STAR_LIMIT).astype(np.int64) + (mass_2 > NEUTRON_STAR_LIMIT)
