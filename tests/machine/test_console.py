"""What a run prints, through a process of its own: to the log, and to the terminal as it can show it."""

import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

STAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d "

HEAD = """
import os, subprocess, sys, time
from aframe.machine import console
console.start(sys.argv[1] if len(sys.argv) > 1 else None)
"""

PRINTS = (
    HEAD
    + """
print("first", flush=True)
subprocess.run(["sh", "-c", "echo of a child; echo error: bad >&2"], check=True)
print("note: a remark", file=sys.stderr, flush=True)
print("\\x1b[1mbold\\x1b[0m")
print("no end", end="", flush=True)
console.stop()
print("afterwards")
"""
)


def run(script: str, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", script, *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "AFRAME_QUIET"} | variables
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, env=environment)


def logged(log: Path) -> list[str]:
    """Lines of a log, without their times."""
    lines = log.read_text().splitlines()
    assert all(re.match(STAMP, line) for line in lines), lines
    return [re.sub(STAMP, "", line) for line in lines]


def test_all_that_is_printed_goes_on_as_it_is_and_into_the_log(tmp_path: Path) -> None:
    done = run(PRINTS, str(tmp_path / "log"))
    assert done.stdout == "first\nof a child\n\x1b[1mbold\x1b[0m\nno end\nafterwards\n"
    assert done.stderr == "error: bad\nnote: a remark\n"
    lines = logged(tmp_path / "log")
    assert sorted(lines) == sorted(["first", "of a child", "error: bad", "note: a remark", "bold", "no end"])
    assert [line for line in lines if line in done.stdout] == ["first", "of a child", "bold", "no end"]


def test_quiet_shows_errors_alone_and_logs_everything(tmp_path: Path) -> None:
    done = run(PRINTS, str(tmp_path / "log"), AFRAME_QUIET="1")
    assert (done.stdout, done.stderr) == ("afterwards\n", "error: bad\n")
    assert len(logged(tmp_path / "log")) == 6


def test_without_a_log_there_is_none(tmp_path: Path) -> None:
    assert run(PRINTS).stdout.startswith("first\n")
    assert not list(tmp_path.iterdir())


def test_a_child_that_stays_holds_nobody_up() -> None:
    begun = time.monotonic()
    script = (
        HEAD + 'subprocess.Popen(["sleep", "50"], start_new_session=True)\nprint("done", flush=True)\nconsole.stop()'
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.DEVNULL)
    assert process.wait(40) == 0
    assert time.monotonic() - begun < 40


def test_the_log_of_a_killed_process_is_whole(tmp_path: Path) -> None:
    script = HEAD + 'print("last words", flush=True)\nos.kill(os.getpid(), 9)'
    command = [sys.executable, "-c", script, str(tmp_path / "log")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert done.stdout == "last words\n"
    assert logged(tmp_path / "log") == ["last words"]


def on_a_terminal(script: str, *arguments: str) -> str:
    """What a terminal is sent."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", script, *arguments], stdout=theirs, stderr=theirs, stdin=theirs)
    os.close(theirs)
    seen = b""
    while True:
        try:
            data = os.read(ours, 65536)
        except OSError:  # the other end is closed
            data = b""
        if not data:
            break
        seen += data
    os.close(ours)
    assert process.wait(60) == 0
    return seen.decode()


LINES = (
    "Train: epoch 3 of 40: loss 0.2, AUROC 0.9, 5 s left",
    "ScoreSlides 3/40: 4 of 8 (50 %) s of background, 9 windows/s, 5 s left; all 40 jobs: 10 of 40 (25 %) s, 40 s left",
    "strain searched: 30 of 40 (75 %) s, 3 s left",
    "Train: done in 3 s",
    "report: /runs/report.html",
)


def test_on_a_terminal_progress_is_bars_and_the_rest_is_lines(tmp_path: Path) -> None:
    script = HEAD + f"for line in {LINES!r}: print(line, flush=True); time.sleep(0.3)\nconsole.stop()"
    seen = on_a_terminal(script, str(tmp_path / "log"))
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen)
    assert re.search(r"Train +\S+ +8% loss 0.2, AUROC 0.9, 5 s left", plain)
    assert re.search(r"ScoreSlides +\S+ +25% 40 s left", plain)
    assert re.search(r"strain searched +\S+ +75% s, 3 s left", plain)
    assert "3/40" not in plain
    assert "report: /runs/report.html\r\n" in plain
    assert logged(tmp_path / "log") == list(LINES)


QUESTION = HEAD + 'print("Really? ", end="", flush=True)\nprint(input() or "no")'


def test_a_question_is_shown_before_its_line_ends() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", QUESTION], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.read(8) == b"Really? "
        process.stdin.write(b"yes\n")
        assert process.stdout.read() == b"yes\n"
