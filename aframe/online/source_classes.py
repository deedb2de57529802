"""Probabilities of an event's source classes, from p_astro and the best template.

Only masses in the detector's frame are known: those of the source are smaller by the factor 1 + z, which the search
does not measure. A class is therefore that of the redshifted masses.
"""

from collections.abc import Mapping

NEUTRON_STAR_LIMIT = 3.0
"""Largest mass of a neutron star, solar masses, here in the detector's frame."""

TERRESTRIAL = "Terrestrial"
"""Class of noise."""

CLASSES = ("BNS", "NSBH", "BBH")
"""Classes of signals, as alerts name them."""


def class_of(mass_1: float, mass_2: float) -> str:
    """Class of a binary.

    Args:
        mass_1: Mass of one body in the detector's frame, solar masses.
        mass_2: Mass of the other.

    >>> class_of(1.4, 1.3), class_of(10.0, 1.4), class_of(30.0, 25.0)
    ('BNS', 'NSBH', 'BBH')
    """
    return CLASSES[sum(mass > NEUTRON_STAR_LIMIT for mass in (mass_1, mass_2))]


def class_probabilities(p_astro: float, template: Mapping[str, float]) -> dict[str, float]:
    """Share out an event's p_astro.

    Args:
        p_astro: Probability that the event is a signal.
        template: Parameters of the best template, with ``mass_1`` and ``mass_2`` in the detector's frame.

    Returns:
        Probability of each class and of ``Terrestrial``, whose sum is 1. Empty without masses, as the classes are
        unknown then.
    """
    if not {"mass_1", "mass_2"} <= template.keys():
        return {}
    source = class_of(template["mass_1"], template["mass_2"])
    return {**{name: p_astro if name == source else 0.0 for name in CLASSES}, TERRESTRIAL: 1 - p_astro}
