import json
import os
import subprocess
import sys
import threading
import time
import uuid

import fsspec
import pytest

from aframe import storage
from aframe.errors import StorageError
from aframe.machine.processes import this_machine
from aframe.storage import leases
from aframe.storage.leases import claim


@pytest.fixture(params=["memory", pytest.param("s3", marks=pytest.mark.s3)])
def directory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A remote directory, and leases that are fast."""
    for name, value in (("RENEWAL_INTERVAL", 0.4), ("EXPIRY_TIME", 2.0), ("SETTLING_TIME", 0.1)):
        monkeypatch.setattr(leases, name, value)
    monkeypatch.setattr(leases, "_held", {})
    return str(request.getfixturevalue("bucket")) if request.param == "s3" else f"memory://{uuid.uuid4().hex}"


def put(directory: str, **changes: object) -> dict[str, object]:
    """Somebody else's lease."""
    lease = {"machine": "elsewhere boot", "process": 7, "token": "theirs", "beats": 0, **changes}
    filesystem, inner = fsspec.core.url_to_fs(f"{directory}/.lock")
    filesystem.pipe_file(inner, json.dumps(lease).encode())
    return lease


def read(directory: str) -> dict[str, object]:
    return dict(json.loads(storage.read_text(f"{directory}/.lock")))


def test_a_lease_is_renewed_and_names_its_holder(directory: str) -> None:
    claim([directory])
    first = read(directory)
    assert first["process"] == os.getpid()
    end = time.monotonic() + 30
    while read(directory)["beats"] == 0:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert read(directory)["token"] == first["token"]
    claim([directory, directory])
    assert read(directory)["token"] == first["token"]
    leases._release(os.getpid())
    assert not storage.exists(f"{directory}/.lock")


def test_a_lease_that_somebody_renews_is_respected(directory: str) -> None:
    put(directory)
    over = threading.Event()

    def renew() -> None:
        beats = 0
        while not over.wait(0.3):
            beats += 1
            put(directory, beats=beats)

    thread = threading.Thread(target=renew)
    thread.start()
    try:
        with pytest.raises(
            StorageError, match=rf"another run \(process 7 on elsewhere\) is at work in {directory}: wait"
        ):
            claim([directory])
    finally:
        over.set()
        thread.join()
    assert read(directory)["token"] == "theirs"


def test_a_lease_that_nobody_renews_is_taken_over(directory: str, capsys: pytest.CaptureFixture[str]) -> None:
    put(directory)
    claim([directory])
    assert read(directory)["process"] == os.getpid()
    assert "looking whether process 7 on elsewhere is still at work, for 2 s at most" in capsys.readouterr().out


def test_a_dead_process_of_this_machine_is_known_to_be_dead(directory: str, capsys: pytest.CaptureFixture[str]) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    put(directory, machine=this_machine(), process=dead.pid)
    claim([directory])
    assert read(directory)["process"] == os.getpid()
    assert capsys.readouterr().out == ""


def test_of_two_that_start_together_one_goes_on(directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "SETTLING_TIME", 0.5)
    threading.Timer(0.2, put, [directory]).start()
    with pytest.raises(StorageError, match="another run"):
        claim([directory])
    assert read(directory)["token"] == "theirs"


def test_a_lease_that_was_taken_over_is_given_up(directory: str, capsys: pytest.CaptureFixture[str]) -> None:
    claim([directory])
    put(directory)
    end = time.monotonic() + 30
    while leases._held:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert read(directory)["token"] == "theirs"
    assert f"warning: {directory}/.lock was taken over by another run" in capsys.readouterr().out


@pytest.mark.s3
def test_another_process_is_kept_out_until_the_first_one_ends(bucket: str) -> None:
    script = (
        "import sys, time; from aframe.storage import leases; leases.RENEWAL_INTERVAL = 0.4\n"
        "leases.EXPIRY_TIME, leases.SETTLING_TIME = 4, 0.1\n"
        "try:\n    leases.claim([sys.argv[1]])\nexcept Exception as error:\n    sys.exit(str(error))\n"
        "print(1, flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, bucket]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"1\n"
        refused = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=100)
        assert refused.returncode == 1
        assert f"another run (process {first.pid} on ".encode() in refused.stderr
        first.kill()
    assert subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=100).stderr == b""
    assert not storage.exists(f"{bucket}/.lock")


def test_local_directories_are_locked_by_the_kernel(tmp_path: object) -> None:
    claim([f"{tmp_path}/run"])
    script = "import sys; from aframe.storage.leases import claim; claim([sys.argv[1]])"
    result = subprocess.run([sys.executable, "-c", script, f"{tmp_path}/run"], capture_output=True, check=False)
    assert f"another run (process {os.getpid()}) is at work".encode() in result.stderr
