"""Ask the batch systems of this machine, with a time limit.

``checks.run`` and ``checks.machine`` decide what follows from an answer.
"""

import shutil
import time

from aframe.machine.programs import Answer, ask
from aframe.settings.jobs import COMMANDS, QUESTIONS

BATCH_PATIENCE = 20.0
"""Longest wait for the answer of a batch system, s."""

BATCH_PAUSES = (0.5, 2.0)
"""Pauses before a batch system that failed is asked again, s."""


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
