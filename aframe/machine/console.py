"""Console of a run: it logs all printed lines, and shows them on the terminal.

All output of a run and its processes passes through one console process. It writes the log, shows records of progress
as bars if there is a terminal, and as lines otherwise. It prints all other lines unchanged. It ends when no process can
print any more.
"""

import argparse
import codecs
import contextlib
import io
import os
import re
import selectors
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING

from aframe.machine import console_records
from aframe.machine.console_records import CONSOLE, MARKER, End, Record

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

QUIET = "AFRAME_QUIET"
"""Environment variable. If it is set, the terminal shows only errors."""

PLAIN = {
    "✔": "+", "✘": "x", "▶": ">", "‖": "|", "·": ".", "→": "->", "–": "-", "—": "-", "…": "...", "±": "+-", "×": "x",
    "²": "2", "³": "3", "σ": "sigma", "\u202f": " ", "\xa0": " ",
}  # fmt: skip
"""Replacements of characters that the encoding of an output lacks. All others are replaced by their Unicode number."""

CHUNK_BYTES = 2**16

PARTIAL_LINE_DELAY = 0.2
"""Seconds after which a line without an end is shown. It may be a question to the user."""

MAX_BAR_AGE = 60.0
"""Seconds without progress after which a bar is removed."""

EXIT_TIMEOUT = 10.0
"""Maximum number of seconds that a run waits at its end for the console to show the last lines."""

END = b"\0\n"
"""Last bytes that a run prints. They mark its end while other processes keep its output open."""

REMARK = re.compile(r"(note|warning): ")
"""Matches the beginning of lines on stderr that are not errors."""

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def start(log: str | None) -> None:
    """Redirect the output of this process and its children to a console process.

    Args:
        log: Local path of the log, to which lines are appended; None for no log.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    reading, writing = zip(os.pipe(), os.pipe(), strict=True)
    command = [
        sys.executable,
        "-P",
        "-m",
        "aframe.machine.console",
        *map(str, reading),
        *(["--log", log] if log else []),
    ]
    if os.environ.get(QUIET):
        command.append("--quiet")
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=reading, start_new_session=True)
    for end in reading:
        os.close(end)
    original = [os.dup(1), os.dup(2)]
    for end, stream in zip(writing, (1, 2), strict=True):
        os.dup2(end, stream)
    os.environ[CONSOLE] = console_records.identity(1)
    _running.append((process, list(writing), original))


_running: list[tuple["subprocess.Popen[bytes]", list[int], list[int]]] = []
"""Console of this process, write ends of its pipes, and file descriptors of the original outputs."""


def stop() -> None:
    """Stop the console when it has shown all output so far, and restore the original outputs."""
    while _running:
        process, writing, original = _running.pop()
        os.environ.pop(CONSOLE, None)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        for end in writing:
            with contextlib.suppress(BrokenPipeError):
                os.write(end, END)
            os.close(end)
        for descriptor, stream_number in zip(original, (1, 2), strict=True):
            os.dup2(descriptor, stream_number)
            os.close(descriptor)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(EXIT_TIMEOUT)


def open_closed() -> None:
    """Let closed standard streams lead to nowhere. Otherwise, files that are opened would take their numbers."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


def spell_out() -> None:
    """Replace characters that the encodings of the outputs lack by ASCII characters."""
    codecs.register_error("spelled out", _spelled_out)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "backslashreplace"):
            stream.reconfigure(errors="spelled out")


def _spelled_out(error: UnicodeError) -> tuple[str, int]:
    """Replacement of characters that an encoding lacks, and the position after them."""
    assert isinstance(error, UnicodeEncodeError)
    missing = error.object[error.start : error.end]
    replacements = (PLAIN.get(each) or each.encode("ascii", "backslashreplace").decode() for each in missing)
    return "".join(replacements), error.end


def drop_unwritable(stream: IO[str]) -> None:
    """Discard the buffer and all later output of a stream if it cannot be written."""
    try:
        stream.flush()
    except OSError:
        null_device = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null_device, stream.fileno())
        os.close(null_device)


class Bars:
    """Progress bars at the bottom of a terminal."""

    def __init__(self) -> None:
        from rich import progress
        from rich.console import Console

        self.console = Console(highlight=False)
        columns = (
            progress.TextColumn("{task.description}", markup=False), progress.BarColumn(bar_width=24),
            progress.TaskProgressColumn(), progress.TextColumn("{task.fields[rest]}", markup=False),
        )  # fmt: skip
        self.shown: Progress = progress.Progress(*columns, console=self.console, transient=True)
        self.bars: dict[str, tuple[TaskID, float]] = {}
        self.shown.start()

    def show(self, record: Record) -> bool:
        """Update the bar of some work, or remove it at the end of the work.

        Args:
            record: A record of progress.

        Returns:
            Whether a bar shows the record. Its line need not be printed.
        """
        self._remove_old()
        if isinstance(record, End):
            self._remove(record.name)
            return False
        name, share, rest = record.name, record, record.rest
        if record.overall:  # the jobs of a task share a bar
            name, share, rest = record.name.split()[0], record.overall, f"{record.overall.left:.0f} s left"
        bar = self.bars.get(name)
        task = bar[0] if bar else self.shown.add_task(name, rest="")
        self.shown.update(task, completed=share.done, total=share.total, rest=rest)
        self.bars[name] = task, time.monotonic()
        return True

    def _remove_old(self) -> None:
        """Remove the bars without recent progress."""
        now = time.monotonic()
        for name in [name for name, (_, moved) in self.bars.items() if now - moved > MAX_BAR_AGE]:
            self._remove(name)

    def _remove(self, name: str) -> None:
        """Remove a bar if it exists."""
        bar = self.bars.pop(name, None)
        if bar:
            self.shown.remove_task(bar[0])

    def print(self, text: str, is_whole: bool) -> None:
        """Print text above the bars.

        Args:
            text: The text.
            is_whole: Whether the text is a complete line.
        """
        from rich.text import Text

        self._remove_old()
        self.console.print(Text.from_ansi(text), end="\n" if is_whole else "", soft_wrap=True)

    def close(self) -> None:
        """Remove all bars."""
        self.shown.stop()


