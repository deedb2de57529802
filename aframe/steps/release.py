"""Released injections beside a run: the volumes of their pipelines, and a run that searched their frames."""

import numpy as np
from jaxtyping import Float

from aframe.errors import ConfigurationError, DataError
from aframe.inference.slides import Grid
from aframe.runs.artifacts import Artifacts
from aframe.sensitivity.release import pipeline_volumes, release_targets, remarks, write_release_volumes
from aframe.sensitivity.release_file import Release, read_header, read_release
from aframe.sensitivity.weights import Target
from aframe.steps.scoring import trained_model
from aframe.strain.files import parse_background_path
from aframe.tables import Table
from aframe.types import Array
from aframe.waveforms.loading import load_population


def check_release(run: Artifacts) -> None:
    """Refuse released injections that cannot be read, or that lack a pipeline.

    Raises:
        ConfigurationError: If pipelines are named without a release.
        DataError: If volumes do not follow from the file.
        UnknownNameError: If it lacks a pipeline.
        StorageError: If the file does not exist.
    """
    sensitivity = run.config.sensitivity
    if sensitivity.release is not None:
        read_header(run.config.resolve(sensitivity.release)).chosen(sensitivity.release_pipelines)
    elif sensitivity.release_pipelines is not None:
        raise ConfigurationError("release_pipelines needs release, the file with their false alarm rates")


def targets_of_run(run: Artifacts, release: Release) -> list[Target]:
    """Populations of a run's volumes, for the injections of a release.

    Args:
        run: The run.
        release: The injections.
    """
    sensitivity = run.config.sensitivity
    populations = {word: load_population(word, run.config.resolve) for word in sensitivity.populations}
    return release_targets(release, sensitivity.mass_combos, sensitivity.mass_width, populations)


def write_pipelines(run: Artifacts, far_per_year: Float[Array, " rates"]) -> None:
    """Write the volumes of the pipelines of the run's release, for the run's populations.

    Args:
        run: The run.
        far_per_year: Events per Julian year, shape (rates,).
    """
    sensitivity = run.config.sensitivity
    assert sensitivity.release is not None, "the caller has looked"
    release = read_release(run.config.resolve(sensitivity.release), sensitivity.release_pipelines)
    curves = pipeline_volumes(release, targets_of_run(run, release), far_per_year)
    notes = {"remarks": " ".join(remarks(release, curves))}
    write_release_volumes(run.plot("release_volume.h5"), curves, run.answer_parameters, attributes=notes)


def searched_time(run: Artifacts) -> Float[Array, "stretches 2"]:
    """Start and stop (GPS s) of the unshifted stretches that a run has searched, outside vetoed time.

    Args:
        run: The run.

    Raises:
        DataError: If its strain no longer exists.
    """
    if run.config.vetoes.given:
        live = Table.read(run.clean("live"))
        live = live.rows((live["shift"] == 0).all(axis=1))
        return np.stack([live["start"], live["start"] + live["duration"]], axis=1)
    files = sorted(parse_background_path(path) for path in run.background_files("test"))
    if not files:
        raise DataError(
            f"{run.directories.test_data} has no strain any more, so it is not known which time was searched: restore "
            "it, or search the frames by `aframe infer --strain … --output` and give --events"
        )
    grid = Grid(trained_model(run).preprocessing, run.config.inference.shifts)
    unshifted = [grid.slide(index, length, 0) for index, (_, length) in enumerate(files)]
    spans = grid.event_spans([start for start, _ in files], unshifted)
    return np.stack([spans.start, spans.stop], axis=1)
