"""The record of a study: a journal, to which all its workers append, and which no kill damages."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import optuna
from optuna.pruners import BasePruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend, JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import FrozenTrial, Trial, TrialState

from aframe import seeding, storage
from aframe.errors import StorageError, TrainingError
from aframe.machine.locks import held, hold
from aframe.runs.artifacts import Artifacts
from aframe.tuning.plan import Plan

JOURNAL = "study.journal"
"""Name of the record in the directory of the study."""

STUDY = "aframe"
"""Name of the study in its journal, which has no other."""

FIRST = 0
"""Number of the trial with the values of the base."""

ERROR, LOG = "error", "log"
"""What a failed trial says: its error, and the path of its log."""

MOST_FAILURES = 3
"""Failed trials after which a study without any other is given up."""


class KernelLock(JournalFileSymlinkLock):
    """Lock of a journal that the kernel releases when its holder is killed.

    Args:
        path: Path of the file that is locked.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path
        self.file: IO[str] | None = None

    def acquire(self) -> bool:
        """Wait for the lock."""
        self.file = hold(self.path)
        return True

    def release(self) -> None:
        """Release the lock."""
        assert self.file is not None
        self.file.close()
        self.file = None


@dataclass(frozen=True)
class Claim:
    """A trial that this process has, until its lock is closed.

    Attributes:
        trial: The trial.
        lock: Lock of its directory.
        is_resumed: Whether another process began it.
    """

    trial: Trial
    lock: IO[str]
    is_resumed: bool