@dataclass
class Sink:
    """Handles the lines of one output, stdout or stderr.

    Attributes:
        output: Stream that shows the lines.
        is_error: Whether the output is stderr.
        log: Log of the run; None for no log.
        bars: Progress bars of a terminal; None without a terminal.
        quiet: Whether only errors are shown.
        pending: Line without an end.
        shown: Number of bytes of the pending line that are already shown.
    """

    output: IO[bytes]
    is_error: bool
    log: IO[str] | None
    bars: Bars | None
    quiet: bool
    pending: bytearray = field(default_factory=bytearray)
    shown: int = 0

    def take(self, data: bytes) -> None:
        """Accept printed bytes, and show and log the complete lines."""
        self.pending += data
        *lines, rest = self.pending.split(b"\n")
        for line in lines:
            text, record = console_records.read(bytes(line))
            self._write(text[self.shown :], text, is_whole=True, record=record)
            self.shown = 0
        self.pending = rest

    @property
    def has_rest(self) -> bool:
        """Whether the pending line has bytes that can be shown and are not yet. A record is shown when it is whole."""
        return len(self.pending) > self.shown and MARKER not in self.pending

    def show_rest(self) -> None:
        """Show the rest of the pending line."""
        text = bytes(self.pending[self.shown :])
        self.shown = len(self.pending)
        self._write(text, None, is_whole=False)

    def close(self) -> None:
        """Show and log the pending line."""
        if self.pending:
            self.take(b"\n")

    def _write(self, text: bytes, line: bytes | None, is_whole: bool, record: Record | None = None) -> None:
        """Show a piece of text, and log the line that it completes.

        Args:
            text: Bytes to show.
            line: The complete line for the log; None if the text completes no line.
            is_whole: Whether the text completes a line.
            record: Record of progress whose line ends the text; None for other text.
        """
        if line is not None and self.log is not None:
            plain = ANSI.sub("", line.decode("utf-8", "replace")).rstrip("\r").rpartition("\r")[2]
            self.log.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {plain}\n")
        readable = text.decode("utf-8", "replace")
        if self.quiet and (not self.is_error or REMARK.match(readable)):
            return
        with contextlib.suppress(OSError):  # the terminal may be closed; logging continues
            if self.bars is None:
                self.output.write(text + (b"\n" if is_whole else b""))
                self.output.flush()
            elif record is None or not self.bars.show(record):
                self.bars.print(readable, is_whole)
            elif readable != record.line:
                self.bars.print(readable.removesuffix(record.line), is_whole)


def serve(reading: list[int], log: str | None, quiet: bool) -> None:
    """Show and log the bytes from two pipes until both end.

    Args:
        reading: Read ends of the pipes for stdout and stderr.
        log: Path of the log; None for no log.
        quiet: Whether only errors are shown.
    """
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(open(log, "a", buffering=1, encoding="utf-8")) if log else None
        is_terminal = sys.stdout.isatty() and sys.stderr.isatty() and not quiet
        bars = Bars() if is_terminal else None
        if bars is not None:
            stack.callback(bars.close)
        selector = stack.enter_context(selectors.DefaultSelector())
        for end, output, is_error in zip(reading, (sys.stdout.buffer, sys.stderr.buffer), (False, True), strict=True):
            sink = Sink(output, is_error, file, bars, quiet)
            stack.callback(sink.close)
            selector.register(end, selectors.EVENT_READ, sink)
        while selector.get_map():
            waiting = [key.data for key in selector.get_map().values() if key.data.has_rest]
            ready = selector.select(PARTIAL_LINE_DELAY if waiting else None)
            for key, _ in ready:
                data = os.read(key.fd, CHUNK_BYTES)
                key.data.take(data.replace(END, b""))
                if not data or END in data:
                    selector.unregister(key.fd)
            if not ready:
                for sink in waiting:
                    sink.show_rest()


def main() -> None:
    """Run the console process."""
    spell_out()
    parser = argparse.ArgumentParser(prog="python -m aframe.machine.console")
    parser.add_argument("reading", nargs=2, type=int)
    parser.add_argument("--log")
    parser.add_argument("--quiet", action="store_true")
    options = parser.parse_args()
    serve(options.reading, options.log, options.quiet)


if __name__ == "__main__":
    main()
