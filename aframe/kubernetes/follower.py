"""A Job of a cluster from its start to its end: logs, states and deletion."""

import asyncio
import json
import time

from aframe.errors import BatchError
from aframe.kubernetes import states
from aframe.kubernetes.cluster import BATCH, CORE, Cluster
from aframe.kubernetes.manifests import CONTAINER, JOB_NAME

POLL_INTERVAL = 5.0
"""Seconds between two queries of a Job."""

PULL_PATIENCE = 600.0
"""Seconds for which an image may fail to be pulled before the Job is deleted."""

COMPLETE = "complete"
"""Marks, in place of the time of the last printed line, a pod whose log was printed to its end."""


async def delete(cluster: Cluster, name: str) -> None:
    """Delete a Job with its pods, Secret and ConfigMap, and wait for the deletion.

    Args:
        cluster: Cluster of the Job.
        name: Name of the Job.
    """
    await cluster.call(
        "DELETE", BATCH, f"jobs/{name}", missing_is_fine=True, content=json.dumps({"propagationPolicy": "Foreground"})
    )
    while await cluster.call("GET", BATCH, f"jobs/{name}", missing_is_fine=True) is not None:
        await asyncio.sleep(POLL_INTERVAL)
    await delete_belongings(cluster, name)


async def delete_belongings(cluster: Cluster, name: str) -> None:
    """Delete the Secret and the ConfigMap of a Job.

    Args:
        cluster: Cluster of the Job.
        name: Name of the Job.
    """
    for kind in ("secrets", "configmaps"):
        await cluster.call("DELETE", CORE, f"{kind}/{name}", missing_is_fine=True)


class Follower:
    """Follows a Job to its end, and prints its logs and states.

    Args:
        cluster: Cluster of the Job.
        name: Name of the Job.
    """

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster, self.name = cluster, name
        self._last_times: dict[str, str] = {}
        self._printed_lines: set[str] = set()
        self._pull_failed_since = 0.0

    async def follow(self) -> None:
        """Print the logs of the pods until the Job succeeds.

        Raises:
            BatchError: If the Job failed or was deleted, or its image cannot be pulled.
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
                raise BatchError(self._failure_message(ended, pods))
            await asyncio.sleep(POLL_INTERVAL)

    async def _pods(self) -> list[states.Object]:
        """Pods of the Job, the oldest first."""
        answer = await self.cluster.call("GET", CORE, "pods", params={"labelSelector": f"{JOB_NAME}={self.name}"})
        return sorted(answer["items"], key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")))

    async def _show(self, pod: states.Object, is_last: bool) -> None:
        """Print why a pod waits, its log while it runs, and how it ended.

        Args:
            pod: The pod.
            is_last: Whether the pod is the newest. A log of an older pod is only printed if it was begun.
        """
        name, phase = pod["metadata"]["name"], states.phase(pod)
        waits = states.waiting(pod) if phase == "Pending" else None
        if waits is not None:
            self._print_once(f"pod {name} waits: {waits.text}")
            await self._give_up_on(waits)
        if states.has_started(pod) and self._last_times.get(name) != COMPLETE and (is_last or name in self._last_times):
            async for when, line in self.cluster.log(name, CONTAINER, self._last_times.get(name, "")):
                print(line, flush=True)
                self._last_times[name] = when or self._last_times.get(name, "")
            if phase in ("Succeeded", "Failed"):
                self._last_times[name] = COMPLETE
        if phase == "Failed":
            ended = (
                f"was evicted ({states.failure(pod)})" if states.was_evicted(pod) else f"failed: {states.failure(pod)}"
            )
            self._print_once(f"pod {name} {ended}")

    async def _give_up_on(self, waits: states.Waiting) -> None:
        """Delete the Job if its image cannot be pulled.

        Raises:
            BatchError: If the Job was deleted.
        """
        if waits.reason in states.DOUBTFUL_REASONS:
            self._pull_failed_since = self._pull_failed_since or time.monotonic()
        elif waits.reason not in states.PERMANENT_REASONS:
            self._pull_failed_since = 0.0
            return
        if waits.reason in states.PERMANENT_REASONS or time.monotonic() - self._pull_failed_since > PULL_PATIENCE:
            await delete(self.cluster, self.name)
            raise BatchError(
                f"Job {self.name} was deleted, as its pod cannot start ({waits.text}): mend training_image or "
                "pull_secret in [luigi_kubernetes]"
            )

    def _print_once(self, line: str) -> None:
        """Print a line, unless it was printed before."""
        if line not in self._printed_lines:
            self._printed_lines.add(line)
            print(f"Train: {line}", flush=True)

    def _failure_message(self, ended: states.Ending, pods: list[states.Object]) -> str:
        """Error message for a Job that failed.

        Args:
            ended: End of the Job.
            pods: Pods of the Job, the oldest first.
        """
        failed = [pod for pod in pods if states.phase(pod) == "Failed" and not states.was_evicted(pod)]
        reason = states.failure(failed[-1]) if failed else ended.message or ended.reason
        if ended.reason == "DeadlineExceeded":
            reason = "it took longer than training_time in [luigi_kubernetes]; run again to continue"
        return f"training on Kubernetes failed ({ended.reason}): {reason}; what it printed says more"
