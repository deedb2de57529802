"""Best templates of a run's candidates and recovered injections, for the classes of sources."""

import numpy as np

from aframe import storage
from aframe.bank.template_bank import TemplateBank
from aframe.candidates.classes import TEMPLATE_COLUMNS, template_masses
from aframe.candidates.injection_templates import TemplateFinder, injections_to_measure, with_template_chirp_mass
from aframe.candidates.p_astro import FLOOR_FAR_PER_YEAR
from aframe.candidates.table import CandidateTable
from aframe.candidates.templates import Templates
from aframe.events.significance import Background
from aframe.inference.run import InjectionIndex
from aframe.runs.artifacts import Artifacts
from aframe.seeding import generator
from aframe.steps.scoring import trained_model
from aframe.tables import EventTable, RecoveredTable, Table
from aframe.train.architectures import MatchedFilterNetwork

FILE = "injection_templates.hdf5"
"""File among the results with the best templates of some recovered injections."""


def measure_templates(run: Artifacts, recovered: RecoveredTable, background: Background) -> None:
    """Write the best templates of a few hundred recovered injections.

    Nothing is written if the network has no templates, or its bank, the strain or the injections no longer exist.

    Args:
        run: The run.
        recovered: The run's accepted injections and the events that recovered them.
        background: The run's events of time slides.
    """
    finder = _finder(run)
    if finder is None or not len(background.statistics) or not storage.exists(run.injections):
        return
    number = round(FLOOR_FAR_PER_YEAR * background.livetime_years)
    threshold = float(background.statistics[-min(max(number, 1), len(background.statistics))])
    chosen = injections_to_measure(recovered, threshold, generator(run.config.search.seed, "injection templates"))
    measured = finder.measure(InjectionIndex(run.injections), chosen)
    if len(measured):
        measured.write(run.result(FILE), run.answer_parameters)


def with_measured_templates(run: Artifacts, recovered: RecoveredTable) -> RecoveredTable:
    """Injections with the chirp masses of their best templates, as far as ``measure_templates`` wrote them.

    Args:
        run: The run.
        recovered: The run's accepted injections.
    """
    path = run.result(FILE)
    return with_template_chirp_mass(recovered, Table.read(path)) if storage.exists(path) else recovered


def with_event_templates(run: Artifacts, zero_lag: EventTable, number: int) -> EventTable:
    """Events with the masses of their best templates, as far as these are known.

    Args:
        run: The run.
        zero_lag: Events of unshifted data.
        number: Number of the loudest events to look at.
    """
    finder = _finder(run)
    return zero_lag if finder is None else finder.with_templates(zero_lag, number)


def with_candidates_templates(run: Artifacts, zero_lag: EventTable) -> EventTable:
    """Events with the templates that the run's candidates have.

    Args:
        run: The run.
        zero_lag: Events of unshifted data.
    """
    path = run.result("candidates.hdf5")
    if not storage.exists(path):
        return zero_lag
    table = CandidateTable.read(path)
    known = dict(zip(table["detection_time"].tolist(), template_masses(table), strict=True))
    masses = np.array([known.get(time, (np.nan, np.nan)) for time in zero_lag["detection_time"].tolist()])
    columns = dict(zip(TEMPLATE_COLUMNS, masses.reshape(-1, 2).T, strict=True))
    return EventTable(zero_lag.parameters | columns, attributes=zero_lag.attributes)


def _finder(run: Artifacts) -> TemplateFinder | None:
    """Finder of the best templates; None if the network has none, or the model or its bank no longer exists."""
    if not all(storage.exists(path) for path in (run.model, run.bank)):
        return None
    model = trained_model(run)
    if not isinstance(model.network, MatchedFilterNetwork):
        return None
    templates = Templates.of(TemplateBank.read(run.bank), model.network)
    return TemplateFinder(model, templates, run.background_files("test"))
