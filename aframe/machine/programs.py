"""Ask a program of this machine, with a time limit."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass


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
