"""What a cluster is told: the Job that trains, the Secret with its credentials, the ConfigMap with its files.

The Job is made first, suspended, so that the other two belong to it from their first moment: whatever becomes of the
process that made them, the cluster deletes them with the Job.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from aframe.settings.jobs import Kubernetes

Manifest = dict[str, Any]

CONTAINER = "train"

FILES, CACHE, SHARED = "/etc/aframe", "/cache", "/dev/shm"
"""Where a pod has the run's files, room for its copy of the training data, and shared memory."""

JOB_NAME = "batch.kubernetes.io/job-name"
"""Label that Kubernetes gives to a Job's pods."""

KEPT = 86400
"""Seconds for which a finished Job stays, and with it what nobody has deleted of its Secret."""

GRACE = 300
"""Seconds that training has to write a checkpoint when it must go."""

MASKED = "***"


def name_of(train_run: str, made_with: Mapping[str, Any]) -> str:
    """Name of the Job of a training: another one for another directory or other parameters.

    Args:
        train_run: Directory of the training.
        made_with: Parameters of the model.
    """
    content = json.dumps([train_run, made_with], sort_keys=True, default=str)
    return f"aframe-train-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def job(name: str, settings: Kubernetes, namespace: str, command: list[str], variables: Mapping[str, str]) -> Manifest:
    """The Job, suspended; it starts when that is taken back.

    Evicted and preempted pods are replaced without counting: training goes on from its last checkpoint.

    Args:
        name: Of the Job, its Secret and its ConfigMap.
        settings: What it may take.
        namespace: Where it lies.
        command: What a pod runs.
        variables: Environment that is no secret.
    """
    evicted = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    specification: Manifest = {
        "suspend": True,
        "backoffLimit": settings.restarts,
        "ttlSecondsAfterFinished": KEPT,
        "podFailurePolicy": {"rules": [evicted]},
        "template": {"metadata": {"labels": _labels(name)}, "spec": _pod(name, settings, command, variables)},
    }
    if settings.training_time is not None:
        specification["activeDeadlineSeconds"] = round(settings.training_time)
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": _metadata(name, namespace), "spec": specification}


def _pod(name: str, settings: Kubernetes, command: list[str], variables: Mapping[str, str]) -> Manifest:
    pod: Manifest = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": GRACE,
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
    """What the pod asks for, all of which it is given and no more."""
    amounts = {
        "cpu": str(settings.cpus_per_gpu * settings.devices),
        "memory": f"{settings.memory_per_gpu * settings.devices}Mi",
        "ephemeral-storage": f"{settings.scratch}Mi",
    }
    if settings.training_gpus:
        amounts["nvidia.com/gpu"] = str(settings.training_gpus)
    return {"requests": amounts, "limits": dict(amounts)}


def secret(name: str, namespace: str, variables: Mapping[str, str]) -> Manifest:
    """The Secret with what a pod must know and nobody else.

    Args:
        name: Of the Job.
        namespace: Where it lies.
        variables: Environment variables.
    """
    metadata = _metadata(name, namespace)
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "stringData": {**variables}}


def masked(manifest: Manifest) -> Manifest:
    """A Secret to show to anybody."""
    return manifest | {"stringData": dict.fromkeys(manifest["stringData"], MASKED)}


def config_map(name: str, namespace: str, files: Mapping[str, str]) -> Manifest:
    """The ConfigMap with a run's files.

    Args:
        name: Of the Job.
        namespace: Where it lies.
        files: Their texts, by name.
    """
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _metadata(name, namespace), "data": dict(files)}


def owned(manifest: Manifest, job: Manifest) -> Manifest:
    """A manifest of something that goes when a Job goes.

    Args:
        manifest: Of the thing.
        job: The Job, as the cluster has it.
    """
    owner = {key: job[key] for key in ("apiVersion", "kind")}
    owner |= {key: job["metadata"][key] for key in ("name", "uid")}
    return manifest | {"metadata": manifest["metadata"] | {"ownerReferences": [owner]}}


def _metadata(name: str, namespace: str) -> Manifest:
    return {"name": name, "namespace": namespace, "labels": _labels(name)}


def _labels(name: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": "aframe",
        "app.kubernetes.io/component": CONTAINER,
        "app.kubernetes.io/instance": name,
        "app.kubernetes.io/managed-by": "aframe",
    }
