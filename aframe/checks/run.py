"""Check a run before any work begins, and report all mistakes at once."""

import importlib.util
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from aframe import storage
from aframe.batch import container
from aframe.checks.looks import batch_answer, missing_commands
from aframe.checks.noise import check_glitches, check_noise_band, check_noise_curves
from aframe.checks.signals import check_signal_lengths
from aframe.checks.training_time import check_training_time
from aframe.errors import AframeError, BatchError, ConfigurationError, DataError, MistakesError, StorageError
from aframe.machine.gpus import check_gpus, number_of_gpus
from aframe.runs.artifacts import Artifacts
from aframe.runs.directories import Directories
from aframe.runs.paths import Stage
from aframe.runs.stages import check_outputs, is_finished
from aframe.settings.cfg_file import CfgFile
from aframe.settings.jobs import BATCH_TASKS, COMMANDS, QUESTIONS
from aframe.settings.keys import Mistake, UnknownValueError
from aframe.settings.read import read_config
from aframe.steps.catalogue import own_catalogue
from aframe.steps.engines import check_engine
from aframe.steps.planning import slides_over
from aframe.steps.release import check_release
from aframe.steps.strain import strain_source
from aframe.steps.targets import target_populations
from aframe.steps.veto_sources import asks_the_network, check_left, check_of_data, load_vetoes, notes
from aframe.steps.waveforms import signal_source
from aframe.strain.channels import parse_channels
from aframe.strain.copies import check_detectors_differ
from aframe.strain.recordings import check_recordings, in_directory
from aframe.strain.segments import Segment, analysable, read_segments
from aframe.waveforms.loading import load_population
from aframe.waveforms.projection import detector_geometry

LEAST_FREE_BYTES_BEFORE_RUN = 100e6
"""Smallest free space of a disk, bytes. Less does not suffice for the first file."""


def checked_run(
    path: str, environment: Mapping[str, str] = os.environ, gpus: str = "", misread: Sequence[str] = ()
) -> Artifacts:
    """Create the run of a configuration and an environment, after all checks.

    Args:
        path: The ``.cfg``.
        environment: Variables of the environment.
        gpus: GPUs of the run, as in CUDA_VISIBLE_DEVICES.
        misread: Mistakes in the file that sets these variables. They replace the mistakes about unset variables.

    Raises:
        MistakesError: All mistakes in the ``.cfg``, the training's YAML, the environment and the files that these name.
    """
    directories, unset = Directories.read(environment)
    try:
        config, wrong = read_config(path)
    except MistakesError as error:
        raise MistakesError([*error.mistakes, *(misread or unset)]) from None
    run, file = Artifacts(config, directories), CfgFile.read(path)
    texts = [*(mistake.text for mistake in wrong), *(misread or unset)]
    refusals = mistakes_of(run, wrong, are_directories_set=not unset, gpus=gpus)
    for refusal in refusals:
        texts += refusal.mistakes if isinstance(refusal, MistakesError) else [file.located_text(str(refusal))]
    if texts:
        raise MistakesError(texts) from next(iter(refusals), None)
    return run


def mistakes_of(
    run: Artifacts, wrong: Sequence[Mistake] = (), are_directories_set: bool = True, gpus: str = ""
) -> list[AframeError]:
    """Find all mistakes in what a configuration names.

    Args:
        run: The run.
        wrong: Mistakes in the configuration itself. Checks that need one of these keys are left out.
        are_directories_set: Whether all directories of the run are set.
        gpus: GPUs of the run, as in CUDA_VISIBLE_DEVICES.

    Returns:
        The errors, without repetition.
    """
    names = {name for mistake in wrong for name in (mistake.section, f"{mistake.section}.{mistake.key}")}
    whole = {mistake.section for mistake in wrong if not mistake.key}
    errors = _refused(lambda: check_gpus(gpus, number_of_gpus()))
    are_usable, is_reachable = are_directories_set, True
    if are_directories_set:
        unusable = _refused(lambda: check_directories(run.directories))
        others = [] if names else _refused(lambda: check_outputs(run))
        # a ConfigurationError is about the training's YAML: check_training reports it
        others = [error for error in others if not isinstance(error, ConfigurationError)]
        if not (names or unusable or others) and is_finished(run):
            return errors
        errors += unusable + others
        is_remote = any(storage.is_remote(value) for value in asdict(run.directories).values())
        is_reachable = not (is_remote and any(isinstance(error, StorageError) for error in others))
        are_usable = is_reachable and not unusable
    for check in CHECKS:
        is_settled = is_reachable and check.is_settled(run)
        has_values = names.isdisjoint(check.takes) and whole.isdisjoint(take.partition(".")[0] for take in check.takes)
        if has_values and (are_usable or not check.needs_directories) and not is_settled:
            errors += _refused(lambda check=check: check.look(run))  # type: ignore[misc]
    return list({str(error): error for error in errors}.values())


