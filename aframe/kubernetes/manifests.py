"""Manifests of a training: the Job, the Secret with its credentials, and the ConfigMap with its files.

The Job is created first, suspended. The Secret and the ConfigMap belong to it from the start. The cluster therefore
deletes them with the Job, even if the process that created them ends.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from aframe.settings.jobs import Kubernetes

Manifest = dict[str, Any]

CONTAINER = "train"
"""Name of the container in a pod."""

FILES, CACHE, SHARED = "/etc/aframe", "/cache", "/dev/shm"
"""Directories of a pod: files of the run, local copy of the training data, and shared memory."""

JOB_NAME = "batch.kubernetes.io/job-name"
"""Label of the pods of a Job. Kubernetes sets it."""

FINISHED_LIFETIME = 86400
"""Seconds after which the cluster deletes a finished Job with its Secret and ConfigMap."""

GRACE_PERIOD = 300
"""Seconds that an evicted training has to write a checkpoint."""

MASKED = "***"
"""Text in place of a secret value."""


def name_of(train_run: str, made_with: Mapping[str, Any]) -> str:
    """Name of the Job of a training. It depends on the directory and the parameters.

    Args:
        train_run: Directory of the training.
        made_with: Parameters of the model.
    """
    content = json.dumps([train_run, made_with], sort_keys=True, default=str)
    return f"aframe-train-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def job(name: str, settings: Kubernetes, namespace: str, command: list[str], variables: Mapping[str, str]) -> Manifest:
    """Manifest of a suspended Job. The Job starts when ``suspend`` is set to false.

    Kubernetes replaces evicted and preempted pods without counting them as failures. Training then continues from its
    last checkpoint.

    Args:
        name: Name of the Job, its Secret and its ConfigMap.
        settings: Image and resources.
        namespace: Namespace of the Job.
        command: Command of the container.
        variables: Environment variables that are not secret.
    """
    evicted = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    specification: Manifest = {
        "suspend": True,
        "backoffLimit": settings.restarts,
        "ttlSecondsAfterFinished": FINISHED_LIFETIME,
        "podFailurePolicy": {"rules": [evicted]},
        "template": {"metadata": {"labels": _labels(name)}, "spec": _pod(name, settings, command, variables)},
    }
    if settings.training_time is not None:
        specification["activeDeadlineSeconds"] = round(settings.training_time)
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": _metadata(name, namespace), "spec": specification}


def _pod(name: str, settings: Kubernetes, command: list[str], variables: Mapping[str, str]) -> Manifest:
    """Specification of a pod.

    Args:
        name: Name of the Job, its Secret and its ConfigMap.
        settings: Image and resources.
        command: Command of the container.
        variables: Environment variables that are not secret.
    """
    pod: Manifest = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": GRACE_PERIOD,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": CONTAINER,
                "image": settings.training_image,
                "command": command,
                "env": [{"name": key, "value": value} for key, value in sorted(variables.items())],
                "envFrom": [{"secretRef": {"name": name}}],
                "resources": _resources(settings),
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                "volumeMounts": [
                    {"name": "files", "mountPath": FILES, "readOnly": True},
                    {"name": "cache", "mountPath": CACHE},
                    {"name": "shared", "mountPath": SHARED},
                ],
            }
        ],
        "volumes": [
            {"name": "files", "configMap": {"name": name}},
            {"name": "cache", "emptyDir": {"sizeLimit": f"{settings.scratch}Mi"}},
            {"name": "shared", "emptyDir": {"medium": "Memory", "sizeLimit": f"{settings.shared_memory}Mi"}},
        ],
    }
    if settings.min_gpu_memory is not None:
        least = {"key": "nvidia.com/gpu.memory", "operator": "Gt", "values": [str(settings.min_gpu_memory - 1)]}
        terms = {"nodeSelectorTerms": [{"matchExpressions": [least]}]}
        pod["affinity"] = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    if settings.training_gpus:
        pod["tolerations"] = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    if settings.node_labels:
        pod["nodeSelector"] = dict(label.split("=") for label in settings.node_labels)
    if settings.priority_class is not None:
        pod["priorityClassName"] = settings.priority_class
    if settings.pull_secret is not None:
        pod["imagePullSecrets"] = [{"name": settings.pull_secret}]
    return pod


def _resources(settings: Kubernetes) -> Manifest:
    """Resources of a pod. Requests and limits are equal."""
    amounts = {
        "cpu": str(settings.cpus_per_gpu * settings.devices),
        "memory": f"{settings.memory_per_gpu * settings.devices}Mi",
        "ephemeral-storage": f"{settings.scratch}Mi",
    }
    if settings.training_gpus:
        amounts["nvidia.com/gpu"] = str(settings.training_gpus)
    return {"requests": amounts, "limits": dict(amounts)}


def secret(name: str, namespace: str, variables: Mapping[str, str]) -> Manifest:
    """Manifest of the Secret.

    Args:
        name: Name of the Job.
        namespace: Namespace of the Job.
        variables: Environment variables that are secret.
    """
    metadata = _metadata(name, namespace)
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "stringData": {**variables}}


def masked(manifest: Manifest) -> Manifest:
    """Manifest of a Secret with masked values."""
    return manifest | {"stringData": dict.fromkeys(manifest["stringData"], MASKED)}


def config_map(name: str, namespace: str, files: Mapping[str, str]) -> Manifest:
    """Manifest of the ConfigMap.

    Args:
        name: Name of the Job.
        namespace: Namespace of the Job.
        files: Contents of the files of the run, by name.
    """
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _metadata(name, namespace), "data": dict(files)}


def owned(manifest: Manifest, job: Manifest) -> Manifest:
    """Add an owner to a manifest. The cluster deletes the resource with its owner.

    Args:
        manifest: Manifest of the resource.
        job: The owner, a Job, as the cluster returns it.

    Returns:
        The manifest with the owner.
    """
    owner = {key: job[key] for key in ("apiVersion", "kind")}
    owner |= {key: job["metadata"][key] for key in ("name", "uid")}
    return manifest | {"metadata": manifest["metadata"] | {"ownerReferences": [owner]}}


def _metadata(name: str, namespace: str) -> Manifest:
    """Metadata of a resource."""
    return {"name": name, "namespace": namespace, "labels": _labels(name)}


def _labels(name: str) -> dict[str, str]:
    """Labels of all resources of a training."""
    return {
        "app.kubernetes.io/name": "aframe",
        "app.kubernetes.io/component": CONTAINER,
        "app.kubernetes.io/instance": name,
        "app.kubernetes.io/managed-by": "aframe",
    }
