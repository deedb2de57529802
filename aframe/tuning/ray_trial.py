"""What a worker of a Ray cluster does for a study. It imports nothing slow."""

import math
from typing import Any

from ray import tune as ray_tune

from aframe.errors import TrainingError
from aframe.tuning.training import POLL_INTERVAL, TrialFiles, ending, last_line, read_metric, start_training

EPOCH = "epoch"
"""Name of the number of finished epochs in what a trial reports."""

REPORTED = "reported"
"""Name of the metric as the training has it, which may be no number."""


def train_trial(config: dict[str, Any]) -> None:
    """Train a trial in a process of a cluster, and report each epoch to Ray.

    Args:
        config: Files of the trial, and the name of the metric.

    Raises:
        TrainingError: If the training fails.
    """
    files: TrialFiles = config["files"]
    reported: set[int] = set()
    with ending(start_training(files, None, None, "spawn")) as process:
        is_alive = True
        while is_alive:
            process.join(POLL_INTERVAL)
            is_alive = process.is_alive()
            for epoch, value in read_metric(files.metrics, config["metric"]).items():
                if epoch not in reported:
                    reported.add(epoch)
                    ranked = -math.inf if math.isnan(value) else value  # Ray's scheduler cannot rank what is no number
                    ray_tune.report({config["metric"]: ranked, REPORTED: value, EPOCH: epoch})
    if process.exitcode:
        raise TrainingError(last_line(files.log))