def _refused(check: Callable[[], object]) -> list[AframeError]:
    try:
        check()
    except AframeError as error:
        return [error]
    return []


def check_directories(directories: Directories) -> None:
    """Refuse local directories that cannot be created or written.

    Raises:
        MistakesError: One message for each of them.
    """
    wrong = []
    for field in fields(directories):
        name, value = f"AFRAME_{field.name.upper()}_DIR", getattr(directories, field.name)
        reason = "" if storage.is_remote(value) else _unwritable(value)
        if reason:
            wrong.append(f"{name} = {value} cannot be written ({reason}): mend that, or choose another directory")
    if wrong:
        raise MistakesError(wrong)


def _unwritable(directory: str) -> str:
    """Why a local directory cannot be created or written. Empty if it can."""
    return storage.why_not_written(Path(directory).absolute(), LEAST_FREE_BYTES_BEFORE_RUN)


def check_batch_systems(run: Artifacts) -> None:
    """Refuse a batch system that does not take jobs from this machine.

    Raises:
        ConfigurationError: If its commands are not on PATH.
        BatchError: If it answers with an error. The message quotes the error.
    """
    workflows = {run.config.batch_for(task).workflow: task for task in reversed(BATCH_TASKS)}
    for workflow, task in workflows.items():
        if workflow not in COMMANDS:
            continue
        missing = missing_commands(workflow)
        if missing:
            raise ConfigurationError(
                f"workflow = {workflow} of {task}: {missing[0]} is not on PATH: run on a machine that submits to "
                f"{workflow}, or set workflow = local"
            )
        answer = batch_answer(workflow)
        if not (answer.is_fine or answer.is_late):  # a slow batch system can be busy
            raise BatchError(
                f"workflow = {workflow} of {task}: {QUESTIONS[workflow][0]} fails ({' '.join(answer.text.split())}): "
                f"wait until {workflow} is mended, or set workflow = local"
            )


def check_submit_directory(run: Artifacts) -> None:
    """Refuse a directory of submit files that is not on this machine.

    Raises:
        ConfigurationError: If it is remote. The message names the variable.
    """
    is_remote = any(run.config.batch_for(task).is_remote for task in BATCH_TASKS)
    if is_remote and storage.is_remote(run.directories.condor):
        raise ConfigurationError(
            f"AFRAME_CONDOR_DIR = {run.directories.condor}: submit files and logs need a directory of this machine"
        )


def check_containers(run: Artifacts) -> None:
    """Refuse an image that this machine cannot run. HTCondor's machines start images themselves.

    Raises:
        ConfigurationError: If Apptainer is not on PATH, the image does not exist, or a path cannot be bound in it.
    """
    for task in BATCH_TASKS:
        settings = run.config.batch_for(task)
        if settings.image is not None and not settings.starts_in_image:
            container.program(settings.image)
            container.check_image(run.config.resolve(settings.image))
            container.bound(run.local_paths, {})


def check_kubernetes(run: Artifacts) -> None:
    """Refuse a training that cannot begin on Kubernetes.

    Raises:
        MistakesError: If a directory that its pod needs is on this machine.
        ConfigurationError: If its files cannot be sent, or the cluster is not configured.
        BatchError: If the cluster does not answer, or refuses.
    """
    if run.config.kubernetes.trains:
        from aframe.kubernetes import lifecycle

        lifecycle.check_remote(run)
        lifecycle.check_devices(run)
        lifecycle.files_of(run)
        lifecycle.check_cluster(run)


