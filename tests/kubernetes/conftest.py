from collections.abc import Iterator
from pathlib import Path

import clusters
import pytest
from terminal import put_on, write_run

from aframe.kubernetes import cluster as connection
from aframe.kubernetes import follower


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[clusters.Cluster]:
    """A cluster, to which this process's kubeconfig leads, and in whose time seconds are short."""
    cluster = clusters.Cluster(tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    monkeypatch.setattr(follower, "POLL_INTERVAL", 0.05)
    monkeypatch.setattr(connection, "FIRST_PAUSE", 0.05)
    yield cluster
    cluster.stop()


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run whose training runs on Kubernetes."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "an id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a very secret key")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://s3.example.org")
    run = put_on("s3://bucket/run", write_run(tmp_path / "run"))
    with (run / "sandbox.cfg").open("a") as file:
        file.write("\n[luigi_kubernetes]\ntraining_image = example.org/aframe:1\n")
    return run
