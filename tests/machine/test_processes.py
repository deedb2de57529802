import subprocess
import sys
import time
from pathlib import Path

import pytest

CLAIM = """
import sys
from aframe.machine.gpus import claim_gpu
print("has", claim_gpu("3,GPU-5f/1", sys.argv[1]), flush=True)
sys.stdin.read()
"""


def worker(directory: Path) -> subprocess.Popen[str]:
    """A process that claims one of two GPUs and keeps it until it is ended."""
    command = [sys.executable, "-c", CLAIM, str(directory)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_each_worker_has_a_gpu_of_its_own_and_those_beyond_wait(tmp_path: Path) -> None:
    workers = []
    try:
        for expected in ("has 3", "has GPU-5f/1"):
            workers.append(worker(tmp_path))
            assert said(workers[-1]) == expected
        for ended, gpu in ((1, "GPU-5f/1"), (0, "3")):
            workers.append(worker(tmp_path))
            assert "are taken: waiting" in said(workers[-1])
            workers[ended].kill()  # however it ends
            workers[ended].wait()
            assert said(workers[-1]) == f"has {gpu}"
    finally:
        for process in workers:
            process.kill()
            process.communicate()


PARENT = """
import functools, os, signal, subprocess, sys
from aframe.machine.processes import die_with
die = functools.partial(die_with, os.getpid(), *[signal.SIGTERM for word in sys.argv[3:]])
child = subprocess.Popen([sys.executable, "-c", sys.argv[1], sys.argv[2]], stdout=subprocess.PIPE, preexec_fn=die)
print(child.pid, child.stdout.readline().decode().strip(), flush=True)
sys.stdin.read()
"""

CHILD = """
import pathlib, signal, sys, time
def save(*_):
    pathlib.Path(sys.argv[1]).write_text("saved")
    sys.exit()
signal.signal(signal.SIGTERM, save)
print("ready", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("asked", [True, False])
def test_a_child_ends_with_its_parent_and_saves_first_if_it_is_asked(tmp_path: Path, asked: bool) -> None:
    command = [sys.executable, "-c", PARENT, CHILD, str(tmp_path / "file"), *["SIGTERM"] * asked]
    parent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    child, ready = said(parent).split()
    assert ready == "ready"
    parent.kill()
    parent.communicate()
    end = time.monotonic() + 20
    while Path(f"/proc/{child}/cmdline").exists() and Path(f"/proc/{child}/cmdline").read_bytes():
        assert time.monotonic() < end
        time.sleep(0.01)
    assert (tmp_path / "file").exists() == asked


COLLECTION = """
import gc, os
from aframe.machine.processes import postpone_collection
postpone_collection()
print(gc.isenabled(), gc.get_freeze_count(), flush=True)
child = os.fork()
if child:
    os.waitpid(child, 0)  # else the lines of both would mix
print(gc.isenabled(), gc.get_freeze_count() > 1000, flush=True)
"""


def test_garbage_is_searched_for_once_a_process_has_imported_and_forks() -> None:
    done = subprocess.run([sys.executable, "-c", COLLECTION], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["False 0", "True True", "True True"]
