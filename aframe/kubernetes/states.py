"""What the cluster says of a Job and of its pods, in words."""

from collections.abc import Iterator
from typing import Any, NamedTuple

Object = dict[str, Any]

HOPELESS = ("InvalidImageName", "ErrImageNeverPull")
"""Reasons for which a pod waits that no time will mend."""

UNLIKELY = ("ImagePullBackOff", "ErrImagePull", "CreateContainerConfigError", "CreateContainerError")
"""Reasons that may pass, as when a registry is busy, but seldom do."""


class Ending(NamedTuple):
    """How a Job ended.

    Attributes:
        is_good: Whether it did its work.
        reason: Kubernetes' word for why it did not.
        message: Its sentence.
    """

    is_good: bool
    reason: str = ""
    message: str = ""


class Waiting(NamedTuple):
    """Why a pod does not run yet.

    Attributes:
        reason: Kubernetes' word.
        message: Its sentence.
    """

    reason: str
    message: str

    @property
    def told(self) -> str:
        """Both, on one line."""
        return f"{self.reason}: {' '.join(self.message.split())}" if self.message else self.reason


def ending(job: Object) -> Ending | None:
    """How a Job ended; None where it has not."""
    for condition in job.get("status", {}).get("conditions") or ():
        if condition.get("status") == "True" and condition["type"] in ("Complete", "Failed"):
            words = (condition.get("reason", ""), " ".join(condition.get("message", "").split()))
            return Ending(condition["type"] == "Complete", *words)
    return None


def phase(pod: Object) -> str:
    """Pending, Running, Succeeded, Failed or Unknown."""
    return str(pod.get("status", {}).get("phase", "Pending"))


def waiting(pod: Object) -> Waiting | None:
    """Why a pod that is pending does not run; None where nothing is said of that."""
    status = pod.get("status", {})
    for container in _containers(pod):
        found = container.get("state", {}).get("waiting")
        if found and found.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
            return Waiting(found["reason"], found.get("message", ""))
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition.get("status") == "False":
            return Waiting(condition.get("reason", "Unschedulable"), condition.get("message", ""))
    return None


def has_started(pod: Object) -> bool:
    """Whether the pod's container has run, so that there is a log."""
    states = [container.get("state", {}) for container in _containers(pod)]
    return any("running" in state or "terminated" in state for state in states) or phase(pod) in ("Running",)


def was_evicted(pod: Object) -> bool:
    """Whether a pod was taken away for reasons that are not its own."""
    status = pod.get("status", {})
    is_target = any(
        condition["type"] == "DisruptionTarget" and condition.get("status") == "True"
        for condition in status.get("conditions") or ()
    )
    return is_target or status.get("reason") in ("Evicted", "Preempting", "NodeLost", "Shutdown", "Terminated")


def failure(pod: Object) -> str:
    """Why a pod failed, in words that say what to do where that is known."""
    status = pod.get("status", {})
    for container in _containers(pod):
        ended = container.get("state", {}).get("terminated")
        if ended and ended.get("reason") == "OOMKilled":
            return "it used more memory than it has: raise memory_per_gpu in [luigi_kubernetes]"
        if ended and ended.get("exitCode"):
            return f"exit code {ended['exitCode']}"
    words = [status.get("reason", ""), " ".join(status.get("message", "").split())]
    return ": ".join(word for word in words if word) or "for no reason that the cluster tells"


def _containers(pod: Object) -> Iterator[Object]:
    yield from pod.get("status", {}).get("containerStatuses") or ()
