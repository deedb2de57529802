"""Placement of templates of neutron stars: their number, its time on one core, and the match of other draws.

Signals are long: 64 s from 32 Hz. The time of today's placement, which compares spectra at some hundred frequencies, is
compared with one by Fourier transforms of whole series, for the same small bank.
"""

import time

import numpy as np
import torch
from _rows import at_least, at_most, sized, tell

from aframe.bank.matching import CompressedMatcher, Matcher, SeriesMatcher
from aframe.bank.placement import matches, place
from aframe.bank.templates import TemplateMaker
from aframe.preprocessing import ZERO_PHASE, Whitening
from aframe.strain.noise_curves import load_asd
from aframe.strain.simulate import simulate
from aframe.types import Array
from aframe.waveforms.polarizations import WaveformGenerator
from aframe.whitening import power_spectral_density, whitening_filter

RATE, HIGHPASS, LENGTH, AFTER = 1024.0, 32.0, 64.0, 0.25
MASSES, LARGEST_SPIN = (1.0, 2.0), 0.05
SMALL, MEASURED, MOST, MINIMUM_MATCHES = sized((60, 500, 50_000, (0.95, 0.97)), (20, 100, 400, (0.95,)))
"""Templates of the small bank, signals that measure a bank, largest number of templates, and minimum matches."""

SECONDS, MEAN, FASTER = at_most(1800.0), at_least(0.97, of_full_amount=True), at_least(20.0)


def maker() -> TemplateMaker:
    """Maker of templates in noise of O4's curve."""
    strain = torch.from_numpy(simulate(load_asd("aLIGO_O4_high_asd.txt"), "H1", 1e9, 1e9 + 128, RATE, seed=1))
    whitening = Whitening(RATE, 64.0, 1.0, 1.0, 64.0, HIGHPASS, None, ZERO_PHASE)
    taps = whitening_filter(power_spectral_density(strain, RATE, 1.0), whitening)
    generator = WaveformGenerator("IMRPhenomD", RATE, LENGTH, 1.0, 28.0, 50.0)
    return TemplateMaker(generator, taps, LENGTH, AFTER, whitening.after_size)


def neutron_stars(number: int, batch: int) -> dict[str, Array]:
    """Binaries with uniform masses and small spins along the orbit's axis."""
    rng = np.random.default_rng([1, batch])
    first, second = np.sort(rng.uniform(*MASSES, (2, number)), axis=0)[::-1]
    spins = rng.uniform(-LARGEST_SPIN, LARGEST_SPIN, (2, number))
    columns = {name: np.zeros(number) for name in ("theta_jn", "phase", "phi_12", "phi_jl")}
    columns |= {f"a_{i}": np.abs(spin) for i, spin in enumerate(spins, 1)}
    columns |= {f"tilt_{i}": np.where(spin < 0, np.pi, 0.0) for i, spin in enumerate(spins, 1)}
    columns |= {"mass_1": first, "mass_2": second, "luminosity_distance": np.full(number, 100.0)}
    return columns | {"chirp_mass": (first * second) ** 0.6 / (first + second) ** 0.2}


def small(matcher: Matcher) -> float:
    """Processor time of a small bank, s."""
    start = time.process_time()
    place(matcher, neutron_stars, SMALL, 0.97, workers=1)
    return time.process_time() - start


def main() -> None:
    """Print the number of templates, their time and their matches, and how much faster the comparison is."""
    torch.set_num_threads(1)
    for minimum_match in MINIMUM_MATCHES:
        matcher, start = CompressedMatcher(maker(), 1), time.process_time()
        placed, bank = place(matcher, neutron_stars, MOST, minimum_match, workers=1)
        seconds = time.process_time() - start
        others = neutron_stars(MEASURED, 10**6)
        match = matches(bank, others, matcher.signals(others), 1)
        ended = "complete" if placed.is_complete else f"{placed.joining_share:.0%} of the last draws joined"
        name = f"placement_bns_{minimum_match:g}"
        tell(f"{name}_templates", placed.size, "templates", note=f"of {placed.drawn} draws; {ended}")
        tell(f"{name}_time", seconds, "s of one core", SECONDS)
        tell(f"{name}_mean_match", float(match.mean()), "", MEAN, note=f"{MEASURED} other draws")
        tell(f"{name}_match_of_the_worst_percent", float(np.quantile(match, 0.01)), "")
    each = maker()
    quick, slow = small(CompressedMatcher(each, 1)), small(SeriesMatcher(each, 1))
    tell("placement_speed_up", slow / quick, "", FASTER, note=f"{SMALL} templates of {LENGTH:g} s: {slow:.1f} s before")


if __name__ == "__main__":
    main()
