"""A Kubernetes API in a thread of this process: kmock's emulator, with what a cluster's own controllers would do."""

import asyncio
import copy
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kmock
import yaml

KINDS = {"batch/v1/jobs": "Job", "v1/pods": "Pod", "v1/secrets": "Secret", "v1/configmaps": "ConfigMap"}
VERBS = ["get", "list", "watch", "create", "delete", "patch", "update"]
NAMESPACE = "ligo"


class Emulator(kmock.KubernetesEmulator):
    """kmock's, which gives objects their numbers, cleans up after their owners, and can be unreachable or refuse."""

    outage = 0
    refusal = 0
    refused = tuple(name.rpartition("/")[2] for name in KINDS)
    log_breaks = 0

    async def _handle(self, request: Any) -> Any:
        if self.outage > 0:
            self.outage -= 1
            request._raw_request.transport.abort()
        if self.refusal and request.resource is not None and request.resource.plural in self.refused:
            raise _Refused(status=self.refusal, reason="Refused", message="may not do that")
        if request.method == "POST":
            now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            request.data["metadata"] |= {"uid": str(uuid.uuid4()), "creationTimestamp": now}
        answer = await super()._handle(request)
        if request.method == "DELETE" and request.resource.plural == "jobs":
            self._collect(request.name)
        return answer

    def _collect(self, owner: str) -> None:
        """Delete what belongs to something that was deleted."""
        for kept in self.objects.values():
            if not kept.deleted and any(o["name"] == owner for o in kept["metadata"].get("ownerReferences", [])):
                kept.delete()


class _Refused(kmock.KubernetesError):
    pass


class Cluster:
    """A cluster on loopback, and its kubeconfig."""

    def __init__(self, directory: Path) -> None:
        self.logs: dict[str, list[str]] = {}
        self.asked: list[dict[str, str]] = []
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve(ready)), daemon=True)
        self._thread.start()
        assert ready.wait(20)
        self.kubeconfig = directory / "kubeconfig"
        context = {"cluster": "k", "user": "u", "namespace": NAMESPACE}
        self.kubeconfig.write_text(
            yaml.safe_dump({
                "apiVersion": "v1", "kind": "Config", "current-context": "c",
                "clusters": [{"name": "k", "cluster": {"server": self.url}}],
                "users": [{"name": "u", "user": {"token": "x"}}], "contexts": [{"name": "c", "context": context}],
            })
        )  # fmt: skip

    async def _serve(self, ready: threading.Event) -> None:
        async with Emulator() as self.emulator, kmock.Server(self.emulator) as server:
            for name, kind in KINDS.items():
                plural = name.rpartition("/")[2]
                self.emulator.resources[name] = {
                    "namespaced": True, "kind": kind, "singular": plural[:-1], "verbs": VERBS, "shortnames": [],
                    "categories": [],
                }  # fmt: skip
            self.emulator["get /version/"] << {"major": "1", "minor": "31", "gitVersion": "v1.31.0"}
            self.emulator["get", kmock.resource("v1/pods"), kmock.subresource("log")] << self._log
            self.url = str(server.url)
            ready.set()
            await self._stopping.wait()

    async def _log(self, request: Any) -> bytes:
        self.asked.append(dict(request.params))
        since = request.params.get("sinceTime", "")[:19]
        lines = [line for line in self.logs.get(request.name, []) if line[:19] >= since]
        if self.emulator.log_breaks > 0:
            self.emulator.log_breaks -= 1
            lines = lines[: len(lines) // 2]
        return "".join(f"{line}\n" for line in lines).encode()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._loop.close()

    def there(self, kind: str) -> dict[str, dict[str, Any]]:
        """What there is of a kind, by name."""
        return {
            name: copy.deepcopy(dict(kept.raw))
            for (resource, _, name), kept in list(self.emulator.objects.items())
            if resource.plural == kind and not kept.deleted
        }

    def patch(self, kind: str, name: str, changes: dict[str, Any]) -> None:
        """Change something, as a controller would."""
        for (resource, _, found), kept in list(self.emulator.objects.items()):
            if resource.plural == kind and found == name:
                kept.patch(changes)

    def add_pod(self, job: str, name: str, **status: Any) -> None:
        """Make a pod of a Job."""
        metadata = {"name": name, "namespace": NAMESPACE, "labels": {"batch.kubernetes.io/job-name": job}}
        metadata |= {"creationTimestamp": f"2026-01-01T00:00:{len(self.there('pods')):02}Z"}
        owner = [{"kind": "Job", "name": job}]
        pod = {"metadata": metadata | {"ownerReferences": owner}, "status": {"phase": "Pending", **status}}
        self.emulator.objects[kmock.resource("", "v1", "pods"), NAMESPACE, name] = pod

    def end(self, job: str, kind: str, reason: str = "", message: str = "") -> None:
        """End a Job."""
        condition = {"type": kind, "status": "True", "reason": reason, "message": message}
        self.patch("jobs", job, {"status": {"conditions": [condition]}})

    def wait(self, condition: Callable[[], Any], seconds: float = 20) -> Any:
        """What a condition is when it is something."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = condition()
            if found:
                return found
            time.sleep(0.02)
        raise AssertionError("that did not come to be")

    def first_started(self) -> str | None:
        """Name of the first Job that may run."""
        return next((name for name, job in self.there("jobs").items() if not job["spec"]["suspend"]), None)

    def started(self) -> str:
        """Name of the Job, once there is one that may run and has its Secret and ConfigMap."""
        return str(self.wait(self.first_started))


def running(**more: Any) -> dict[str, Any]:
    return {"phase": "Running", "containerStatuses": [{"name": "train", "state": {"running": {}}}], **more}


def ended(phase: str, code: int, reason: str = "", **more: Any) -> dict[str, Any]:
    state = {"terminated": {"exitCode": code, "reason": reason}}
    return {"phase": phase, "containerStatuses": [{"name": "train", "state": state}], **more}
