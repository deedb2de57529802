"""Records of progress, and their words."""

import contextlib
import io
import os
import select

import pytest

from aframe.machine import console_records
from aframe.machine.console_records import CONSOLE, MARKER, End, Record, Share, emit

JOBS = Share("all 40 jobs", 10, 40, 40.0, " s")

WORDS = (
    (Share("strain", 30, 120, 5.2), "strain: 30 of 120 (25 %), 5 s left"),
    (Share("strain", 30, 120, 5.2, " s", "9 windows/s"), "strain: 30 of 120 (25 %) s, 9 windows/s, 5 s left"),
    (Share("Job 1/40", 1, 2, 3.0, overall=JOBS), f"Job 1/40: 1 of 2 (50 %), 3 s left; {JOBS.line}"),
    (Share("Train", 3, 40, 5.0, note="loss 0.2", step="epoch"), "Train: epoch 3 of 40: loss 0.2, 5 s left"),
    (End("Train", 3.14), "Train: done in 3.1 s"),
    (End("Train", 314.15), "Train: done in 314 s"),
    (Share("", 1, 2, float("inf")), ": 1 of 2 (50 %), inf s left"),
)


def through_a_pipe(record: Record, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """What a process sends to its console, without the end of the line."""
    reading, writing = os.pipe()
    monkeypatch.setenv(CONSOLE, console_records.identity(writing))
    with os.fdopen(writing, "w") as output, contextlib.redirect_stdout(output):
        emit(record)
    with os.fdopen(reading, "rb") as sent:
        return sent.read().removesuffix(b"\n")


@pytest.mark.parametrize(("record", "line"), WORDS)
def test_a_record_reaches_the_console_whole(record: Record, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = through_a_pipe(record, monkeypatch)
    assert sent.startswith(MARKER)
    assert b"\n" not in sent
    assert console_records.read(sent) == (line.encode(), record)
    assert console_records.read(b"no end " + sent) == (f"no end {line}".encode(), record)


def test_a_record_too_long_to_stay_whole_is_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    record = Share("Job", 1, 2, 3, note="x" * select.PIPE_BUF)
    assert through_a_pipe(record, monkeypatch) == record.line.encode()


def test_without_a_console_a_record_is_its_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(CONSOLE, "12:34")  # that of another process, as a job may inherit it
    emit(End("Train", 30.0))
    monkeypatch.delenv(CONSOLE)
    emit(End("Train", 31.0))
    assert capfd.readouterr().out == "Train: done in 30 s\nTrain: done in 31 s\n"
    monkeypatch.setenv(CONSOLE, console_records.identity(1))
    with contextlib.redirect_stdout(io.StringIO()) as elsewhere:
        emit(End("Train", 32.0))
    assert elsewhere.getvalue() == "Train: done in 32 s\n"
