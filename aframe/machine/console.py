"""Where the lines of a run go: all of them to its log, and to the terminal as it can show them.

Everything that a run and its many processes print passes one process more, which writes the log, turns lines of
progress into bars where there is a terminal, and hands on all other lines as they are. It ends when nobody is left to
print.
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

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

QUIET = "AFRAME_QUIET"
"""Environment variable: whether the terminal shows errors alone."""

PLAIN = {
    "✔": "+", "✘": "x", "▶": ">", "‖": "|", "·": ".", "→": "->", "–": "-", "—": "-", "…": "...", "±": "+-", "×": "x",
    "²": "2", "³": "3", "σ": "sigma", "\u202f": " ", "\xa0": " ",
}  # fmt: skip
"""What stands for a sign in an output whose encoding has none for it; for all others its number in Unicode does."""

CHUNK_BYTES = 2**16

IDLE = 0.2
"""Seconds after which what stands on a line without an end is shown all the same: somebody may be asked something."""

STALE = 60.0
"""Seconds after which a bar that nobody moves goes."""

PATIENCE = 10.0
"""Seconds that a run which ends waits for its last lines to be shown."""

END = b"\0\n"
"""What a run that ends prints last; others may still hold its output open."""

REMARK = re.compile(r"(note|warning): ")
"""How lines on stderr begin that tell no error."""

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")

SHARE = r"(?P<done>[\d.]+) of (?P<total>[\d.]+)"

OVERALL = re.compile(rf"^(?P<name>\S+).*; all \d+ jobs: {SHARE} \(\d+ %\) s(?P<rest>.*)$")
"""A line of one of many jobs, which says how far all of them have come."""

PROGRESS = re.compile(rf"^(?P<name>[^:]+): (?:epoch )?{SHARE}(?: \(\d+ %\)|: )(?P<rest>.*)$")
"""A line of progress of any other kind."""

DONE = re.compile(r"^(?P<name>[^:]+): done in ")


def start(log: str | None) -> None:
    """Send what this process and its children print from now on through a console process.

    Args:
        log: Local path of the log, which grows; None for none.
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
    kept = [os.dup(1), os.dup(2)]
    for end, stream in zip(writing, (1, 2), strict=True):
        os.dup2(end, stream)
    _running.append((process, list(writing), kept))


_running: list[tuple["subprocess.Popen[bytes]", list[int], list[int]]] = []
"""The console of this process, the ends that it is written to by, and the outputs that there were before."""


def stop() -> None:
    """Print as before, once the console has shown all that was printed until now."""
    while _running:
        process, writing, kept = _running.pop()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        for end in writing:
            with contextlib.suppress(BrokenPipeError):
                os.write(end, END)
            os.close(end)
        for old, stream_number in zip(kept, (1, 2), strict=True):
            os.dup2(old, stream_number)
            os.close(old)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)


def spell_out() -> None:
    """Print signs in words that the outputs' encodings have, where they have no such signs."""
    codecs.register_error("spelled out", _spelled_out)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "backslashreplace"):
            stream.reconfigure(errors="spelled out")


def _spelled_out(error: UnicodeError) -> tuple[str, int]:
    """What is printed for the characters that an encoding lacks, and where to go on."""
    assert isinstance(error, UnicodeEncodeError)
    lacking = error.object[error.start : error.end]
    spelled = (PLAIN.get(each) or each.encode("ascii", "backslashreplace").decode() for each in lacking)
    return "".join(spelled), error.end


def drop_unwritable(stream: IO[str]) -> None:
    """Drop what is left to be written to a stream if that is not possible, and all that is printed to it later."""
    try:
        stream.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


