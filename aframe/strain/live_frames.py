"""Read frame files as they appear, by one process that is kept: to start one for each file takes longer than a frame.

LAL's frame library may crash or never end on a damaged file. The process is then replaced.
"""

import contextlib
import os
import pickle
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

from aframe.errors import DataError, StorageError
from aframe.machine.processes import environment_of_child
from aframe.types import Array

SERVER = "from aframe.strain.frame_reader import serve; serve()"
"""Program of the process that reads frames."""

TIMEOUT = 20.0
"""Seconds that an answer may take, with the start of the process."""

MOST_QUESTIONS = 20000
"""Number of files that a process reads before another one replaces it, should the frame library lose memory."""

LivePart = tuple[str, float, float, Array, tuple[float, Array] | None]
"""Detector, start (GPS s), sample rate (Hz), strain, and rate (Hz) and samples of the state vector."""


class SlowReadError(StorageError):
    """A file whose reading takes too long. It may be damaged, or the machine has too much to do."""


class LiveFrameReader:
    """Reads frame files in a process of its own."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._asked = 0

    def read(self, path: str, channels: Mapping[str, str], states: Mapping[str, str]) -> list[LivePart]:
        """Read the strain of a file.

        Args:
            path: Local path.
            channels: Strain channel of each detector.
            states: Channel of each detector's state vector.

        Raises:
            DataError: If a frame lacks a channel.
            SlowReadError: If reading takes more than 20 s.
            StorageError: If the file is damaged.
        """
        try:
            answer = self._ask(("live", path, dict(channels), dict(states)))
        except (OSError, EOFError, pickle.UnpicklingError):
            ending = self._ending()
            if not ending:
                raise SlowReadError(
                    f"{path} is not read within {TIMEOUT:g} s: it is damaged, or its disk busy"
                ) from None
            raise StorageError(f"{path} is damaged (LAL's frame library ends with {ending})") from None
        if isinstance(answer, DataError):
            raise answer
        if isinstance(answer, Exception):
            raise StorageError(f"{path} is damaged (LAL says: {answer})")
        parts: list[LivePart] = answer
        return parts

    def _ask(self, question: tuple[Any, ...]) -> Any:
        if self._asked >= MOST_QUESTIONS:
            self.close()
        if self._child is None or self._child.poll() is not None:
            self._start()
        child = self._child
        assert child is not None
        assert child.stdin is not None
        assert child.stdout is not None
        self._asked += 1
        pickle.dump(question, child.stdin)
        child.stdin.flush()
        end, answer = time.monotonic() + TIMEOUT, b""
        while True:
            ready, _, _ = select.select([child.stdout], [], [], max(0.0, end - time.monotonic()))
            part = os.read(child.stdout.fileno(), 1 << 20) if ready else b""
            if not part:
                raise EOFError
            answer += part
            if answer.endswith(pickle.STOP):  # the answer may be complete
                with contextlib.suppress(EOFError, pickle.UnpicklingError):
                    return pickle.loads(answer)

    def _start(self) -> None:
        self.close()
        output = None if os.environ.get("AFRAME_DEBUG") else subprocess.DEVNULL
        self._child = subprocess.Popen(
            [sys.executable, "-P", "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output,
            env=environment_of_child(),
        )  # fmt: skip

    def _ending(self) -> str:
        """How the process ended; empty if it has not. It is gone afterwards."""
        child = self._child
        assert child is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(1.0)
        code = child.poll()
        self.close()
        if code is None:
            return ""
        return signal.Signals(-code).name if code < 0 else f"exit status {code}"

    def close(self) -> None:
        """End the process."""
        child, self._child, self._asked = self._child, None, 0
        if child is not None:
            child.kill()
            child.wait()
            for stream in (child.stdin, child.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()
