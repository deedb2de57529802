"""Trials of a study on a Ray cluster. The study's journal is the same; Ray Tune places trials and ends slow ones."""

import math
import os
import re
import socket
import time
from typing import Any

import ray
from ray import tune as ray_tune
from ray._private import ray_constants
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler
from ray.tune.search import Searcher

from aframe import storage
from aframe.errors import ConfigurationError
from aframe.runs.artifacts import Artifacts
from aframe.tuning.ray_trial import EPOCH, REPORTED, train_trial
from aframe.tuning.study import FIRST, Claim, Record
from aframe.tuning.training import TrialFiles
from aframe.tuning.trials import write_trial
from aframe.tuning.workers import conclude, tell

ANSWER_TIME = 10.0
"""Time in which an address must answer, s."""

LOOPBACK = "127.0.0.1"
"""Address of a cluster that this process starts for itself."""


class Scheduler(ASHAScheduler):
    """Asynchronous successive halving, by which the first trial does not end early."""

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Decide whether a trial goes on.

        Args:
            tune_controller: Ray's loop.
            trial: The trial.
            result: What it reports.
        """
        decision = str(super().on_trial_result(tune_controller, trial, result))
        return str(ASHAScheduler.CONTINUE) if trial.config["number"] == FIRST else decision


class Trials(Searcher):
    """Gives Ray the trials of a study, and records what they report.

    Args:
        record: The study.
        run: The run whose data train.
    """

    def __init__(self, record: Record, run: Artifacts) -> None:
        super().__init__(metric=record.plan.metric, mode="max")
        self.record, self.run = record, run
        self.began, self.first = time.monotonic(), len(record.ended)
        self.claims: dict[str, tuple[Claim, TrialFiles]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Nothing, for Ray's own record of the study: the journal has all."""
        return {}

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Take a trial of the study for Ray.

        Args:
            trial_id: Ray's name of it.

        Returns:
            Files of the trial; None if there is none at present.
        """
        if self.record.is_done:
            finished: Any = Searcher.FINISHED  # a word, which Ray takes for no more trials
            return finished
        claim = self.record.claim()
        if claim is None:
            return None
        number = claim.trial.number
        files = write_trial(self.record.plan, self.run, self.record.directory(number), claim.trial.params)
        self.claims[trial_id] = claim, files
        return {"number": number, "files": files, "metric": self.record.plan.metric}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Record the metric after an epoch.

        Args:
            trial_id: Ray's name of the trial.
            result: What it reports.
        """
        claim, _ = self.claims[trial_id]
        self.record.report(claim.trial, result[EPOCH], result[REPORTED])

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Record how a trial ended.

        Args:
            trial_id: Ray's name of the trial.
            result: What it reported last.
            error: Whether it failed.
        """
        if trial_id not in self.claims:
            return
        claim, files = self.claims.pop(trial_id)
        is_stopped = not error and (result or {}).get(EPOCH, files.epochs) < files.epochs
        conclude(self.record, claim, files, 1 if error else 0, is_stopped)
        claim.lock.close()
        done = max(1, len(self.record.ended) - self.first)
        tell(self.record, (time.monotonic() - self.began) / done, claim.trial.number)

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: the study's journal has all.

        Args:
            checkpoint_path: Part of Ray's interface. It is not used.
        """

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing, likewise.

        Args:
            checkpoint_path: Part of Ray's interface. It is not used.
        """


def train_on_ray(record: Record, run: Artifacts) -> None:
    """Train the trials of a study on a Ray cluster, or on one of this machine alone.

    The directories of the study and of the run's training data must be the same files on all its nodes.

    Args:
        record: The study.
        run: The run whose data train.

    Raises:
        ConfigurationError: If the cluster does not answer.
    """
    plan, settings = record.plan, record.plan.ray
    _connect(settings.address, settings.cpus_per_trial * plan.workers)
    try:
        scheduler = FIFOScheduler()
        if plan.stopping is not None:
            scheduler = Scheduler(
                time_attr=EPOCH, metric=plan.metric, mode="max", max_t=10**6,
                grace_period=plan.stopping.min_epochs, reduction_factor=plan.stopping.reduction_factor,
            )  # fmt: skip
        resources = {"cpu": settings.cpus_per_trial, "gpu": settings.gpus_per_trial}
        tuner = ray_tune.Tuner(
            ray_tune.with_resources(train_trial, resources),
            tune_config=ray_tune.TuneConfig(
                search_alg=Trials(record, run), scheduler=scheduler, max_concurrent_trials=plan.workers,
                num_samples=plan.trials - len(record.ended),
            ),
            run_config=ray_tune.RunConfig(
                name="trials", storage_path=os.path.abspath(storage.join(plan.directory, "ray")), verbose=0
            ),
        )  # fmt: skip
        tuner.fit()
    finally:
        ray.shutdown()


def _connect(address: str | None, cores: float) -> None:
    """Connect to a cluster, or start one that listens on this machine only."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # with it, Ctrl-C would look like the end of the study
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # which prints a table in spite of verbose=0
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address is None:
        ray_constants.ENABLE_RAY_CLUSTER = False  # Ray then listens on this machine only, as on macOS and Windows
        ray.init(address="local", num_cpus=max(1, math.ceil(cores)), include_dashboard=False, **options)
        if ray.util.get_node_ip_address() != LOOPBACK:
            ray.shutdown()
            raise ConfigurationError(
                f"ray {ray.__version__} cannot listen on {LOOPBACK} only: start a cluster as its guide says, and give "
                "ray.address"
            )
        return
    _check_answers(address)
    try:
        ray.init(address=address, **options)
    except (ConnectionError, RuntimeError, ValueError) as error:  # as Ray tells that there is no cluster
        raise _unanswered(address, " ".join(str(error).split())[:200]) from None


def _check_answers(address: str) -> None:
    """Refuse an address where nothing listens. Ray would try for minutes, and end this process."""
    match = re.fullmatch(r"(?:ray://)?\[?([^\]]+)\]?:(\d+)", address)
    if match is None:
        return
    try:
        socket.create_connection((match[1], int(match[2])), ANSWER_TIME).close()
    except OSError as error:
        raise _unanswered(address, error.strerror or str(error)) from None


def _unanswered(address: str, reason: str) -> ConfigurationError:
    return ConfigurationError(f"ray.address = {address}: no cluster answers ({reason}): mend it, or start one")