class Bars:
    """Bars at the bottom of a terminal, of whatever told its progress lately."""

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

    def __call__(self, line: str) -> bool:
        """Move the bar that a line is about; whether it was about one, and need not be printed."""
        now = time.monotonic()
        for name in [name for name, (_, moved) in self.bars.items() if now - moved > STALE]:
            self._remove(name)
        done = DONE.match(line)
        if done:
            self._remove(done["name"])
        told = OVERALL.match(line) or PROGRESS.match(line)
        if not told:
            return False
        values = {"completed": float(told["done"]), "total": float(told["total"]), "rest": told["rest"].strip(" ,")}
        known = self.bars.get(told["name"])
        task = known[0] if known else self.shown.add_task(told["name"], rest="")
        self.shown.update(task, **values)  # type: ignore[arg-type] # it takes fields of any name
        self.bars[told["name"]] = task, now
        return True

    def _remove(self, name: str) -> None:
        known = self.bars.pop(name, None)
        if known:
            self.shown.remove_task(known[0])

    def print(self, text: str, is_whole: bool) -> None:
        """Print above the bars."""
        from rich.text import Text

        self.console.print(Text.from_ansi(text), end="\n" if is_whole else "", soft_wrap=True)

    def close(self) -> None:
        """Take the bars away."""
        self.shown.stop()


@dataclass
class Sink:
    """What becomes of the lines of one of the two outputs.

    Attributes:
        output: Where they go.
        is_error: Whether it is stderr.
        log: The run's log, if it has one.
        bars: Of a terminal.
        quiet: Whether only errors are shown.
        pending: A line that has no end yet.
        shown: How many of its bytes are shown.
    """

    output: IO[bytes]
    is_error: bool
    log: IO[str] | None
    bars: Bars | None
    quiet: bool
    pending: bytearray = field(default_factory=bytearray)
    shown: int = 0

    def take(self, data: bytes) -> None:
        """Take what was printed; whole lines go on."""
        self.pending += data
        *lines, rest = self.pending.split(b"\n")
        for line in lines:
            self._write(bytes(line[self.shown :]), bytes(line), is_whole=True)
            self.shown = 0
        self.pending = rest

    @property
    def has_rest(self) -> bool:
        """Whether something that is not shown yet stands on a line without an end."""
        return len(self.pending) > self.shown

    def show_rest(self) -> None:
        """Show it."""
        text = bytes(self.pending[self.shown :])
        self.shown = len(self.pending)
        self._write(text, None, is_whole=False)

    def close(self) -> None:
        """Show and log what is left."""
        if self.pending:
            self.take(b"\n")

    def _write(self, text: bytes, line: bytes | None, is_whole: bool) -> None:
        """Show a piece of text, and log the line that it ends."""
        if line is not None and self.log is not None:
            plain = ANSI.sub("", line.decode("utf-8", "replace")).rstrip("\r").rpartition("\r")[2]
            self.log.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {plain}\n")
        readable = text.decode("utf-8", "replace")
        if self.quiet and (not self.is_error or REMARK.match(readable)):
            return
        with contextlib.suppress(OSError):  # the terminal may have gone; the log goes on
            if self.bars is None:
                self.output.write(text + (b"\n" if is_whole else b""))
                self.output.flush()
            elif not (is_whole and self.bars(readable)):
                self.bars.print(readable, is_whole)


def serve(reading: list[int], log: str | None, quiet: bool) -> None:
    """Hand on what comes from two pipes until both end.

    Args:
        reading: Ends of the pipes that stand for stdout and stderr.
        log: Path of the log.
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
            ready = selector.select(IDLE if waiting else None)
            for key, _ in ready:
                data = os.read(key.fd, CHUNK_BYTES)
                key.data.take(data.replace(END, b""))
                if not data or END in data:
                    selector.unregister(key.fd)
            if not ready:
                for sink in waiting:
                    sink.show_rest()


def main() -> None:
    """Be a console."""
    spell_out()
    parser = argparse.ArgumentParser(prog="python -m aframe.machine.console")
    parser.add_argument("reading", nargs=2, type=int)
    parser.add_argument("--log")
    parser.add_argument("--quiet", action="store_true")
    options = parser.parse_args()
    serve(options.reading, options.log, options.quiet)


if __name__ == "__main__":
    main()
