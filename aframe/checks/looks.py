"""Ask the batch systems of this machine, and other programs, with a time limit.

``checks.run`` and ``checks.machine`` decide what follows from an answer.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass

from aframe.settings.jobs import COMMANDS, QUESTIONS

BATCH_PATIENCE = 20.0
"""Longest wait for the answer of a batch system, s."""

BATCH_PAUSES = (0.5, 2.0)
"""Pauses before a batch system that failed is asked again, s."""


@dataclass(frozen=True)
class Answer:
    """Answer of a command.

    Attributes:
        is_fine: Whether the command ended in time and without an error.
        text: Output of the command. If the command failed, its error.
        is_late: Whether the command did not end in time.
    """

    is_fine: bool
    text: str
    is_late: bool = False

    @property
    def last_line(self) -> str:
        """Last line of the text; empty for an empty text."""
        return self.text.splitlines()[-1] if self.text else ""


def ask(command: Sequence[str], patience: float, **variables: str) -> Answer:
    """Run a command with a time limit.

    Args:
        command: Words of the command.
        patience: Longest wait, s.
        **variables: Environment variables, in addition to those of this process.
    """
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=patience, stdin=subprocess.DEVNULL,
            env=os.environ | variables,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Answer(False, f"no answer in {patience:.0f} s", is_late=True)
    except OSError as error:
        return Answer(False, str(error.strerror))
    if done.returncode == 0:
        return Answer(True, done.stdout.strip())
    return Answer(False, done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}")


def missing_commands(batch_system: str) -> list[str]:
    """Commands of a batch system that are not on PATH.

    Args:
        batch_system: One of ``COMMANDS``.
    """
    return [command for command in COMMANDS[batch_system] if shutil.which(command) is None]


def batch_answer(batch_system: str) -> Answer:
    """Ask a batch system whether it works. If it fails, it is asked again.

    Args:
        batch_system: One of ``QUESTIONS``. None of its commands is missing.
    """
    answer = ask(QUESTIONS[batch_system], BATCH_PATIENCE)
    for pause in BATCH_PAUSES:
        if answer.is_fine or answer.is_late:
            break
        time.sleep(pause)
        answer = ask(QUESTIONS[batch_system], BATCH_PATIENCE)
    return answer
