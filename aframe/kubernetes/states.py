"""States of a Job and its pods, in words."""

from collections.abc import Iterator
from typing import Any, NamedTuple

Object = dict[str, Any]

PERMANENT_REASONS = ("InvalidImageName", "ErrImageNeverPull")
"""Reasons for which a pod waits and will never start."""

DOUBTFUL_REASONS = ("ImagePullBackOff", "ErrImagePull", "CreateContainerConfigError", "CreateContainerError")
"""Reasons for which a pod waits and may start later, for example if a registry is overloaded."""


class Ending(NamedTuple):
    """End of a Job.

    Attributes:
        is_good: Whether the Job succeeded.
        reason: Kubernetes' keyword for the reason of a failure.
        message: Kubernetes' message.
    """

    is_good: bool
    reason: str = ""
    message: str = ""


class Waiting(NamedTuple):
    """Reason why a pod does not run yet.

    Attributes:
        reason: Kubernetes' keyword for the reason.
        message: Kubernetes' message.
    """

    reason: str
    message: str

    @property
    def text(self) -> str:
        """Reason and message in one line."""
        return f"{self.reason}: {' '.join(self.message.split())}" if self.message else self.reason


def ending(job: Object) -> Ending | None:
    """End of a Job; None if it has not ended."""
    for condition in job.get("status", {}).get("conditions") or ():
        if condition.get("status") == "True" and condition["type"] in ("Complete", "Failed"):
            words = (condition.get("reason", ""), " ".join(condition.get("message", "").split()))
            return Ending(condition["type"] == "Complete", *words)
    return None


def phase(pod: Object) -> str:
    """Phase of a pod: Pending, Running, Succeeded, Failed or Unknown."""
    return str(pod.get("status", {}).get("phase", "Pending"))


def waiting(pod: Object) -> Waiting | None:
    """Reason why a pending pod does not run; None if the cluster states no reason."""
    status = pod.get("status", {})
    for container in _containers(pod):
        state = container.get("state", {}).get("waiting")
        if state and state.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
            return Waiting(state["reason"], state.get("message", ""))
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition.get("status") == "False":
            return Waiting(condition.get("reason", "Unschedulable"), condition.get("message", ""))
    return None


def has_started(pod: Object) -> bool:
    """Whether the container of a pod has started, so that a log exists."""
    states = [container.get("state", {}) for container in _containers(pod)]
    return any("running" in state or "terminated" in state for state in states) or phase(pod) in ("Running",)


def was_evicted(pod: Object) -> bool:
    """Whether the cluster removed a pod for reasons outside the pod."""
    status = pod.get("status", {})
    is_target = any(
        condition["type"] == "DisruptionTarget" and condition.get("status") == "True"
        for condition in status.get("conditions") or ()
    )
    return is_target or status.get("reason") in ("Evicted", "Preempting", "NodeLost", "Shutdown", "Terminated")


def failure(pod: Object) -> str:
    """Reason why a pod failed, with advice if possible."""
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
    """States of the containers of a pod."""
    yield from pod.get("status", {}).get("containerStatuses") or ()
