"""Measure what an ideal matched-filter search sees in a run's noise and injections."""

from aframe import storage
from aframe.bank.template_bank import TemplateBank
from aframe.errors import DataError
from aframe.events.significance import Background
from aframe.inference.plain_bank import plain_bank
from aframe.progress.lines import Progress
from aframe.report.inputs import rates_to_show
from aframe.runs.artifacts import Artifacts
from aframe.runs.plain_bank import PlainBankSearch
from aframe.runs.stages import EVENT_KINDS, STAGES, check_outputs
from aframe.sensitivity.limit import LimitTable, Searched, compare, rates_to_compare, write_limit
from aframe.sensitivity.volume import default_far_grid, volume_against_far, write_volumes
from aframe.settings.together import farthest
from aframe.steps import planning
from aframe.steps.bank import make_bank
from aframe.steps.exposure import recovered_injections
from aframe.steps.scoring import merge_events, score_unit
from aframe.steps.targets import target_populations, weigh_draws
from aframe.steps.vetoes import veto_events
from aframe.tables import EventTable
from aframe.train import model


def measure_limit(run: Artifacts, device: str) -> LimitTable:
    """Search a run's slides and injections with the plain bank, and compare it with the run's network.

    Units of work that are done are not scored again. Without events of the network, the table has the bank alone.

    Args:
        run: The run.
        device: Device of this process: cpu or cuda.

    Returns:
        The comparison, which is also written among the results.

    Raises:
        DataError: If the run has no testing strain or no injections yet.
        ParameterMismatchError: If earlier results of the plain bank were made with other parameters.
    """
    search = PlainBankSearch.of(run)
    check_outputs(search, [stage for stage in STAGES if stage.part in ("train", "inference")])
    planning.background_files(run, "test")
    for path in (run.injections, run.rejected):
        if not storage.exists(path):
            raise DataError(f"{path} does not exist: make the run's injections first, with `aframe run`")
    if not storage.exists(run.bank):
        make_bank(run, Progress("bank, templates"))
    if not _is_done(search):
        _search(search, device)
    return _compare(run, search)


def _is_done(run: Artifacts) -> bool:
    """Whether all events of a search exist."""
    return all(storage.exists(run.clean(kind)) for kind in EVENT_KINDS)


def _search(search: PlainBankSearch, device: str) -> None:
    """Score all units that are not done, merge the events, and remove vetoed time."""
    if not storage.exists(search.model):
        travel, *_ = farthest(search.config.search.ifos)
        plain = plain_bank(TemplateBank.read(search.bank), planning.time_slides(search).preprocessing, travel)
        model.save(plain, search.model, search.model_parameters, in_half_precision=True)  # as the bank's file
    units, ledger = planning.plan_units(search), planning.ledger(search)
    for number, unit in enumerate(units):
        if not ledger.was_done(number):
            progress = ledger.job(number, f"plain bank, unit {number + 1}/{len(units)}")
            score_unit(search, unit, device, progress=progress)
    merge_events(search)
    if search.config.vetoes.given:
        veto_events(search)


def _compare(run: Artifacts, search: PlainBankSearch) -> LimitTable:
    """Write the volumes of the plain bank, and its comparison with the run's network."""
    bank, network = searched(search), searched(run) if _is_done(run) else None
    backgrounds = [each.background for each in (bank, network) if each is not None]
    lowest = max(background.lowest_far_per_year for background in backgrounds)
    highest = min(background.lowest_far_per_year * len(background.statistics) for background in backgrounds)
    rates = rates_to_compare(lowest, rates_to_show(lowest, highest))
    table = compare(bank, network, rates, len(TemplateBank.read(run.bank).templates))
    curves = volume_against_far(bank.draws, bank.background, default_far_grid(bank.background), bank.livetime)
    write_volumes(search.plot("sensitive_volume.h5"), curves, {}, search.answer_parameters)
    write_limit(table, search.directories.results, run.answer_parameters)
    return table


def searched(run: Artifacts) -> Searched:
    """Events of a search, and the weights of its draws.

    Args:
        run: A run whose slides and injections are scored.
    """
    source, targets = target_populations(run)
    injections = recovered_injections(run)
    livetime = EventTable.read(run.clean("0lag"), [], slice(0)).livetime
    draws = weigh_draws(run, injections, source, targets)
    return Searched(Background.read(run.clean("background")), injections, draws, livetime)
