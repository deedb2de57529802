"""Training on a cluster, from the Job's first manifest to the trained model."""

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aframe import storage
from aframe.errors import BatchError, ConfigurationError, MistakesError, StorageError
from aframe.kubernetes import manifests, states
from aframe.kubernetes.cluster import BATCH, CORE, Cluster, UnreachableError
from aframe.kubernetes.manifests import CACHE, CONTAINER, FILES, JOB_NAME, Manifest
from aframe.progress import activity
from aframe.runs.artifacts import Artifacts, training_parameters

INTERVAL = 5.0
"""Seconds from one look at the Job to the next."""

PULL_PATIENCE = 600.0
"""Seconds for which an image may fail to be pulled before that is an error."""

ALL = "all"
"""Stands, among the times of lines that were shown, for a pod that has ended and whose log was shown to its end."""

LOOPBACK = ("//127.", "//localhost", "//[::1]")

PASSED = ("AFRAME_", "AWS_", "WANDB_", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
"""How the names of variables begin that training takes along."""

OF_THIS_MACHINE = (
    "AFRAME_CACHE_DIR", activity.FILE, activity.LOG, "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE", "AWS_CA_BUNDLE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "WANDB_DIR",
)  # fmt: skip
"""Variables that mean nothing elsewhere: paths, and what is looked up by them."""

DEVICES = "train.trainer.devices"
"""Key of the training's YAML."""

MOST_BYTES = 900_000
"""Of a run's files: a ConfigMap holds 1 MiB."""


def check_remote(run: Artifacts) -> None:
    """Refuse a run whose training a pod could not do: its data and results must be where it can reach them.

    Raises:
        MistakesError: Naming each variable.
    """
    told = [
        f"AFRAME_{name.upper()}_DIR = {getattr(run.directories, name)}: pods cannot reach this machine's disk: "
        "training on Kubernetes needs s3://bucket/prefix"
        for name in ("train_data", "train_run")
        if not storage.is_remote(getattr(run.directories, name))
    ]
    endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
    if any(host in endpoint for host in LOOPBACK):
        told.append(
            f"AWS_ENDPOINT_URL = {endpoint}: pods on other machines cannot reach this address: give the store's name"
        )
    if told:
        raise MistakesError(told)


def check_devices(run: Artifacts) -> None:
    """Refuse a number of devices that is not that of the pod's GPUs: some would be idle, or missing.

    Raises:
        ConfigurationError: If the training's YAML gives another number.
    """
    gpus, devices = run.config.kubernetes.training_gpus, training_parameters(run.training_yaml).get(DEVICES)
    if isinstance(devices, int) and devices > 0 and devices != max(gpus, 1):
        raise ConfigurationError(
            f"training_gpus = {gpus} in [luigi_kubernetes], but trainer.devices = {devices} in {run.training_yaml}: "
            "make them equal, or set devices: auto"
        )


def check_cluster(run: Artifacts) -> None:
    """Refuse a cluster that cannot be reached, or lets us look at no Jobs.

    Raises:
        ConfigurationError: If no way to it is known.
        BatchError: If it does not answer, or refuses.
    """

    async def look() -> None:
        async with Cluster.connected(run.config.kubernetes):
            pass

    asyncio.run(look())


def files_of(run: Artifacts) -> dict[str, str]:
    """Texts of what a pod needs beside its data: the ``.cfg``, the training's YAML, and code and priors beside them.

    Raises:
        ConfigurationError: If the YAML does not lie beside the ``.cfg``, or all are too large.
    """
    folder, training = run.config.path.parent, Path(run.training_yaml)
    if training.parent.resolve() != folder.resolve():
        raise ConfigurationError(
            f"config = {run.config.Train.config} in [luigi_Train]: for training on Kubernetes, put it beside the .cfg"
        )
    paths = [run.config.path, training, *sorted(folder.glob("*.py")), *sorted(folder.glob("*.prior"))]
    files = {path.name: storage.read_text(str(path)) for path in paths}
    size = sum(len(text.encode()) for text in files.values())
    if size > MOST_BYTES:
        raise ConfigurationError(
            f"{', '.join(files)} in {folder} have {size} bytes together, more than the {MOST_BYTES} that can be taken "
            "along to Kubernetes: move what training does not need"
        )
    return files


def variables_of(run: Artifacts, environment: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Environment of a pod: what anybody may see, and what is for the pod alone.

    Credentials of S3 are those that would be used here, whether they come from variables, files or a role.

    Args:
        run: The run.
        environment: Of this process.
    """
    import botocore.session

    plain = {
        "LAW_CONFIG_FILE": f"{FILES}/{run.config.path.name}",
        "AFRAME_CACHE_DIR": CACHE,
        "PYTHONUNBUFFERED": "1",
    }
    path = run.activity("Train")
    if storage.is_remote(path):
        plain[activity.FILE] = path
    private = {
        name: value
        for name, value in environment.items()
        if name.startswith(PASSED) and name not in OF_THIS_MACHINE and value
    }
    session = botocore.session.Session()
    credentials = session.get_credentials()
    if credentials is not None:
        frozen = credentials.get_frozen_credentials()
        names = {"AWS_ACCESS_KEY_ID": frozen.access_key, "AWS_SECRET_ACCESS_KEY": frozen.secret_key}
        private |= names | ({"AWS_SESSION_TOKEN": frozen.token} if frozen.token else {})
    settings = session.get_scoped_config()
    for name, key in (("AWS_ENDPOINT_URL", "endpoint_url"), ("AWS_DEFAULT_REGION", "region")):
        if name not in private and settings.get(key):
            private[name] = settings[key]
    return plain, private


def manifests_of(run: Artifacts, namespace: str, environment: Mapping[str, str]) -> list[Manifest]:
    """Job, Secret and ConfigMap of a run's training.

    Args:
        run: The run.
        namespace: Where they are to lie.
        environment: Of this process.

    Raises:
        ConfigurationError: If the run cannot be trained on Kubernetes.
    """
    settings = run.config.kubernetes
    check_image(run)
    check_remote(run)
    check_devices(run)
    # a job keeps its name when the pod has chosen a precision, so that it is found again
    name = manifests.name_of(run.directories.train_run, run.configured_model)
    plain, private = variables_of(run, environment)
    yaml = f"{FILES}/{Path(run.training_yaml).name}"
    command = ["python", "-P", "-m", "aframe.cli", "train", "fit", "--config", yaml]
    return [
        manifests.job(name, settings, namespace, command, plain),
        manifests.secret(name, namespace, private),
        manifests.config_map(name, namespace, files_of(run)),
    ]


def check_image(run: Artifacts) -> None:
    """Refuse a run that does not say in which image it trains.

    Raises:
        ConfigurationError: If it has no ``training_image``.
    """
    if not run.config.kubernetes.trains:
        raise ConfigurationError(
            f"{run.config.path}: [luigi_kubernetes] has no training_image: name the image that trains"
        )


def train(run: Artifacts) -> None:
    """Train on the cluster that ``[luigi_kubernetes]`` names, and show the log; a Job that is there is followed.

    Interrupted, it leaves the Job running: the same command finds it again.

    Raises:
        BatchError: If training failed, or the cluster refuses or does not answer.
        ConfigurationError: If the run cannot be trained there.
        StorageError: If there is no model when all is done.
    """
    check_image(run)
    asyncio.run(_train(run))
    if not storage.exists(run.model):
        raise StorageError(f"training on Kubernetes ended well, but there is no {run.model}: does the pod write there?")


async def _train(run: Artifacts) -> None:
    async with Cluster.connected(run.config.kubernetes) as cluster:
        await _train_on(cluster, *manifests_of(run, cluster.namespace, os.environ))


async def _train_on(cluster: Cluster, job: Manifest, *belongings: Manifest) -> None:
    name = job["metadata"]["name"]
    try:
        await submit(cluster, job, belongings)
        await Follower(cluster, name).follow()
    except asyncio.CancelledError:
        print(
            f"Train: Job {name} in namespace {cluster.namespace} goes on: the same command follows it again, "
            f"`kubectl delete job {name} -n {cluster.namespace}` ends it",
            flush=True,
        )
        raise
    except UnreachableError:
        raise  # the Job goes on, or the cluster deletes what belongs to it
    except BatchError:
        with contextlib.suppress(BatchError):  # the first error is the one to tell
            await _clear_up(cluster, name)
        raise
    await _clear_up(cluster, name)


async def submit(cluster: Cluster, job: Manifest, belongings: Sequence[Manifest]) -> None:
    """Start a Job, unless it runs: then its Secret is renewed, for pods that are still to come.

    Args:
        cluster: Where.
        job: Its manifest.
        belongings: Secret and ConfigMap.
    """
    name = job["metadata"]["name"]
    there = await cluster.call("GET", BATCH, f"jobs/{name}", missing_is_fine=True)
    if there is not None and (states.ending(there) or there["metadata"].get("deletionTimestamp")):
        await delete(cluster, name)
        there = None
    where = f"Job {name} in namespace {cluster.namespace}"
    if there is None:
        there = await cluster.call("POST", BATCH, "jobs", content=json.dumps(job))
        print(f"Train: {where} made", flush=True)
    else:
        print(f"Train: {where} is there: following it", flush=True)
    there = {"apiVersion": job["apiVersion"], "kind": job["kind"], **there}
    for manifest in belongings:
        kind = {"Secret": "secrets", "ConfigMap": "configmaps"}[manifest["kind"]]
        await cluster.renew(CORE, kind, manifests.owned(manifest, there))
    if there["spec"].get("suspend"):
        await cluster.call("PATCH", BATCH, f"jobs/{name}", content=json.dumps({"spec": {"suspend": False}}))


async def delete(cluster: Cluster, name: str) -> None:
    """Delete a Job with its pods, Secret and ConfigMap, and wait until it is gone."""
    await cluster.call(
        "DELETE", BATCH, f"jobs/{name}", missing_is_fine=True, content=json.dumps({"propagationPolicy": "Foreground"})
    )
    while await cluster.call("GET", BATCH, f"jobs/{name}", missing_is_fine=True) is not None:
        await asyncio.sleep(INTERVAL)
    await _delete_belongings(cluster, name)


async def _clear_up(cluster: Cluster, name: str) -> None:
    """Delete a Job that has not begun, and what belongs to one that has ended; one that goes on needs all that."""
    job = await cluster.call("GET", BATCH, f"jobs/{name}", missing_is_fine=True)
    if job is not None and job["spec"].get("suspend"):
        await delete(cluster, name)
    elif job is None or states.ending(job):
        await _delete_belongings(cluster, name)


async def _delete_belongings(cluster: Cluster, name: str) -> None:
    for kind in ("secrets", "configmaps"):
        await cluster.call("DELETE", CORE, f"{kind}/{name}", missing_is_fine=True)


class Follower:
    """Follows a Job to its end, and shows what there is to know meanwhile.

    Args:
        cluster: Where it is.
        name: Of the Job.
    """

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster, self.name = cluster, name
        self._seen: dict[str, str] = {}
        self._told: set[str] = set()
        self._pull_failed_since = 0.0

    async def follow(self) -> None:
        """Show the log of its pods, and return when it has done its work.

        Raises:
            BatchError: If it has failed, was deleted, or its image cannot be had.
        """
        while True:
            job = await self.cluster.call("GET", BATCH, f"jobs/{self.name}", missing_is_fine=True)
            if job is None:
                raise BatchError(
                    f"Job {self.name} was deleted by somebody else: run again to continue training from its last "
                    "checkpoint"
                )
            pods = await self._pods()
            for pod in pods:
                await self._show(pod, is_last=pod is pods[-1])
            ended = states.ending(job)
            if ended is not None and ended.is_good:
                return
            if ended is not None:
                raise BatchError(self._why(ended, pods))
            await asyncio.sleep(INTERVAL)

    async def _pods(self) -> list[states.Object]:
        """Its pods, the oldest first."""
        found = await self.cluster.call("GET", CORE, "pods", params={"labelSelector": f"{JOB_NAME}={self.name}"})
        return sorted(found["items"], key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")))

    async def _show(self, pod: states.Object, is_last: bool) -> None:
        """Show why a pod waits, its log while it runs, and how it ended; of those before the last, no whole logs."""
        name, phase = pod["metadata"]["name"], states.phase(pod)
        waits = states.waiting(pod) if phase == "Pending" else None
        if waits is not None:
            self._tell(f"pod {name} waits: {waits.told}")
            await self._give_up_on(waits)
        if states.has_started(pod) and self._seen.get(name) != ALL and (is_last or name in self._seen):
            async for when, line in self.cluster.log(name, CONTAINER, self._seen.get(name, "")):
                print(line, flush=True)
                self._seen[name] = when or self._seen.get(name, "")
            if phase in ("Succeeded", "Failed"):
                self._seen[name] = ALL
        if phase == "Failed":
            ended = (
                f"was evicted ({states.failure(pod)})" if states.was_evicted(pod) else f"failed: {states.failure(pod)}"
            )
            self._tell(f"pod {name} {ended}")

    async def _give_up_on(self, waits: states.Waiting) -> None:
        """Delete a Job whose image cannot be had."""
        if waits.reason in states.UNLIKELY:
            self._pull_failed_since = self._pull_failed_since or time.monotonic()
        elif waits.reason not in states.HOPELESS:
            self._pull_failed_since = 0.0
            return
        if waits.reason in states.HOPELESS or time.monotonic() - self._pull_failed_since > PULL_PATIENCE:
            await delete(self.cluster, self.name)
            raise BatchError(
                f"Job {self.name} was deleted, as its pod cannot start ({waits.told}): mend training_image or "
                "pull_secret in [luigi_kubernetes]"
            )

    def _tell(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            print(f"Train: {line}", flush=True)

    def _why(self, ended: states.Ending, pods: list[states.Object]) -> str:
        failed = [pod for pod in pods if states.phase(pod) == "Failed" and not states.was_evicted(pod)]
        why = states.failure(failed[-1]) if failed else ended.message or ended.reason
        if ended.reason == "DeadlineExceeded":
            why = "it took longer than training_time in [luigi_kubernetes]; run again to continue"
        return f"training on Kubernetes failed ({ended.reason}): {why}; what it printed says more"


def dry_run(run: Artifacts, environment: Mapping[str, str]) -> str:
    """The manifests of a run's training as YAML, without what is secret; the cluster is not asked.

    Args:
        run: The run.
        environment: Of this process.
    """
    import yaml

    class Dumper(yaml.SafeDumper):
        """Writes a file's text as it stands, line by line."""

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)

    Dumper.add_representer(str, text)
    namespace = run.config.kubernetes.namespace or "default"
    job, secret, files = manifests_of(run, namespace, environment)
    shown: list[dict[str, Any]] = [job, manifests.masked(secret), files]
    return "---\n".join(yaml.dump(manifest, Dumper=Dumper, sort_keys=False, width=1000) for manifest in shown)
