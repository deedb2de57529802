"""The populations for which a run's draws are weighed."""

import functools
from collections.abc import Sequence

from aframe.runs.artifacts import Artifacts
from aframe.sensitivity.populations import population_targets
from aframe.sensitivity.volume import check_names
from aframe.sensitivity.weighing import Draws, WeighedDraws, read_rejected, weigh
from aframe.sensitivity.weights import Target, mass_targets
from aframe.steps.vetoes import clean_rejected_draws
from aframe.tables import RecoveredTable
from aframe.waveforms.loading import load_population
from aframe.waveforms.priors import Population


def target_populations(run: Artifacts) -> tuple[Population, list[Target]]:
    """The population that injections are drawn from, and those for which volumes are wanted."""
    wanted = run.config.sensitivity
    return populations(run, wanted.mass_combos, wanted.populations)


def populations(
    run: Artifacts, mass_pairs: Sequence[tuple[float, float]], named: Sequence[str]
) -> tuple[Population, list[Target]]:
    """The population that a run's injections are drawn from, and targets that it may be weighed for.

    Args:
        run: The run.
        mass_pairs: Source-frame masses, M☉, about which there are log-normal populations.
        named: Populations by the words that a configuration has for them.
    """
    load = functools.partial(load_population, resolve=run.config.resolve)
    source = load(run.config.waveforms.prior)
    pairs = mass_targets(mass_pairs, run.config.sensitivity.mass_width, source.redshift_range)
    for pair in pairs:
        pair.check_reached(source)
    others = population_targets({path: load(path) for path in named}, source)
    check_names([*pairs, *others])
    return source, [*pairs, *others]


def weigh_draws(
    run: Artifacts, recovered: RecoveredTable, source: Population, targets: Sequence[Target]
) -> WeighedDraws:
    """A run's injections and rejected draws outside vetoed time, weighed for each target.

    Args:
        run: The run.
        recovered: Its injections, and what recovered them.
        source: The population that they are drawn from.
        targets: The populations.
    """
    rejected = clean_rejected_draws(run, read_rejected(run.rejected, targets), recovered)
    return weigh(Draws(recovered, rejected, source), targets)
