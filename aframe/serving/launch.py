"""Command lines that start a Triton server: its binary, or a container."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aframe import storage
from aframe.errors import ConfigurationError, ServerError
from aframe.machine.programs import ask

CONTAINERS = ("apptainer", "docker", "podman")
"""Programs that can start a server in a container, in order of preference."""

ENGINES = ("docker", "podman")
"""Those of them that may be on PATH and yet not work."""

ENGINE_PATIENCE = 10.0
"""Longest wait for the answer of a container engine, s."""

LAUNCHERS = ("tritonserver", *CONTAINERS)
"""Programs that can start a server, in order of preference."""

IMAGE = "nvcr.io/nvidia/tritonserver:25.10-py3"
"""Default container image."""

MODELS_DIRECTORY = "/models"
"""Directory of the repository in a container."""

STORE_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION")
"""Environment variables that a container gets if the server reads its repository from s3."""


def installed_launchers() -> list[str]:
    """Those of ``LAUNCHERS`` that are on PATH, in order of preference."""
    return [name for name in LAUNCHERS if shutil.which(name)]


def why_not(launcher: str) -> str:
    """Why a program on PATH cannot start a server; empty if it can. Docker's command needs its daemon.

    Args:
        launcher: One of ``LAUNCHERS``.
    """
    if launcher not in ENGINES:
        return ""
    answer = ask([launcher, "ps", "--quiet"], ENGINE_PATIENCE)
    return "" if answer.is_fine else answer.last_line.strip()


@dataclass(frozen=True)
class Endpoint:
    """Host and ports of a server.

    Attributes:
        host: Name or address of this machine for clients.
        grpc_port: Port for clients.
        http_port: Port for checks that the server is ready.
        metrics_port: Port for monitoring.
    """

    host: str = "127.0.0.1"
    grpc_port: int = 8001
    http_port: int = 8000
    metrics_port: int = 8002

    @property
    def address(self) -> str:
        """Address for clients, host:port."""
        return f"{self.host}:{self.grpc_port}"

    @property
    def interface(self) -> str:
        """Address that the server binds: loopback for a local host, else all interfaces."""
        return self.host if self.host in ("127.0.0.1", "localhost") else "0.0.0.0"


@dataclass(frozen=True)
class Launch:
    """Options of a server to start.

    Attributes:
        repository: Model repository: a local directory, or s3://…
        launcher: One of ``LAUNCHERS``, or auto for the first of them on PATH.
        image: Container image. For apptainer it may be a .sif file.
        gpus: GPUs as in CUDA_VISIBLE_DEVICES; empty for the CPU.
        engine_cache: Directory for engines that TensorRT builds.
        endpoint: Host and ports of the server.
    """

    repository: str
    launcher: str = "auto"
    image: str = IMAGE
    gpus: str = ""
    engine_cache: str = "/tmp/tensorrt_engines"
    endpoint: Endpoint = Endpoint()

    def find_launcher(self) -> str:
        """Find the program that starts the server.

        Raises:
            ConfigurationError: If the launcher is not one of ``LAUNCHERS``.
            ServerError: If the launcher, or with auto each of them, is not on PATH or does not work.
        """
        candidates = LAUNCHERS if self.launcher == "auto" else (self.launcher,)
        if not set(candidates) <= set(LAUNCHERS):
            raise ConfigurationError(f"launcher {self.launcher!r} is none of auto, {', '.join(LAUNCHERS)}")
        problems = {name: "not on PATH" for name in candidates}
        for name in installed_launchers():
            if name in candidates:
                problem = why_not(name)
                if not problem:
                    return name
                problems[name] = f"fails: {problem}"
        missing = [name for name, problem in problems.items() if problem == "not on PATH"]
        causes = [f"{', '.join(missing)} not on PATH"] if missing else []
        causes += [f"{name} {problem}" for name, problem in problems.items() if name not in missing]
        raise ServerError(
            f"no Triton server can be started: {'; '.join(causes)}: install one, or give the address of a running "
            "server (triton_address)"
        )

    @property
    def container_name(self) -> str:
        """Name of the container. It contains the number of this process."""
        return f"aframe-triton-{os.getpid()}"

    def command(self, launcher: str) -> list[str]:
        """Command line that starts the server with the given launcher."""
        models = _triton_path(self.repository)
        if launcher == "tritonserver":
            return [launcher, *self._options(models)]
        mounts = {self.engine_cache: self.engine_cache}
        if not storage.is_remote(self.repository):
            models = MODELS_DIRECTORY
            mounts[str(Path(self.repository).absolute())] = f"{MODELS_DIRECTORY}:ro"
        server = ["tritonserver", *self._options(models)]
        if launcher == "apptainer":
            image = (
                self.image
                if storage.has_suffix(self.image, ".sif") or "://" in self.image
                else f"docker://{self.image}"
            )
            options = [part for host, inside in mounts.items() for part in ("--bind", f"{host}:{inside}")]
            options += ["--nv", "--env", f"CUDA_VISIBLE_DEVICES={self.gpus}"] if self.gpus else []
            return ["apptainer", "exec", *options, image, *server]
        options = [part for host, inside in mounts.items() for part in ("--volume", f"{host}:{inside}")]
        if storage.is_remote(self.repository):
            options += [part for name in STORE_VARIABLES if name in os.environ for part in ("--env", name)]
        if launcher == "docker":
            options += ["--gpus", f'"device={self.gpus}"'] if self.gpus else []
            options += ["--user", f"{os.getuid()}:{os.getgid()}"]
        else:
            devices = [gpu for gpu in self.gpus.split(",") if gpu]
            options += [part for gpu in devices for part in ("--device", f"nvidia.com/gpu={gpu}")]
        name = self.container_name
        return [launcher, "run", "--rm", "--init", "--name", name, "--network", "host", *options, self.image, *server]

    def kill_command(self, launcher: str) -> Sequence[str]:
        """Command line that kills a container; empty if the launcher needs none."""
        return [launcher, "kill", self.container_name] if launcher in ENGINES else []

    def _options(self, models: str) -> list[str]:
        """Options of the server. It polls for new versions every two seconds."""
        endpoint, interface = self.endpoint, self.endpoint.interface
        return [
            f"--model-repository={models}",
            "--model-control-mode=poll",
            "--repository-poll-secs=2",
            f"--grpc-address={interface}",
            f"--grpc-port={endpoint.grpc_port}",
            f"--http-address={interface}",
            f"--http-port={endpoint.http_port}",
            f"--metrics-address={interface}",
            f"--metrics-port={endpoint.metrics_port}",
            "--exit-timeout-secs=10",
        ]


def _triton_path(repository: str) -> str:
    """Path of a repository for a server. It contains the address of the store, unless that is Amazon's.

    >>> _triton_path("/data/model_repo")
    '/data/model_repo'
    """
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if not (storage.is_remote(repository) and endpoint):
        return repository
    return f"s3://{endpoint.rstrip('/')}/{repository.partition('://')[2]}"
