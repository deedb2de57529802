"""What a run prints, through a process of its own: to the log, and to the terminal as it can show it."""

import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from aframe.machine.console_records import End, Share

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


JOBS = Share("all 40 jobs", 10, 40, 40.0, " s")

RECORDS = (
    Share("Train", 3, 40, 5.0, note="loss 0.2, AUROC 0.9", step="epoch"),
    Share("ScoreSlides 3/40", 4, 8, 5.0, " s of background", "9 windows/s", overall=JOBS),
    Share("strain searched", 30, 40, 3.0, " s"),
    End("Train", 30.0),
)

LINES = (
    "Train: epoch 3 of 40: loss 0.2, AUROC 0.9, 5 s left",
    "ScoreSlides 3/40: 4 of 8 (50 %) s of background, 9 windows/s, 5 s left; all 40 jobs: 10 of 40 (25 %) s, 40 s left",
    "strain searched: 30 of 40 (75 %) s, 3 s left",
    "Train: done in 30 s",
)
"""The records in words."""

EMITS = (
    HEAD
    + f"""
from aframe.machine.console_records import End, Share, emit
for record in {RECORDS!r}:
    emit(record)
    time.sleep(0.3)
print("report: /runs/report.html", flush=True)
console.stop()
"""
)


def without_codes(seen: str) -> str:
    """What a terminal is sent, without its control sequences."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen)


def test_on_a_terminal_progress_is_bars_and_the_rest_is_lines(tmp_path: Path) -> None:
    plain = without_codes(on_a_terminal(EMITS, str(tmp_path / "log")))
    assert re.search(r"Train +\S+ +8% loss 0.2, AUROC 0.9, 5 s left", plain)
    assert re.search(r"ScoreSlides +\S+ +25% 40 s left", plain)
    assert re.search(r"strain searched +\S+ +75% s, 3 s left", plain)
    assert "3/40" not in plain
    assert "Train: done in 30 s\r\n" in plain
    assert "report: /runs/report.html\r\n" in plain
    assert not re.search(r"Train +\S+ +8%", plain.partition("report: ")[2])
    assert logged(tmp_path / "log") == [*LINES, "report: /runs/report.html"]


def test_elsewhere_progress_is_lines_and_quiet_hides_them(tmp_path: Path) -> None:
    lines = [*LINES, "report: /runs/report.html"]
    assert run(EMITS, str(tmp_path / "log")).stdout.splitlines() == lines
    assert run(EMITS, str(tmp_path / "quiet"), AFRAME_QUIET="1").stdout == ""
    assert logged(tmp_path / "log") == logged(tmp_path / "quiet") == lines


def test_lines_of_a_user_that_look_like_progress_are_lines(tmp_path: Path) -> None:
    lines = (
        *LINES, "x: 3 of 4 (75 %) s, 2 s left", "\x1e", "\x1e[1]", '\x1e{"name":"x","duration":"long"}',
        '\x1e{"name":"x","done":1,"total":0,"left":0,"overall":null}',
    )  # fmt: skip
    script = HEAD + f"for line in {lines!r}: print(line, flush=True)\ntime.sleep(0.3)\nconsole.stop()"
    assert run(script, str(tmp_path / "log")).stdout.split("\n") == [*lines, ""]
    assert (tmp_path / "log").read_text().count("\n") == len(lines)
    plain = without_codes(on_a_terminal(script)).replace("\x1e", "")
    assert all(f"{line}\r\n".replace("\x1e", "") in plain for line in lines)
    assert "━" not in plain


def test_a_record_after_a_line_without_an_end_is_put_into_words(tmp_path: Path) -> None:
    script = EMITS.replace("emit(record)", 'print("no end ", end=""); emit(record)')
    assert run(script, str(tmp_path / "log")).stdout.splitlines()[:-1] == [f"no end {line}" for line in LINES]
    assert logged(tmp_path / "log")[:-1] == [f"no end {line}" for line in LINES]
    plain = without_codes(on_a_terminal(script))
    assert "no end" in plain
    assert re.search(r"strain searched +\S+ +75% s, 3 s left", plain)


def test_numbers_of_numpy_are_numbers() -> None:
    code = "import numpy\nfrom aframe.machine.console_records import Share, emit\n"
    script = f"{HEAD}{code}emit(Share('x', numpy.int64(1), numpy.float32(4), 3.0))\nconsole.stop()"
    assert run(script).stdout == "x: 1 of 4 (25 %), 3 s left\n"


CHILDREN = (
    HEAD
    + f"""
from multiprocessing import get_context
from aframe.machine.console_records import End, Share, emit
record = {RECORDS[1]!r}
def work():
    for _ in range(500):
        emit(record)
workers = [get_context("fork").Process(target=work) for _ in range(4)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
code = "from aframe.machine.console_records import *; emit(End('child', 30.0))"
subprocess.run([sys.executable, "-c", code], check=True)
with open(sys.argv[2], "w") as file:
    subprocess.run([sys.executable, "-c", code], check=True, stdout=file)
console.stop()
emit(End("afterwards", 30.0))
"""
)


def test_records_of_several_processes_stay_whole_and_reach_no_other_output(tmp_path: Path) -> None:
    done = run(CHILDREN, str(tmp_path / "log"), str(tmp_path / "other"))
    assert done.stdout.splitlines() == [LINES[1]] * 2000 + ["child: done in 30 s", "afterwards: done in 30 s"]
    assert (tmp_path / "other").read_text() == "child: done in 30 s\n"
    assert logged(tmp_path / "log") == done.stdout.splitlines()[:-1]


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
