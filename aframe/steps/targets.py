"""Weigh a run's draws for target populations."""

import functools
from collections.abc import Sequence

from aframe.errors import ConfigurationError
from aframe.runs.artifacts import Artifacts
from aframe.sensitivity.populations import population_targets
from aframe.sensitivity.volume import check_names
from aframe.sensitivity.weighing import Draws, WeighedDraws, read_rejected, weigh
from aframe.sensitivity.weights import Target, mass_targets
from aframe.steps.exposure import with_live_time
from aframe.steps.vetoes import clean_rejected_draws
from aframe.tables import RecoveredTable
from aframe.waveforms.loading import load_population
from aframe.waveforms.mixtures import AnyPopulation


def target_populations(run: Artifacts) -> tuple[AnyPopulation, list[Target]]:
    """Population of the injections, and the targets of the sensitive volumes.

    Raises:
        ConfigurationError: If a population has a fixed mass or redshift, or cannot be loaded.
    """
    sensitivity, masses = run.config.sensitivity, run.config.candidates.astrophysical_prior
    if masses is not None:
        _check_range(f"astrophysical_prior = {masses}", load_population(masses, run.config.resolve))
    return populations(run, sensitivity.mass_combos, sensitivity.populations)


def populations(
    run: Artifacts, mass_pairs: Sequence[tuple[float, float]], named: Sequence[str]
) -> tuple[AnyPopulation, list[Target]]:
    """Population of a run's injections, and targets for which they are weighed.

    Args:
        run: The run.
        mass_pairs: Source-frame masses, M☉, each the centre of a log-normal population.
        named: Populations by their names in a configuration.
    """
    load = functools.partial(load_population, resolve=run.config.resolve)
    source = load(run.config.waveforms.prior)
    _check_range(f"prior = {run.config.waveforms.prior}", source)
    width = run.config.sensitivity.mass_width
    pairs = [pair.within(source) for pair in mass_targets(mass_pairs, width, source.redshift_range)]
    for pair in pairs:
        pair.check_reached(source)
    given = {path: load(path) for path in named}
    for path, population in given.items():
        _check_range(f"populations = {path}", population)
    others = population_targets(given, source)
    check_names([*pairs, *others])
    return source, [*pairs, *others]


def _check_range(what: str, population: AnyPopulation) -> None:
    """Refuse a population without a density of masses and redshift.

    Args:
        what: The key and its value, for error messages.
        population: The population.
    """
    if population.fixed_names:
        raise ConfigurationError(
            f"{what}: its {', '.join(population.fixed_names)} has a single value, and a volume needs a density: give "
            "it a narrow range"
        )


def weigh_draws(
    run: Artifacts, recovered: RecoveredTable, source: AnyPopulation, targets: Sequence[Target]
) -> WeighedDraws:
    """Weigh a run's injections and rejected draws outside vetoed time for each target.

    Args:
        run: The run.
        recovered: The run's injections (``recovered_injections``).
        source: Population of the injections.
        targets: Target populations.
    """
    rejected = with_live_time(run, read_rejected(run.rejected, targets), recovered)
    rejected = clean_rejected_draws(run, rejected, recovered)
    return weigh(Draws(recovered, rejected, source), targets)
