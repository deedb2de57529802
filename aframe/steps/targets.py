"""Weigh a run's draws for target populations."""

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
    """Population of the injections, and the targets of the sensitive volumes."""
    sensitivity = run.config.sensitivity
    return populations(run, sensitivity.mass_combos, sensitivity.populations)


def populations(
    run: Artifacts, mass_pairs: Sequence[tuple[float, float]], named: Sequence[str]
) -> tuple[Population, list[Target]]:
    """Population of a run's injections, and targets for which they are weighed.

    Args:
        run: The run.
        mass_pairs: Source-frame masses, M☉, each the centre of a log-normal population.
        named: Populations by their names in a configuration.
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
    """Weigh a run's injections and rejected draws outside vetoed time for each target.

    Args:
        run: The run.
        recovered: The run's injections, and the events that recovered them.
        source: Population of the injections.
        targets: Target populations.
    """
    rejected = clean_rejected_draws(run, read_rejected(run.rejected, targets), recovered)
    return weigh(Draws(recovered, rejected, source), targets)
