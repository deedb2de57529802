"""A training's life on an emulated cluster, from its first manifest to its end, whichever that is."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from clusters import NAMESPACE, Cluster, ended, running
from terminal import AFRAME, environment_of, run_in

from aframe.errors import AframeError, BatchError, ConfigurationError, MistakesError
from aframe.kubernetes import cluster as connection
from aframe.kubernetes import follower, lifecycle

LOG = [f"2026-01-01T00:00:0{k}.00000000{k}Z Train: epoch {k} of 3" for k in (1, 2, 3)]
LINES = [f"Train: epoch {k} of 3" for k in (1, 2, 3)]


def train(directory: Path, script: Callable[[], None]) -> None:
    """Train while a script, in a thread, does what happens on the cluster; its own failures are the test's."""

    async def both() -> None:
        acting = asyncio.ensure_future(asyncio.to_thread(script))
        following = asyncio.ensure_future(lifecycle._train(run_in(directory)))
        await asyncio.wait((acting, following), return_when=asyncio.FIRST_EXCEPTION)
        if acting.done():
            acting.result()
        await following

    asyncio.run(both())


def nothing_secret_is_left(cluster: Cluster) -> bool:
    return not cluster.there("secrets") and not cluster.there("configmaps")


def test_training_that_succeeds(cluster: Cluster, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def script() -> None:
        name = cluster.started()
        job, secret = cluster.there("jobs")[name], cluster.there("secrets")[name]
        assert secret["stringData"]["AWS_SECRET_ACCESS_KEY"] == "a very secret key"
        assert [owner["uid"] for owner in secret["metadata"]["ownerReferences"]] == [job["metadata"]["uid"]]
        files = cluster.there("configmaps")[name]
        assert files["metadata"]["ownerReferences"] == secret["metadata"]["ownerReferences"]
        assert files["data"]["train.yaml"] == (directory / "train.yaml").read_text()
        unschedulable = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/9 nodes"}
        cluster.add_pod(name, "pod-1", conditions=[unschedulable])
        cluster.wait(lambda: "0/9 nodes" in "".join(capsys_text(capsys)))
        cluster.logs["pod-1"] = LOG[:2]
        cluster.patch("pods", "pod-1", {"status": running()})
        cluster.wait(lambda: LINES[1] in capsys_text(capsys))
        cluster.logs["pod-1"] = LOG
        cluster.patch("pods", "pod-1", {"status": ended("Succeeded", 0)})
        cluster.end(name, "Complete")

    train(directory, script)
    lines = capsys_text(capsys)
    assert [line for line in lines if line.startswith("Train: epoch")] == LINES
    assert "Train: pod pod-1 waits: Unschedulable: 0/9 nodes" in lines
    assert nothing_secret_is_left(cluster)


_told: list[str] = []


def capsys_text(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """All lines of this test so far."""
    _told.extend(capsys.readouterr().out.splitlines())
    return _told


@pytest.fixture(autouse=True)
def nothing_told() -> None:
    _told.clear()


@pytest.mark.parametrize(
    "ending",
    [
        (ended("Failed", 1), "BackoffLimitExceeded", "exit code 1"),
        (ended("Failed", 137, "OOMKilled"), "BackoffLimitExceeded", "raise memory_per_gpu"),
        (ended("Failed", 143), "DeadlineExceeded", "training_time"),
    ],
)  # fmt: skip
def test_training_that_fails(
    cluster: Cluster, directory: Path, capsys: pytest.CaptureFixture[str], ending: tuple[dict, str, str]
) -> None:
    status, reason, words = ending

    def script() -> None:
        name = cluster.started()
        cluster.logs["pod-1"] = LOG[:1]
        cluster.add_pod(name, "pod-1", **status)
        cluster.end(name, "Failed", reason, "Job has reached a limit")

    with pytest.raises(BatchError, match=words):
        train(directory, script)
    assert LINES[0] in capsys_text(capsys)
    assert nothing_secret_is_left(cluster)


def test_an_evicted_pod_is_reported_and_followed_by_another(
    cluster: Cluster, directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def script() -> None:
        name = cluster.started()
        cluster.logs |= {"pod-1": LOG[:1], "pod-2": LOG[1:]}
        target = [{"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}]
        cluster.add_pod(name, "pod-1", **ended("Failed", 143, conditions=target))
        cluster.wait(lambda: any("pod-1 was evicted" in line for line in capsys_text(capsys)))
        assert cluster.there("secrets")  # the next pod needs it
        cluster.add_pod(name, "pod-2", **running())
        cluster.wait(lambda: LINES[2] in capsys_text(capsys))
        cluster.patch("pods", "pod-2", {"status": ended("Succeeded", 0)})
        cluster.end(name, "Complete")

    train(directory, script)
    assert [line for line in capsys_text(capsys) if line.startswith("Train: epoch")] == LINES
    assert nothing_secret_is_left(cluster)


def test_an_api_that_is_away_for_a_while_and_a_log_that_breaks_off(
    cluster: Cluster, directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def script() -> None:
        name = cluster.started()
        cluster.emulator.outage, cluster.emulator.log_breaks = 6, 1
        cluster.logs["pod-1"] = LOG
        cluster.add_pod(name, "pod-1", **running())
        cluster.wait(lambda: LINES[2] in capsys_text(capsys))
        cluster.patch("pods", "pod-1", {"status": ended("Succeeded", 0)})
        cluster.end(name, "Complete")

    train(directory, script)
    lines = capsys_text(capsys)
    assert [line for line in lines if line.startswith("Train: epoch")] == LINES
    assert any("the Kubernetes API does not answer" in line for line in lines)
    assert cluster.asked[1]["sinceTime"] == LOG[0][:19] + "Z"


def test_an_api_that_never_answers(cluster: Cluster, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CONNECTION_PATIENCE", 0.3)
    cluster.emulator.outage = 1000
    with pytest.raises(BatchError, match="did not answer for 0 s"):
        train(directory, lambda: None)


def test_an_image_that_cannot_be_had(
    cluster: Cluster, directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(follower, "PULL_PATIENCE", 0.3)

    def script() -> None:
        state = {"waiting": {"reason": "ImagePullBackOff", "message": "no such tag"}}
        cluster.add_pod(cluster.started(), "pod-1", containerStatuses=[{"name": "train", "state": state}])

    with pytest.raises(BatchError, match=r"ImagePullBackOff: no such tag.*mend training_image"):
        train(directory, script)
    assert not cluster.there("jobs")
    assert not cluster.there("pods")
    assert nothing_secret_is_left(cluster)


def test_a_job_that_somebody_deletes(cluster: Cluster, directory: Path) -> None:
    def script() -> None:
        name = cluster.started()
        asyncio.run_coroutine_threadsafe(remove(cluster, name), cluster._loop).result()

    async def remove(cluster: Cluster, name: str) -> None:
        cluster.patch("jobs", name, {"metadata": {"labels": {}}})
        for (resource, _, object_name), kept in cluster.emulator.objects.items():
            if resource.plural == "jobs" and object_name == name:
                kept.delete()
        cluster.emulator._collect(name)

    with pytest.raises(BatchError, match="was deleted by somebody else"):
        train(directory, script)
    assert nothing_secret_is_left(cluster)


def test_a_failed_job_is_replaced(cluster: Cluster, directory: Path) -> None:
    for number in (1, 2):

        def script(number: int = number) -> None:
            name = cluster.started() if number == 1 else cluster.wait(lambda: fresh(cluster))
            cluster.end(name, "Failed" if number == 1 else "Complete", "BackoffLimitExceeded")

        if number == 1:
            with pytest.raises(BatchError, match="BackoffLimitExceeded"):
                train(directory, script)
        else:
            train(directory, script)
    assert len(cluster.there("jobs")) == 1


def test_a_job_keeps_its_name_when_its_pod_has_chosen_a_precision(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_in(directory)
    names, models = [], []
    for precision in (None, "32-true"):
        monkeypatch.setattr("aframe.runs.paths.recorded", lambda path, allowed, chosen=precision: chosen)
        names.append(lifecycle.manifests_of(run, NAMESPACE, os.environ)[0]["metadata"]["name"])
        models.append(run.model_parameters)
    assert models[0] != models[1]
    assert names[0] == names[1]


def fresh(cluster: Cluster) -> str | None:
    """A Job that has begun and not ended."""
    jobs = cluster.there("jobs").items()
    return next((name for name, job in jobs if not job["spec"]["suspend"] and not job.get("status")), None)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_and_found_again(
    cluster: Cluster, directory: Path, sign: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    variables = environment_of(directory)
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [AFRAME, "train", "submit", str(directory)], env=variables, stdout=pipe, stderr=pipe, text=True
    )
    name = cluster.started()
    cluster.logs["pod-1"] = LOG[:2]
    cluster.add_pod(name, "pod-1", **running())
    assert process.stdout is not None
    while process.stdout.readline().strip() != LINES[1]:
        assert process.poll() is None, process.communicate()
    process.send_signal(sign)
    output, errors = process.communicate(timeout=30)
    if sign == signal.SIGINT:
        assert f"kubectl delete job {name} -n {NAMESPACE}" in output
        assert errors == "interrupted: run the same command again to resume\n"
    assert list(cluster.there("jobs")) == [name]
    assert cluster.there("secrets")[name]["metadata"]["ownerReferences"]

    def script() -> None:
        cluster.wait(lambda: LINES[1] in capsys_text(capsys))
        cluster.logs["pod-1"] = LOG
        cluster.patch("pods", "pod-1", {"status": ended("Succeeded", 0)})
        cluster.end(name, "Complete")

    train(directory, script)
    assert any("is there: following it" in line for line in capsys_text(capsys))
    assert list(cluster.there("jobs")) == [name]
    assert nothing_secret_is_left(cluster)


@pytest.mark.parametrize(
    ("code", "words"), [(401, "renew your credentials"), (403, "ask for the right"), (422, "mend")]
)
def test_a_refusal_is_one_line(cluster: Cluster, directory: Path, code: int, words: str) -> None:
    cluster.emulator.refusal = code
    with pytest.raises(BatchError, match=f"HTTP {code}: may not do that: {words}") as raised:
        train(directory, lambda: None)
    assert "\n" not in str(raised.value)


def test_a_job_that_may_have_no_secret_does_not_stay(cluster: Cluster, directory: Path) -> None:
    cluster.emulator.refusal, cluster.emulator.refused = 403, ("configmaps",)
    with pytest.raises(BatchError, match=r"configmaps.* ask for the right"):
        train(directory, lambda: None)
    assert not cluster.there("jobs")
    assert not cluster.there("secrets")


def test_no_way_to_a_cluster(directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ConfigurationError, match="set KUBECONFIG"):
        train(directory, lambda: None)


def test_directories_and_endpoints_of_this_machine(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:7480")
    text = (directory / ".env").read_text().replace("s3://bucket/run/train_", f"{directory}/train_")
    (directory / ".env").write_text(text)
    with pytest.raises(MistakesError) as raised:
        lifecycle.check_remote(run_in(directory))
    words = ("AFRAME_TRAIN_DATA_DIR", "AFRAME_TRAIN_RUN_DIR", "AWS_ENDPOINT_URL = http://127.0.0.1:7480")
    assert all(line.startswith(word) for line, word in zip(raised.value.mistakes, words, strict=True))


def test_devices_are_as_many_as_gpus(directory: Path) -> None:
    run = run_in(directory)
    lifecycle.check_devices(run)
    with (directory / "sandbox.cfg").open("a") as file:
        file.write("training_gpus = 2\n")
    with pytest.raises(ConfigurationError, match=r"training_gpus = 2 .* trainer\.devices = 1 .* devices: auto"):
        lifecycle.check_devices(run_in(directory))
    (directory / "train.yaml").write_text((directory / "train.yaml").read_text().replace("devices: 1", "devices: auto"))
    lifecycle.check_devices(run_in(directory))


def test_files_that_cannot_be_taken_along(directory: Path) -> None:
    (directory / "large.py").write_text("#" * 1_000_000)
    with pytest.raises(AframeError, match=r"large.py.* bytes together"):
        lifecycle.files_of(run_in(directory))
    os.remove(directory / "large.py")
    (directory / "own.py").write_text("x = 1\n")
    assert set(lifecycle.files_of(run_in(directory))) == {"sandbox.cfg", "train.yaml", "own.py"}
    (directory / "elsewhere").mkdir()
    (directory / "train.yaml").rename(directory / "elsewhere" / "train.yaml")
    text = (directory / "sandbox.cfg").read_text().replace("config = train.yaml", "config = elsewhere/train.yaml")
    (directory / "sandbox.cfg").write_text(text)
    with pytest.raises(ConfigurationError, match=r"beside the \.cfg"):
        lifecycle.files_of(run_in(directory))
