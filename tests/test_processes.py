import subprocess
import sys
from pathlib import Path

CLAIM = """
import sys
from aframe.processes import claim_gpu
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
