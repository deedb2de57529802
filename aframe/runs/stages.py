"""Table of the stages of a run. Tasks, checks of outputs, status and costs use it."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from aframe import storage
from aframe.constants import AUTO
from aframe.errors import ParameterMismatchError
from aframe.runs.artifacts import SCORING_PRECISION, TRAINER_PRECISION, Artifacts, training_parameters
from aframe.runs.paths import Stage

EVENT_KINDS = ("background", "foreground", "0lag")
"""Kinds of tables of events."""


def _always(run: Artifacts) -> bool:
    del run
    return True


@dataclass(frozen=True, kw_only=True)
class RunStage:
    """A stage of a run: its task in law and its description.

    Attributes:
        task: Title of its law task, without the branch.
        part: Part of the pipeline.
        name: Name in messages.
        made_with: Parameters of its outputs.
        outputs: Its outputs, by name. None for a stage whose number of units depends on the data.
        units: Name of its units of work. Empty for a single unit.
        unit_files: Existing outputs of all units.
        merged_by: Task whose outputs replace those of the units. Empty if the units' outputs remain.
        is_lasting: Whether a finished run needs its outputs.
        is_needed: Whether a run has this stage.
    """

    task: str
    part: str
    name: str
    made_with: Callable[[Artifacts], storage.Parameters]
    outputs: Callable[[Artifacts], Mapping[str, str]] | None = None
    units: str = ""
    unit_files: Callable[[Artifacts], list[str]] | None = None
    merged_by: str = ""
    is_lasting: bool = False
    is_needed: Callable[[Artifacts], bool] = _always

    def files(self, run: Artifacts) -> list[str]:
        """Paths of the outputs that can exist."""
        single = [] if self.outputs is None else list(self.outputs(run).values())
        return single + ([] if self.unit_files is None else self.unit_files(run))


def _glitches(run: Artifacts, stage: Stage) -> dict[str, str]:
    return {} if run.config.data.glitches is None else {"glitches": run.glitches(stage)}


def _strain(stage: Stage) -> tuple[RunStage, RunStage]:
    def made_with(run: Artifacts) -> storage.Parameters:
        return run.strain_parameters(stage)

    return (
        RunStage(
            task=f"FindSegments {stage}", part="data", name=f"{stage}ing segments", made_with=made_with,
            outputs=lambda run: {"segments": run.segments(stage)} | _glitches(run, stage),
        ),
        RunStage(
            task=f"FetchStrain {stage}", part="data", name=f"{stage}ing strain", made_with=made_with,
            units="segments", unit_files=lambda run: run.background_files(stage),
        ),
    )  # fmt: skip


def _checkpoints(run: Artifacts) -> list[str]:
    return [run.checkpoints] if storage.exists(storage.join(run.checkpoints, "last.ckpt")) else []


def _in(directory: str, *names: str) -> list[str]:
    return storage.glob(directory, *names)


STAGES = (
    *_strain("train"),
    *_strain("test"),
    RunStage(
        task="GenerateTrainingWaveforms", part="waveforms", name="training waveforms",
        made_with=lambda run: run.training_waveform_parameters,
        outputs=lambda run: {"waveforms": run.training_waveforms},
        is_needed=lambda run: run.stores_training_waveforms,
    ),
    RunStage(
        task="GenerateValidationWaveforms", part="waveforms", name="validation waveforms",
        made_with=lambda run: run.validation_waveform_parameters,
        outputs=lambda run: {"waveforms": run.validation_waveforms},
    ),
    RunStage(
        task="TemplateBank", part="waveforms", name="bank of templates", made_with=lambda run: run.bank_parameters,
        outputs=lambda run: {"bank": run.bank}, is_needed=lambda run: run.needs_bank,
    ),
    RunStage(
        task="GenerateInjections", part="waveforms", name="testing injections",
        made_with=lambda run: run.injection_parameters,
        units="parts", unit_files=lambda run: _in(run.directories.test_data, "injections", "*-*.hdf5"),
        merged_by="MergeInjections",
    ),
    RunStage(
        task="MergeInjections", part="waveforms", name="injections, merged",
        made_with=lambda run: run.injection_parameters,
        outputs=lambda run: {"injections": run.injections, "rejected": run.rejected},
    ),
    RunStage(
        task="Train", part="train", name="trained model", made_with=lambda run: run.model_parameters,
        outputs=lambda run: {"model": run.model}, unit_files=_checkpoints, is_lasting=True,
        is_needed=lambda run: run.study_yaml is None,
    ),
    RunStage(
        task="Tune", part="train", name="best model of a study", made_with=lambda run: run.model_parameters,
        outputs=lambda run: {"model": run.model}, is_lasting=True, is_needed=lambda run: run.study_yaml is not None,
    ),
    RunStage(
        task="Export", part="export", name="exported model", made_with=lambda run: run.repository_parameters,
        outputs=lambda run: {"configuration": run.served_model}, is_lasting=True,
        is_needed=lambda run: run.config.export.served,
    ),
    RunStage(
        task="ScoreSlides", part="inference", name="scored slides", made_with=lambda run: run.unit_parameters,
        units="units", unit_files=lambda run: _in(run.directories.results, "units", "*.hdf5"),
    ),
    RunStage(
        task="MergeEvents", part="inference", name="events, merged", made_with=lambda run: run.event_parameters,
        outputs=lambda run: {kind: run.events(kind) for kind in EVENT_KINDS}, is_lasting=True,
    ),
    RunStage(
        task="VetoEvents", part="inference", name="events outside vetoed time",
        made_with=lambda run: run.clean_event_parameters,
        outputs=lambda run: {kind: run.clean(kind) for kind in (*EVENT_KINDS, "live", "vetoed")},
        unit_files=lambda run: _in(run.directories.results, "clean", "*.hdf5"), is_lasting=True,
        is_needed=lambda run: run.config.vetoes.given,
    ),
    RunStage(
        task="SensitiveVolume", part="sensitivity", name="sensitive volume and candidates",
        made_with=lambda run: run.answer_parameters, is_lasting=True,
        outputs=lambda run: {
            "table": run.plot("sensitive_volume.h5"), "figures": run.plot("sensitive_volume.html"),
            "candidates": run.result("candidates.hdf5"), "closeups": run.result("closeups.hdf5"),
            **({"pipelines": run.plot("release_volume.h5")} if run.config.sensitivity.release else {}),
        },
    ),
    RunStage(
        task="Report", part="report", name="report", made_with=lambda run: run.answer_parameters,
        outputs=lambda run: {"report": run.result("report.html")}, is_lasting=True,
    ),
)  # fmt: skip
"""All stages, in the order of the data flow."""

BY_TASK: Mapping[str, RunStage] = {stage.task: stage for stage in STAGES}


def stages_of(run: Artifacts) -> list[RunStage]:
    """Stages of a run, in the order of the data flow."""
    return [stage for stage in STAGES if stage.is_needed(run)]


def lasting_outputs(run: Artifacts) -> list[str]:
    """Files of a finished run. Strain, waveforms and scored slides can be deleted after these exist."""
    return [
        path
        for stage in STAGES
        if stage.is_lasting and stage.is_needed(run) and stage.outputs is not None
        for path in stage.outputs(run).values()
    ]


def is_finished(run: Artifacts) -> bool:
    """Whether all files of a finished run exist."""
    return all(map(storage.exists, reversed(lasting_outputs(run))))


def check_outputs(run: Artifacts, stages: Sequence[RunStage] = STAGES) -> None:
    """Refuse outputs whose parameters differ from the present configuration.

    Args:
        run: The run.
        stages: Stages whose outputs are checked.

    Raises:
        ParameterMismatchError: With the first parameter that differs, both values, and all files to delete.
    """
    directories = run.directories
    of_one_kind = [
        *(storage.join(directories.results, name) for name in ("units", "clean")),
        *(storage.join(directory, "background") for directory in (directories.train_data, directories.test_data)),
        storage.join(directories.test_data, "injections"),
    ]
    listed = [(stage, stage.files(run)) for stage in stages]  # lists first: stores explain a refused list best
    refusal, stale = None, []
    for stage, paths in listed:
        files = [path for path in dict.fromkeys(paths) if storage.exists(path)]
        parameters = stage.made_with(run) if files else {}
        for path in files:
            try:
                storage.check_parameters(path, parameters)
            except ParameterMismatchError as error:
                refusal = refusal or error
                directory = path.rpartition("/")[0]
                stale.append(directory if directory in of_one_kind else path)
    if refusal is not None:
        command = "these are" if any(map(storage.is_remote, stale)) else "rm -r"
        mend = f"{shlex.join(dict.fromkeys(stale))}{_source_of_auto(run, refusal.parameter)}"
        raise ParameterMismatchError(f"{refusal} ({command} {mend})")


def _source_of_auto(run: Artifacts, parameter: str) -> str:
    """Remark on the record of a precision, if the configuration has ``precision = auto``. Empty otherwise."""
    configured = {SCORING_PRECISION: run.config.inference.precision} | training_parameters(run.training_yaml)
    record = run.precision_record("scoring" if parameter == SCORING_PRECISION else "training")
    is_auto = parameter in (SCORING_PRECISION, TRAINER_PRECISION) and configured.get(parameter, AUTO) == AUTO
    return f"; {record} sets the value of {AUTO}: delete or mend it" if is_auto and storage.exists(record) else ""
