"""Read the weights and names of several populations in one key."""

import re

from aframe.errors import ConfigurationError

BORDER = re.compile(r",(?![^()]*\))")
"""Border between the populations of a mixture. A comma in the parentheses of a call is no border."""

WEIGHTED = re.compile(r"([-+.\deE]+)\s*\*\s*(\S.*)", re.DOTALL)
"""A weight and a population. A path has no star, and a weight no letter but that of an exponent."""


def weighted_names(prior: str) -> list[tuple[float, str]]:
    """Weights and names of the populations of a mixture. A plain population has the weight 1.

    >>> weighted_names("0.3 * aframe.waveforms.priors.bns, 0.7 * heavy.prior")
    [(0.3, 'aframe.waveforms.priors.bns'), (0.7, 'heavy.prior')]
    >>> weighted_names("my.priors.heavy(35, 30)")
    [(1.0, 'my.priors.heavy(35, 30)')]

    Args:
        prior: The key ``prior``.

    Raises:
        ConfigurationError: If a population of a mixture has no positive weight.
    """
    items = [item.strip() for item in BORDER.split(prior) if item.strip()]
    matches = [WEIGHTED.fullmatch(item) for item in items]
    if not any(matches):
        return [(1.0, prior)]
    result = []
    for item, match in zip(items, matches, strict=True):
        try:
            result.append((float(match[1]), match[2].strip()) if match else (float("nan"), item))
        except ValueError:
            result.append((float("nan"), item))
        if not 0 < result[-1][0] < float("inf"):
            raise ConfigurationError(
                f"prior = {prior}: {item} has no positive weight: give each population of a mixture one, as 0.3 * "
                "aframe.waveforms.priors.bns, 0.7 * aframe.waveforms.priors.rates_and_populations_bbh"
            )
    return result