def check_population(run: Artifacts) -> None:
    """Refuse a population that cannot be drawn from, or without isotropic right ascension.

    Raises:
        ConfigurationError: The message names the key and the reason.
    """
    population = load_population(run.config.waveforms.prior, run.config.resolve)
    if not population.isotropic_in_right_ascension:
        raise ConfigurationError(
            f"prior = {run.config.waveforms.prior}: its ra must be bilby's Uniform over 0 to 2 pi rad: the Earth turns "
            "between injections"
        )


def check_local_strain(run: Artifacts) -> None:
    """Refuse files of strain without one of the detectors, or with a wrong sample rate.

    Raises:
        DataError: The message names the directory or file.
        StorageError: If a file is damaged.
    """
    data = run.config.data
    if data.source == "local":
        directory, channels = run.config.resolve(data.frames or "."), parse_channels(data.channel or (), "channel")
        recordings = in_directory(directory, channels=channels, tell=_note)
        check_recordings(recordings, run.config.search.ifos, run.config.search.sample_rate, directory)
        ifos = run.config.search.ifos
        check_detectors_differ({ifo: [each for each in recordings if each.ifo == ifo] for ifo in ifos})


def _note(text: str) -> None:
    print(f"note: {text}", file=sys.stderr)


def check_training(run: Artifacts) -> None:
    """Refuse a training YAML with mistakes.

    Raises:
        MistakesError: All of them.
        StorageError: If the file does not exist.
    """
    from aframe.steps.training_yaml import yaml_mistakes

    wrong = yaml_mistakes(run.training_yaml)
    if wrong:
        raise MistakesError(wrong)


def check_training_together(run: Artifacts) -> None:
    """Refuse a correct training YAML whose values contradict each other or the ``.cfg``.

    Raises:
        MistakesError: All contradictions.
        StorageError: If the file does not exist.
    """
    from aframe.steps.training_yaml import yaml_conflicts, yaml_mistakes

    wrong = [] if yaml_mistakes(run.training_yaml) else yaml_conflicts(run.training_yaml, run.config)
    if wrong:
        raise MistakesError(wrong)


def check_plans(run: Artifacts) -> None:
    """Refuse data with too little time, if their times are known in advance, and vetoes that cannot be read.

    Raises:
        DataError: If the analysable time does not suffice for the injections or ``Tb``, or if a list of segments or of
            vetoes is malformed or incomplete.
    """
    data = run.config.data
    if data.segments is not None:
        listed = read_segments(run.config.resolve(data.segments))
        if not listed:
            raise DataError(f"segments = {data.segments} is empty: list the time to analyse, or leave segments out")
        check_of_data(run.config, "segments", data.segments, [(segment.start, segment.stop) for segment in listed])
    segments = [Segment(*run.interval("test"))]
    has_times = data.source != "gwosc" or data.segments is not None
    if has_times:
        stages: tuple[Stage, ...] = ("train", "test")
        for stage in stages:
            segments = analysable(strain_source(run.config), *run.interval(stage))
        if not run.background_files("test"):
            slides_over(run, [(segment.start, segment.duration) for segment in segments])
    needs_times = run.config.vetoes.dq_bits is not None
    if run.config.vetoes.given and not asks_the_network(run.config) and (has_times or not needs_times):
        vetoes = load_vetoes(run.config, segments)
        check_left(vetoes, run.config.search.ifos, segments)
        for text in notes(run.config, vetoes, segments):
            _note(text)


def check_catalogue(run: Artifacts) -> None:
    """Refuse a catalogue of known events that cannot be read, or is not of the time of the data.

    Raises:
        DataError: With the file and its first wrong row.
        StorageError: If the file does not exist.
    """
    catalogue = own_catalogue(run.config)
    if catalogue is not None and not len(catalogue.times):
        _note(f"catalogue = {run.config.candidates.catalogue} is empty: no candidate gets the name of a known event")


