"""Polarizations per second: IMRPhenomPv2, 8 s at 2048 Hz from 20 Hz, binaries of the default population, two cores.

The speed is compared with that of two processes that only call LAL's frequency-domain function in a loop.
"""

import multiprocessing

import lal
import lalsimulation
import numpy as np
from _clocks import middle, wall_seconds
from _rows import at_least, sized, tell
from bilby.gw.conversion import bilby_to_lalsimulation_spins

from aframe.waveforms.polarizations import SPIN_COLUMNS, WaveformGenerator
from aframe.waveforms.priors import draw, rates_and_populations_bbh

NUMBER, REPEATS = sized((1024, 7), (512, 3))
PROCESSES = 2
TARGET, RATIO_TARGET = at_least(1500.0), at_least(0.75)


def lal_arguments(generator: WaveformGenerator, columns: dict[str, np.ndarray]) -> list[tuple[object, ...]]:
    """Arguments of LAL's function for each binary, on the frequency grid of the whole waveform."""
    reference, rows = generator.reference_frequency, []
    for i in range(len(columns["mass_1"])):
        row = {name: float(column[i]) for name, column in columns.items()}
        masses = row["mass_1"] * lal.MSUN_SI, row["mass_2"] * lal.MSUN_SI
        angles = (row[name] for name in SPIN_COLUMNS)
        inclination, *spins = bilby_to_lalsimulation_spins(*angles, *masses, reference, row["phase"])
        distance = row["luminosity_distance"] * 1e6 * lal.PC_SI
        rows.append((*masses, *spins, distance, inclination, row["phase"], 0.0, 0.0, 0.0, 1 / generator.duration,
                     generator.minimum_frequency, generator.sample_rate / 2, reference, None,
                     lalsimulation.IMRPhenomPv2))  # fmt: skip
    return rows


def loop(arguments: list[tuple[object, ...]], start: multiprocessing.Barrier) -> None:
    start.wait()
    for row in arguments:
        lalsimulation.SimInspiralChooseFDWaveform(*row)
    start.wait()


def bare_seconds(arguments: list[tuple[object, ...]]) -> float:
    """Elapsed time of the loops, s. Their processes start before the measurement."""
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(PROCESSES + 1)
    parts = [arguments[i::PROCESSES] for i in range(PROCESSES)]
    processes = [context.Process(target=loop, args=(part, barrier)) for part in parts]
    for process in processes:
        process.start()
    barrier.wait()
    seconds = wall_seconds(barrier.wait)
    for process in processes:
        process.join()
    return seconds


def own_seconds(generator: WaveformGenerator, columns: dict[str, np.ndarray]) -> float:
    return wall_seconds(lambda: generator.generate(columns, PROCESSES))


def main() -> None:
    generator = WaveformGenerator("IMRPhenomPv2", 2048.0, 8.0, 1.0, 20.0, 50.0)
    columns = draw(rates_and_populations_bbh(), NUMBER, np.random.default_rng(1))
    arguments = lal_arguments(generator, columns)
    own_seconds(generator, {name: column[:64] for name, column in columns.items()})
    seconds = np.array([(own_seconds(generator, columns), bare_seconds(arguments)) for _ in range(REPEATS)])
    own, bare = NUMBER / np.median(seconds, axis=0)
    print(f"own {own:.0f}/s, bare LAL loops {bare:.0f}/s: the medians of {REPEATS} interleaved repeats")
    speed, error = middle(NUMBER / seconds[:, 0])
    tell(f"IMRPhenomPv2 polarizations, 8 s, 2048 Hz, {PROCESSES} cores", speed, "1/s", TARGET, error)
    ratio, error = middle(seconds[:, 1] / seconds[:, 0])
    tell(f"the same, over {PROCESSES} bare LAL loops", ratio, "ratio", RATIO_TARGET, error)


if __name__ == "__main__":
    main()
