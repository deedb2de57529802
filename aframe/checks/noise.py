"""Checks of the curves and glitches of simulated noise."""

import sys

from aframe.runs.artifacts import Artifacts
from aframe.steps.strain import curve_places, glitches_path
from aframe.strain.curve_pool import read_curves, read_pools
from aframe.strain.glitch_population import LARGEST_SHARE, read_population


def check_noise_curves(run: Artifacts) -> None:
    """Refuse noise curves that cannot be read.

    Raises:
        ConfigurationError: If a curve does not exist.
        DataError: If it is no spectral density, or curves are in two units.
    """
    if run.config.data.source == "simulated":
        read_curves(curve_places(run.config, run.config.data.asd or ""), run.config.search.ifos)


def check_noise_band(run: Artifacts) -> None:
    """Refuse noise curves that do not cover the whole band, or leave a detector without any.

    Raises:
        ConfigurationError: If a curve does not exist.
        DataError: If it has values in the band that no detector has.
    """
    data, search = run.config.data, run.config.search
    if data.source == "simulated":
        band = (search.highpass, search.lowpass or search.sample_rate / 2)
        read_pools(curve_places(run.config, data.asd or ""), search.ifos, band)


def check_glitches(run: Artifacts) -> None:
    """Refuse a table of glitches that cannot be read or lacks a detector. Warn of glitches that fill much of the time.

    Raises:
        DataError: With the file and its first mistake.
        StorageError: If the file does not exist.
    """
    glitches = run.config.data.glitches
    if glitches is not None:
        population = read_population(glitches_path(run.config, glitches))
        for ifo in run.config.search.ifos:
            share = population.filled_share(ifo)
            if share > LARGEST_SHARE:
                text = f"glitches = {glitches} fill up to {share:.0%} of the time of {ifo}: lower their rate_per_hour"
                print(f"warning: {text}, or PSDs and sensitivity suffer", file=sys.stderr)