@dataclass(frozen=True)
class Record:
    """A study and its trials.

    Attributes:
        plan: The study's description.
        study: Optuna's study.
    """

    plan: Plan
    study: optuna.Study

    @classmethod
    def open(cls, plan: Plan, run: Artifacts) -> "Record":
        """Open a study, or begin it with a trial of the base's values.

        Args:
            plan: The study's description.
            run: The run whose data train.

        Raises:
            ParameterMismatchError: If it was begun with another search space, or other data.
            StorageError: If its directory cannot be written.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        path, parameters = storage.join(plan.directory, JOURNAL), plan.parameters_with(run)
        reason = storage.why_not_written(Path(plan.directory).absolute())
        try:
            if not reason:
                os.makedirs(plan.directory, exist_ok=True)
        except OSError as error:
            reason = error.strerror or str(error)
        if reason:
            raise StorageError(f"{plan.directory} cannot be written ({reason}): choose another directory")
        with held(storage.join(plan.directory, ".lock")):
            if storage.exists(path):
                storage.check_parameters(path, parameters)
                _mend(path)
            storage.sign(path, parameters)
            record = cls(plan, _study(path, plan, 0))
            if not record.study.get_trials(deepcopy=False):
                defaults = {each.key: each.encoded(each.default) for each in plan.parameters}
                record.study.enqueue_trial(defaults)
        return record

    @property
    def trials(self) -> list[FrozenTrial]:
        """All trials that have begun."""
        return [each for each in self.study.get_trials(deepcopy=False) if each.state != TrialState.WAITING]

    @property
    def ended(self) -> list[FrozenTrial]:
        """Trials that have ended in any way."""
        return [each for each in self.trials if each.state.is_finished()]

    @property
    def best(self) -> FrozenTrial | None:
        """The best trial of those that trained to the end; the first of equal ones."""
        complete = [each for each in self.trials if each.state == TrialState.COMPLETE and each.value is not None]
        return max(complete, key=lambda each: (each.value, -each.number), default=None)

    @property
    def is_given_up(self) -> bool:
        """Whether so many trials failed, and no other ended, that all would."""
        failed = [each for each in self.ended if each.state == TrialState.FAIL]
        return len(failed) == len(self.ended) >= min(MOST_FAILURES, self.plan.trials)

    @property
    def is_done(self) -> bool:
        """Whether no trial is to begin or to end."""
        return self.is_given_up or len(self.ended) >= max(self.plan.trials, len(self.trials))

    def directory(self, number: int) -> str:
        """Directory of a trial, which is that of a training."""
        return storage.join(self.plan.directory, "trials", f"{number:04d}")

    def claim(self) -> Claim | None:
        """Take a trial that nobody has: one whose process has ended, or else a new one.

        Returns:
            The trial. None if there is none at present, as other processes have the last ones.
        """
        with held(storage.join(self.plan.directory, ".lock")):
            if self.is_given_up:
                return None
            running = [each for each in self.trials if each.state == TrialState.RUNNING]
            for each in running:
                lock = self._lock(each.number)
                if lock is not None:
                    return Claim(Trial(self.study, each._trial_id), lock, True)
            number = len(self.trials)
            if number >= self.plan.trials:
                return None
            lock = self._lock(number)
            if lock is None:  # its training has not ended yet, though the study forgot it
                return None
            self.study.sampler = _sampler(self.plan, number)
            trial = self.study.ask({each.key: each.distribution for each in self.plan.parameters})
            return Claim(trial, lock, False)

    def report(self, trial: Trial, epoch: int, value: float) -> None:
        """Record a trial's metric after some epochs, unless it is recorded."""
        known = self.study.get_trials(deepcopy=False)[trial.number].intermediate_values
        if epoch not in known:
            trial.report(value, epoch)

    def should_stop(self, trial: Trial) -> bool:
        """Whether a trial is behind others with as many epochs. The first is never."""
        is_behind = trial.should_prune()  # it counts for the others, whatever follows
        return is_behind and trial.number != FIRST

    def end(self, trial: Trial, value: float | None, is_stopped: bool = False) -> None:
        """Record that a trial ended.

        Args:
            trial: The trial.
            value: Its metric after its last epoch.
            is_stopped: Whether it ended early.
        """
        if is_stopped:
            self.study.tell(trial, state=TrialState.PRUNED)
        else:
            self.study.tell(trial, value)

    def fail(self, trial: Trial, error: str, log: str) -> None:
        """Record that a trial failed.

        Args:
            trial: The trial.
            error: Its error, in one line.
            log: Path of its log.
        """
        trial.set_user_attr(ERROR, error)
        trial.set_user_attr(LOG, log)
        self.study.tell(trial, state=TrialState.FAIL)

    def failure(self) -> TrainingError:
        """The error of a study without a trained network: that of the first trial that failed."""
        failed = [each for each in self.ended if each.state == TrialState.FAIL]
        first = failed[0].user_attrs
        number = "the only trial" if len(failed) == 1 else f"all {len(failed)} trials"
        return TrainingError(
            f"{number} failed, first with: {first.get(ERROR, 'an unknown error')} (log: {first.get(LOG, 'none')}); "
            f"mend it, delete {self.plan.directory} and run again"
        )

    def _lock(self, number: int) -> IO[str] | None:
        directory = self.directory(number)
        os.makedirs(directory, exist_ok=True)
        return hold(storage.join(directory, ".lock"), wait=False)


def _study(path: str, plan: Plan, number: int) -> optuna.Study:
    backend: BaseJournalBackend = JournalFileBackend(path, KernelLock(f"{path}.lock"))
    return optuna.create_study(
        storage=JournalStorage(backend), study_name=STUDY, load_if_exists=True, direction="maximize",
        sampler=_sampler(plan, number), pruner=_pruner(plan),
    )  # fmt: skip


def _sampler(plan: Plan, number: int) -> TPESampler:
    """Sampler of one trial. The seed, the trial's number and the trials that have ended decide its values."""
    seed = int(seeding.generator(plan.seed, f"trial {number}").integers(2**31))
    return TPESampler(seed=seed)


def _pruner(plan: Plan) -> BasePruner:
    """Asynchronous successive halving (Li et al. 2018, arXiv:1810.05934)."""
    if plan.stopping is None or plan.backend == "ray":  # Ray has its own
        return NopPruner()
    return SuccessiveHalvingPruner(
        min_resource=plan.stopping.min_epochs, reduction_factor=plan.stopping.reduction_factor
    )


def _mend(path: str) -> None:
    """Remove a last line that a killed process did not write to its end. Nobody else may write meanwhile."""
    with held(f"{path}.lock"), open(path, "r+b") as file:
        content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            file.truncate(whole)
