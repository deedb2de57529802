"""Training on an emulated cluster, whose pods are processes here, gives the tables of a local run."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from clusters import Cluster, ended, running
from comparison import differences
from terminal import AFRAME, aframe, environment_of, put_on, write_run

from aframe.train import model

pytestmark = [pytest.mark.kubernetes, pytest.mark.s3]


class Node:
    """Runs the pods of the first Job of a cluster: their command, with the variables and files that they are given.

    Args:
        cluster: The cluster.
        directory: Where pods' volumes lie.
        evictions: How many pods are evicted once they have kept a checkpoint.
    """

    def __init__(self, cluster: Cluster, directory: Path, evictions: int) -> None:
        self.cluster, self.directory, self.evictions = cluster, directory, evictions
        self.lines: list[str] = []

    def run(self) -> None:
        job = self.cluster.wait(self.cluster.first_started, 300)
        for number in range(10):
            code = self._pod(job, f"pod-{number}", is_evicted=number < self.evictions)
            if code != 143:
                self.cluster.end(job, "Failed" if code else "Complete", "BackoffLimitExceeded" if code else "")
                return

    def _pod(self, job: str, name: str, is_evicted: bool) -> int:
        """Exit code of a pod's command."""
        container = self.cluster.there("jobs")[job]["spec"]["template"]["spec"]["containers"][0]
        volumes = {"/etc/aframe": self.directory / "files", "/cache": self.directory / name}
        for path in volumes.values():
            path.mkdir(parents=True, exist_ok=True)
        for file, text in self.cluster.there("configmaps")[job]["data"].items():
            (volumes["/etc/aframe"] / file).write_text(text)

        def here(text: str) -> str:
            for mounted, path in volumes.items():
                text = text.replace(mounted, str(path))
            return text

        variables = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "OMP_NUM_THREADS") if name in os.environ}
        variables |= self.cluster.there("secrets")[job]["stringData"]
        variables |= {variable["name"]: here(variable["value"]) for variable in container["env"]}
        command = [sys.executable, *(here(word) for word in container["command"][1:])]
        log = self.cluster.logs.setdefault(name, [])
        with subprocess.Popen(
            command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd="/"
        ) as process:
            self.cluster.add_pod(job, name, **running())
            assert process.stdout is not None
            for line in process.stdout:
                log.append(f"{time.strftime('%Y-%m-%dT%H:%M:%S')}.{len(log):09}Z {line.rstrip()}")
                self.lines.append(line.rstrip())
                if is_evicted and "epoch 1 of" in line:
                    process.terminate()
        if is_evicted:
            target = [{"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}]
            self.cluster.patch("pods", name, {"status": ended("Failed", 143, conditions=target)})
            return 143
        status = ended("Failed" if process.returncode else "Succeeded", process.returncode)
        self.cluster.patch("pods", name, {"status": status})
        return process.returncode


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path)


def test_tables_are_those_of_a_local_run_and_an_eviction_changes_nothing(
    bucket: str, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    # an address that is not loopback's by its name, as no cluster's would be
    monkeypatch.setenv("AWS_ENDPOINT_URL", os.environ["AWS_ENDPOINT_URL"].replace("127.0.0.1", "0.0.0.0"))
    local, remote = write_run(tmp_path / "local"), put_on(bucket, write_run(tmp_path / "remote"))
    with (remote / "sandbox.cfg").open("a") as file:
        file.write("\n[luigi_kubernetes]\ntraining_image = example.org/aframe:1\ntraining_gpus = 0\n")
    plain = subprocess.Popen(
        [AFRAME, "run", str(local), "--workers", "1"], env=environment_of(), stdout=subprocess.DEVNULL
    )
    node = Node(cluster, tmp_path / "node", evictions=1)
    acting = threading.Thread(target=node.run, daemon=True)
    acting.start()
    result = aframe("run", str(remote), "--workers", "1", variables=environment_of())
    assert result.returncode == 0, result.stdout + result.stderr + "\n".join(node.lines)
    acting.join()
    assert plain.wait(300) == 0
    assert differences(local, bucket) == []
    weights, others = (model.load(f"{place}/train_run/model.pt").network.state_dict() for place in (local, bucket))
    assert all((weights[name] == others[name]).all() for name in weights)
    lines = result.stdout.splitlines()
    assert [line.split(":")[1] for line in lines if line.startswith("Train: epoch")] == [
        " epoch 1 of 2",
        " epoch 2 of 2",
    ]
    assert any("pod pod-0 was evicted" in line for line in lines)
    assert len(cluster.there("pods")) == 2
    assert not cluster.there("secrets")
    cluster.stop()
