"""Training on a cluster, from the manifest of the Job to the trained model."""

import asyncio
import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aframe import storage
from aframe.errors import BatchError, ConfigurationError, MistakesError, StorageError
from aframe.kubernetes import manifests, states
from aframe.kubernetes.cluster import BATCH, CORE, Cluster, UnreachableError
from aframe.kubernetes.follower import Follower, delete, delete_belongings
from aframe.kubernetes.manifests import CACHE, FILES, Manifest
from aframe.machine.console_records import CONSOLE
from aframe.progress import activity
from aframe.runs.artifacts import Artifacts, training_parameters

LOOPBACK = ("//127.", "//localhost", "//[::1]")
"""Parts of URLs that only this machine can reach."""

PASSED = ("AFRAME_", "AWS_", "WANDB_", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
"""Prefixes of environment variables that are passed to training."""

OF_THIS_MACHINE = (
    "AFRAME_CACHE_DIR", activity.FILE, activity.LOG, CONSOLE, "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CA_BUNDLE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "WANDB_DIR",
)  # fmt: skip
"""Variables that are not passed, since they refer to files of this machine."""

DEVICES = "train.trainer.devices"
"""Key of the number of devices in the training's YAML."""

MAX_BYTES = 900_000
"""Maximum total size of the files of a run, bytes. A ConfigMap holds 1 MiB."""


def check_remote(run: Artifacts) -> None:
    """Check that a pod can reach the data and results of a run.

    Raises:
        MistakesError: If not. It has one line per variable that must change.
    """
    mistakes = [
        f"AFRAME_{name.upper()}_DIR = {getattr(run.directories, name)}: pods cannot reach this machine's disk: "
        "training on Kubernetes needs s3://bucket/prefix"
        for name in ("train_data", "train_run")
        if not storage.is_remote(getattr(run.directories, name))
    ]
    endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
    if any(host in endpoint for host in LOOPBACK):
        mistakes.append(
            f"AWS_ENDPOINT_URL = {endpoint}: pods on other machines cannot reach this address: give the store's name"
        )
    if mistakes:
        raise MistakesError(mistakes)


def check_devices(run: Artifacts) -> None:
    """Check that the number of devices in the training's YAML equals the number of GPUs of the pod.

    Raises:
        ConfigurationError: If not.
    """
    gpus, devices = run.config.kubernetes.training_gpus, training_parameters(run.training_yaml).get(DEVICES)
    if isinstance(devices, int) and devices > 0 and devices != max(gpus, 1):
        raise ConfigurationError(
            f"training_gpus = {gpus} in [luigi_kubernetes], but trainer.devices = {devices} in {run.training_yaml}: "
            "make them equal, or set devices: auto"
        )


def check_cluster(run: Artifacts) -> None:
    """Check that the cluster can be reached and lists its Jobs.

    Raises:
        ConfigurationError: If the kubeconfig does not name the cluster.
        BatchError: If the cluster does not answer, or refuses the request.
    """

    async def look() -> None:
        async with Cluster.connected(run.config.kubernetes):
            pass

    asyncio.run(look())


def files_of(run: Artifacts) -> dict[str, str]:
    """Read the files that a pod needs: the ``.cfg``, the training's YAML, and the code and priors beside them.

    Args:
        run: The run.

    Returns:
        Contents by name.

    Raises:
        ConfigurationError: If the YAML is not in the directory of the ``.cfg``, or the files are too large.
    """
    folder, training = run.config.path.parent, Path(run.training_yaml)
    if training.parent.resolve() != folder.resolve():
        raise ConfigurationError(
            f"config = {run.config.Train.config} in [luigi_Train]: for training on Kubernetes, put it beside the .cfg"
        )
    paths = [run.config.path, training, *sorted(folder.glob("*.py")), *sorted(folder.glob("*.prior"))]
    files = {path.name: storage.read_text(str(path)) for path in paths}
    size = sum(len(text.encode()) for text in files.values())
    if size > MAX_BYTES:
        raise ConfigurationError(
            f"{', '.join(files)} in {folder} have {size} bytes together, more than the {MAX_BYTES} that can be taken "
            "along to Kubernetes: move what training does not need"
        )
    return files


def variables_of(run: Artifacts, environment: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Environment variables of a pod.

    The credentials for S3 are those that this process would use, whether they come from variables, files or a role.

    Args:
        run: The run.
        environment: Environment of this process.

    Returns:
        Variables that are not secret, and variables that are.
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
    """Manifests of the Job, Secret and ConfigMap for the training of a run.

    Args:
        run: The run.
        namespace: Namespace of the resources.
        environment: Environment of this process.

    Raises:
        ConfigurationError: If the run cannot be trained on Kubernetes.
    """
    settings = run.config.kubernetes
    check_image(run)
    check_remote(run)
    check_devices(run)
    # the name does not depend on the precision that the pod chooses, so that the Job is found again
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
    """Check that a run has an image for its training.

    Raises:
        ConfigurationError: If the run has no ``training_image``.
    """
    if not run.config.kubernetes.trains:
        raise ConfigurationError(
            f"{run.config.path}: [luigi_kubernetes] has no training_image: name the image that trains"
        )


def train(run: Artifacts) -> None:
    """Train on the cluster in ``[luigi_kubernetes]``, and print the log. An existing Job is followed.

    After an interruption, the Job continues. The same command follows it again.

    Raises:
        BatchError: If training failed, or the cluster refuses a request or does not answer.
        ConfigurationError: If the run cannot be trained on the cluster.
        StorageError: If the model does not exist after the training.
    """
    check_image(run)
    asyncio.run(_train(run))
    if not storage.exists(run.model):
        raise StorageError(f"training on Kubernetes ended well, but there is no {run.model}: does the pod write there?")


async def _train(run: Artifacts) -> None:
    """Connect to the cluster and train."""
    async with Cluster.connected(run.config.kubernetes) as cluster:
        await _train_on(cluster, *manifests_of(run, cluster.namespace, os.environ))


async def _train_on(cluster: Cluster, job: Manifest, *belongings: Manifest) -> None:
    """Submit a Job, follow it, and clear up after it.

    Args:
        cluster: The cluster.
        job: Manifest of the Job.
        *belongings: Manifests of its Secret and ConfigMap.
    """
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
        raise  # the Job continues, or the cluster deletes its Secret and ConfigMap
    except BatchError:
        with contextlib.suppress(BatchError):  # the first error is more informative
            await _clear_up(cluster, name)
        raise
    await _clear_up(cluster, name)


async def submit(cluster: Cluster, job: Manifest, belongings: Sequence[Manifest]) -> None:
    """Start a Job unless it runs. The Secret and ConfigMap are always renewed, for later pods of the Job.

    Args:
        cluster: The cluster.
        job: Manifest of the Job.
        belongings: Manifests of its Secret and ConfigMap.
    """
    name = job["metadata"]["name"]
    existing = await cluster.call("GET", BATCH, f"jobs/{name}", missing_is_fine=True)
    if existing is not None and (states.ending(existing) or existing["metadata"].get("deletionTimestamp")):
        await delete(cluster, name)
        existing = None
    where = f"Job {name} in namespace {cluster.namespace}"
    if existing is None:
        existing = await cluster.call("POST", BATCH, "jobs", content=json.dumps(job))
        print(f"Train: {where} made", flush=True)
    else:
        print(f"Train: {where} is there: following it", flush=True)
    existing = {"apiVersion": job["apiVersion"], "kind": job["kind"], **existing}
    for manifest in belongings:
        kind = {"Secret": "secrets", "ConfigMap": "configmaps"}[manifest["kind"]]
        await cluster.renew(CORE, kind, manifests.owned(manifest, existing))
    if existing["spec"].get("suspend"):
        await cluster.call("PATCH", BATCH, f"jobs/{name}", content=json.dumps({"spec": {"suspend": False}}))


async def _clear_up(cluster: Cluster, name: str) -> None:
    """Delete a Job that has not started. Delete the Secret and ConfigMap of a Job that has ended."""
    job = await cluster.call("GET", BATCH, f"jobs/{name}", missing_is_fine=True)
    if job is not None and job["spec"].get("suspend"):
        await delete(cluster, name)
    elif job is None or states.ending(job):
        await delete_belongings(cluster, name)


def dry_run(run: Artifacts, environment: Mapping[str, str]) -> str:
    """Manifests for the training of a run as YAML, with masked secrets. It sends no request to the cluster.

    Args:
        run: The run.
        environment: Environment of this process.
    """
    import yaml

    class Dumper(yaml.SafeDumper):
        """Dumper that writes texts with several lines as blocks."""

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)

    Dumper.add_representer(str, text)
    namespace = run.config.kubernetes.namespace or "default"
    job, secret, files = manifests_of(run, namespace, environment)
    resources: list[dict[str, Any]] = [job, manifests.masked(secret), files]
    return "---\n".join(yaml.dump(manifest, Dumper=Dumper, sort_keys=False, width=1000) for manifest in resources)
