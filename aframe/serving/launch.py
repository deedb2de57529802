"""How a Triton server is started: its own binary, or a container."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aframe import storage
from aframe.errors import ConfigurationError, ServerError

LAUNCHERS = ("tritonserver", "apptainer", "docker", "podman")
"""Programs that can start a server, in the order in which they are looked for."""

IMAGE = "nvcr.io/nvidia/tritonserver:25.10-py3"
"""Container image, unless another is asked for."""

MODELS = "/models"
"""Where a container finds the repository."""

STORE_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION")
"""What a server in a container is told of the environment where it reads its repository from s3."""


@dataclass(frozen=True)
class Endpoint:
    """Where a server listens.

    Attributes:
        host: Name or address of this machine, as clients reach it.
        grpc_port: For clients.
        http_port: For the question whether it is ready.
        metrics_port: For monitoring.
    """

    host: str = "127.0.0.1"
    grpc_port: int = 8001
    http_port: int = 8000
    metrics_port: int = 8002

    @property
    def address(self) -> str:
        """What clients are told."""
        return f"{self.host}:{self.grpc_port}"

    @property
    def interface(self) -> str:
        """What the server binds: loopback alone, or else all there is."""
        return self.host if self.host in ("127.0.0.1", "localhost") else "0.0.0.0"


@dataclass(frozen=True)
class Launch:
    """What to start.

    Attributes:
        repository: Model repository: a local directory, or s3://…
        launcher: One of ``LAUNCHERS``; auto for the first of them that is on PATH.
        image: Container image; of apptainer a .sif file, too.
        gpus: As in CUDA_VISIBLE_DEVICES; empty for the CPU.
        engine_cache: Directory for the engines that TensorRT builds.
        endpoint: Where the server listens.
    """

    repository: str
    launcher: str = "auto"
    image: str = IMAGE
    gpus: str = ""
    engine_cache: str = "/tmp/tensorrt_engines"
    endpoint: Endpoint = Endpoint()

    def find_launcher(self) -> str:
        """The program to use.

        Raises:
            ConfigurationError: If it is none of those that are known.
            ServerError: If it, or any, is not on PATH.
        """
        wanted = LAUNCHERS if self.launcher == "auto" else (self.launcher,)
        if not set(wanted) <= set(LAUNCHERS):
            raise ConfigurationError(f"launcher {self.launcher!r} is none of auto, {', '.join(LAUNCHERS)}")
        for name in wanted:
            if shutil.which(name):
                return name
        raise ServerError(
            f"no Triton server can be started: {', '.join(wanted)} not on PATH; install one, or name a server that "
            "runs elsewhere (triton_address)"
        )

    @property
    def container_name(self) -> str:
        """Name of the container, one for each starting process."""
        return f"aframe-triton-{os.getpid()}"

    def command(self, launcher: str) -> list[str]:
        """Command line that starts the server with a program."""
        models = _as_triton_says(self.repository)
        if launcher == "tritonserver":
            return [launcher, *self._options(models)]
        mounts = {self.engine_cache: self.engine_cache}
        if not storage.is_remote(self.repository):
            models = MODELS
            mounts[str(Path(self.repository).absolute())] = f"{MODELS}:ro"
        server = ["tritonserver", *self._options(models)]
        if launcher == "apptainer":
            image = self.image if self.image.endswith(".sif") or "://" in self.image else f"docker://{self.image}"
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
        """Command line that ends a container which does not end by itself; empty where there is none."""
        return [launcher, "kill", self.container_name] if launcher in ("docker", "podman") else []

    def _options(self, models: str) -> list[str]:
        """Options of the server; it looks for new versions every two seconds."""
        where, interface = self.endpoint, self.endpoint.interface
        return [
            f"--model-repository={models}",
            "--model-control-mode=poll",
            "--repository-poll-secs=2",
            f"--grpc-address={interface}",
            f"--grpc-port={where.grpc_port}",
            f"--http-address={interface}",
            f"--http-port={where.http_port}",
            f"--metrics-address={interface}",
            f"--metrics-port={where.metrics_port}",
            "--exit-timeout-secs=10",
        ]


def _as_triton_says(repository: str) -> str:
    """A repository's path for a server, which wants the store's address, where that is not Amazon's, in it.

    >>> _as_triton_says("/data/model_repo")
    '/data/model_repo'
    """
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if not (storage.is_remote(repository) and endpoint):
        return repository
    return f"s3://{endpoint.rstrip('/')}/{repository.partition('://')[2]}"
