"""What can be known to fail before any work is done."""

import shutil

from aframe import storage
from aframe.artifacts import Artifacts
from aframe.batch.settings import BATCH_TASKS, COMMANDS
from aframe.engines import check_engine
from aframe.errors import ConfigurationError
from aframe.events.veto_sources import asks_the_network, load_vetoes
from aframe.planning import slides_over
from aframe.steps import signal_source
from aframe.strain.fetch import curve_path
from aframe.strain.segments import Segment, analysable
from aframe.strain.simulate import load_asd
from aframe.targets import target_populations
from aframe.waveforms.projection import detector_geometry


def check_batch_systems(run: Artifacts) -> None:
    """Refuse a batch system to which this machine cannot submit.

    Raises:
        ConfigurationError: If its commands are not on PATH, or its submit files would not be on this machine.
    """
    for task in BATCH_TASKS:
        workflow = run.config.batch_for(task).workflow
        for command in COMMANDS.get(workflow, ()):
            if shutil.which(command) is None:
                raise ConfigurationError(
                    f"workflow = {workflow} of {task}: {command} is not on PATH: run on a machine that submits to "
                    f"{workflow}, or set workflow = local"
                )
        if workflow != "local" and storage.is_remote(run.directories.condor):
            raise ConfigurationError(
                f"AFRAME_CONDOR_DIR = {run.directories.condor}: submit files and logs need a directory of this machine"
            )


def preflight(run: Artifacts) -> None:
    """Refuse at once what would fail only after hours of work.

    Raises:
        ConfigurationError: If the population, waveform model, noise curve, training YAML or platform cannot be used.
        ServerError: If a Triton server is wanted that cannot be started.
        DataError: If the testing data, where they are known beforehand, cannot hold the injections or give ``Tb``; if
            a file of vetoes is malformed or lacks what it should tell.
    """
    if storage.exists(run.result("report.html")):
        return
    detector_geometry(run.config.search.ifos)
    target_populations(run)
    check_engine(run)
    check_batch_systems(run)
    if not storage.exists(run.injections):
        source = signal_source(run)
        if not source.population.isotropic_in_right_ascension:
            raise ConfigurationError(
                f"prior = {run.config.waveforms.prior}: its ra must be bilby's Uniform over 0 to 2 pi: the Earth turns "
                "between injections"
            )
        source.check()
    if not storage.exists(run.model):
        from aframe.train.cli import check_yaml

        check_yaml(run.training_yaml, run.config)
    if run.config.data.source == "simulated":
        load_asd(curve_path(run.config.data.asd or "", run.config.resolve))
    segments = [Segment(*run.interval("test"))]
    known = run.config.data.source != "gwosc" or run.config.data.segments is not None
    if known:
        for stage in ("train", "test"):
            segments = analysable(run.config.data, run.config.search, *run.interval(stage), run.config.resolve)
        if not run.background_files("test"):
            slides_over(run, [(segment.start, segment.duration) for segment in segments])
    if run.config.vetoes.given and not asks_the_network(run.config) and (known or run.config.vetoes.dq_bits is None):
        load_vetoes(run.config, segments)
