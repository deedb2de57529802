"""Workers of a study on this machine: processes that take trials, train them, and record what came of it."""

import math
import multiprocessing
import os
import signal
import sys
import time
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

from aframe.errors import AframeError, TrainingError
from aframe.machine.console_records import Share, emit
from aframe.machine.gpus import claim_gpu
from aframe.machine.processes import cores, die_with
from aframe.progress import activity
from aframe.runs.artifacts import Artifacts
from aframe.tuning.plan import Plan
from aframe.tuning.study import Claim, Record
from aframe.tuning.training import POLL_INTERVAL, TrialFiles, ending, last_line, read_metric, start_training
from aframe.tuning.trials import write_trial

WAIT_INTERVAL = 1.0
"""Time between two looks for a trial that nobody has, s."""

NOTE_INTERVAL = 2.0
"""Time between two reports of a study's progress to ``aframe status``, s."""

MOST_ATTEMPTS = 2
"""Times that a training is begun whose process is killed, as it is when memory runs out."""

MOST_REPLACEMENTS = 5
"""Killed workers of a study for which others begin."""


def work(plan: Plan, run: Artifacts, gpus: str | None, parent: int) -> None:
    """Take trials and train them, until the study is done. Runs in a process of its own.

    Args:
        plan: The study.
        run: The run whose data train.
        gpus: GPUs of this worker's trainings, as in CUDA_VISIBLE_DEVICES; None for one that no other worker uses.
        parent: Process that began this worker.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # ends the training first
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with(parent, signal.SIGTERM)
    try:
        record, began = Record.open(plan, run), time.monotonic()
        first = len(record.ended)
        while not record.is_done:
            claim = record.claim()
            if claim is None:
                time.sleep(WAIT_INTERVAL)
                continue
            with claim.lock:
                _try(record, claim, run, gpus)
            tell(record, (time.monotonic() - began) / max(1, len(record.ended) - first), claim.trial.number)
    except AframeError as error:
        print(error.description, file=sys.stderr, flush=True)
        sys.exit(1)


def tell(record: Record, seconds: float, number: int) -> None:
    """Print what came of a trial, and how far the study is.

    Args:
        record: The study.
        seconds: Time from one end of a trial to the next, s.
        number: Number of the trial.
    """
    done, best = len(record.ended), record.best
    trial = record.study.get_trials(deepcopy=False)[number]
    state = {"COMPLETE": "", "PRUNED": f", ended after {trial.last_step} epochs", "FAIL": " failed"}[trial.state.name]
    value = "" if trial.value is None else f" {record.plan.metric} {trial.value:.4g}"
    standing = "" if best is None else f", best {best.value:.4g} of trial {best.number}"
    left = max(0.0, seconds * (record.plan.trials - done))
    emit(Share("Tune", done, record.plan.trials, left, note=f"trial {number}{value}{state}{standing}", step="trial"))


def _try(record: Record, claim: Claim, run: Artifacts, gpus: str | None) -> None:
    """Train a trial, and record what came of it."""
    trial, plan = claim.trial, record.plan
    files = write_trial(plan, run, record.directory(trial.number), trial.params)
    if claim.is_resumed:
        print(f"Tune: trial {trial.number} continues, as the process that trained it has ended", flush=True)
    threads = max(1, cores() // plan.workers) if plan.workers > 1 else None
    code: int | None = None
    for _ in range(MOST_ATTEMPTS):
        with ending(start_training(files, gpus, threads)) as process:
            is_stopped = _follow(record, claim, files, process)
        code = process.exitcode
        if is_stopped or code is None or code >= 0:
            break
    conclude(record, claim, files, code, is_stopped)


def conclude(record: Record, claim: Claim, files: TrialFiles, code: int | None, is_stopped: bool) -> None:
    """Record how a trial ended.

    Args:
        record: The study.
        claim: The trial.
        files: Its files.
        code: Exit code of its training.
        is_stopped: Whether it was ended early, as it was behind.
    """
    value = read_metric(files.metrics, record.plan.metric).get(files.epochs, math.nan)
    if is_stopped:
        record.end(claim.trial, None, is_stopped=True)
    elif code:
        killed = f"it was killed by signal {-code}, perhaps because memory ran out"
        record.fail(claim.trial, killed if code < 0 else last_line(files.log), files.log)
    elif math.isnan(value):
        record.fail(
            claim.trial,
            f"{record.plan.metric} is no number after the last epoch: if no background is long enough for it, set "
            "data.validation_background higher, or metric: valid_auroc",
            files.metrics,
        )
    else:
        record.end(claim.trial, value)


def _follow(record: Record, claim: Claim, files: TrialFiles, process: BaseProcess) -> bool:
    """Record the metric of each epoch until a training ends. Return whether it was ended early."""
    epochs = files.epochs
    while process.is_alive():
        process.join(POLL_INTERVAL)
        if tell_epochs(record, claim, files) < epochs and record.should_stop(claim.trial):
            return process.is_alive()
    tell_epochs(record, claim, files)
    return False


def tell_epochs(record: Record, claim: Claim, files: TrialFiles) -> int:
    """Record the metric after each epoch that has ended.

    Args:
        record: The study.
        claim: The trial.
        files: Its files.

    Returns:
        Number of epochs that have ended.
    """
    values = read_metric(files.metrics, record.plan.metric)
    for epoch, value in values.items():
        record.report(claim.trial, epoch, value)
    return max(values, default=0)


def train_here(record: Record, run: Artifacts, gpus: str) -> None:
    """Run a study's workers on this machine until the study is done.

    Others may work at the same study, on this machine and on others.

    Args:
        record: The study.
        run: The run whose data train.
        gpus: GPUs, as in CUDA_VISIBLE_DEVICES: one worker uses all, several use one each; empty for the CPU.

    Raises:
        TrainingError: If a worker ends with an error.
    """
    plan = record.plan
    shared = None if gpus and plan.workers > 1 else gpus
    workers = [_begin(plan, run, gpus, shared) for _ in range(plan.workers)]
    replaced = 0
    try:
        while workers:
            wait([worker.sentinel for worker in workers], NOTE_INTERVAL)
            activity.note("tuning", len(record.ended), plan.trials, " trials")
            for worker in [each for each in workers if not each.is_alive()]:
                workers.remove(worker)
                worker.join()
                if worker.exitcode and worker.exitcode > 0:
                    raise TrainingError("a worker of the study failed", is_reported=True)
                if worker.exitcode and replaced < MOST_REPLACEMENTS:
                    replaced += 1
                    print(f"Tune: a worker was killed by signal {-worker.exitcode}: another one begins", flush=True)
                    workers.append(_begin(plan, run, gpus, shared))
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join()


def _begin(plan: Plan, run: Artifacts, gpus: str, shared: str | None) -> BaseProcess:
    context = multiprocessing.get_context("fork")
    process = context.Process(target=_work, args=(plan, run, gpus, shared, os.getpid()))
    process.start()
    return process


def _work(plan: Plan, run: Artifacts, gpus: str, shared: str | None, parent: int) -> None:
    """Work with all GPUs, or with one of them that no other worker has."""
    work(plan, run, claim_gpu(gpus) if shared is None else shared, parent)