def check_study(run: Artifacts) -> None:
    """Refuse a study with mistakes, and one beside a training on Kubernetes. The base has its own checks.

    Raises:
        ConfigurationError: If Optuna is not installed, or training goes to Kubernetes.
        MistakesError: With all mistakes of the study.
        StorageError: If its file does not exist.
    """
    if run.study_yaml is None:
        return
    if run.config.kubernetes.trains:
        raise ConfigurationError(
            "tune in [luigi_Train] trains here or on Ray, but [luigi_kubernetes] trains there: remove one of the two"
        )
    if importlib.util.find_spec("optuna") is None:
        raise ConfigurationError("tune in [luigi_Train] needs Optuna: pip install 'aframe[tune]'")
    from aframe.steps.training_yaml import yaml_conflicts, yaml_mistakes
    from aframe.tuning.plan import read_plan

    if not (yaml_mistakes(run.training_yaml) or yaml_conflicts(run.training_yaml, run.config)):
        read_plan(run.study_yaml, run)


@dataclass(frozen=True)
class Check:
    """A check before a run.

    Attributes:
        look: Raises an error about each mistake.
        takes: Sections and keys that the check needs.
        settled_by: Path of an artifact. If it exists, its inputs passed the check or are no longer needed.
        needs_directories: Whether the check needs the run's directories.
    """

    look: Callable[[Artifacts], object]
    takes: tuple[str, ...]
    settled_by: Callable[[Artifacts], str] | None = None
    needs_directories: bool = False

    def is_settled(self, run: Artifacts) -> bool:
        """Whether the artifact of ``settled_by`` exists. False if its directory is unknown."""
        if self.settled_by is None:
            return False
        try:
            path = self.settled_by(run)
        except UnknownValueError:
            return False
        return storage.exists(path)


SIGNAL_KEYS = ("search.sample_rate", *(f"waveforms.{name}" for name in (
    "prior", "approximant", "waveform_duration", "right_pad", "minimum_frequency", "reference_frequency",
)))  # fmt: skip

BAND_KEYS = tuple(f"search.{name}" for name in ("ifos", "highpass", "lowpass", "sample_rate"))

CHECKS = (
    Check(lambda run: detector_geometry(run.config.search.ifos), ("search.ifos",)),
    Check(check_population, ("waveforms.prior",), lambda run: run.injections),
    Check(target_populations, ("waveforms.prior", "sensitivity", "candidates.astrophysical_prior")),
    Check(lambda run: signal_source(run.config).check(), SIGNAL_KEYS, lambda run: run.injections),
    Check(check_noise_curves, ("data.source", "data.asd", "search.ifos")),
    Check(check_noise_band, ("data.source", "data.asd", *BAND_KEYS)),
    Check(check_signal_lengths, ("Train", "bank", "data", *SIGNAL_KEYS, *BAND_KEYS), lambda run: run.injections),
    Check(check_glitches, ("data.glitches", "search.ifos")),
    Check(check_local_strain, ("data.source", "data.frames", "data.channel", "search.ifos", "search.sample_rate")),
    Check(check_training, ("Train",), lambda run: run.model),
    Check(check_training_together, ("Train", "search", *SIGNAL_KEYS), lambda run: run.model),
    Check(check_training_time, ("Train", "search", "data", "bank"), lambda run: run.model, needs_directories=True),
    Check(check_engine, ("export", "inference", "bank", "search.sample_rate", "Train"), needs_directories=True),
    Check(check_batch_systems, ("batch", *BATCH_TASKS), lambda run: run.events("background")),
    Check(check_submit_directory, ("batch", *BATCH_TASKS), needs_directories=True),
    Check(check_containers, ("batch", *BATCH_TASKS), lambda run: run.events("background"), needs_directories=True),
    Check(check_study, ("Train", "search", "bank", *SIGNAL_KEYS), lambda run: run.model, needs_directories=True),
    Check(check_kubernetes, ("kubernetes", "Train"), lambda run: run.model, needs_directories=True),
    Check(check_catalogue, ("data.train_start", "data.test_stop", "candidates.catalogue")),
    Check(check_release, ("sensitivity.release", "sensitivity.release_pipelines")),
    Check(check_plans, ("search", "data", "inference", "injections", "vetoes"), needs_directories=True),
)
