"""``aframe serve``: run a Triton server."""

import argparse
import json
import os
import sys
from pathlib import Path

from aframe import storage
from aframe.errors import ConfigurationError
from aframe.serving.launch import LAUNCHERS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--repository", type=storage.locate, required=True, help="directory of the repository (required)"
    )
    for name, kind, default, help_text in (
        ("with", str, "auto", "what runs it; auto: the first of these that works here"),
        ("image", str, "", "container image, or .sif file (default: NVIDIA's)"),
        ("gpus", str, "", "GPUs, as in CUDA_VISIBLE_DEVICES (default: none, the CPU)"),
        ("host", str, "127.0.0.1", "name of this machine for clients; 127.0.0.1: from this machine alone"),
        ("grpc-port", int, 8001, "of clients"),
        ("http-port", int, 8000, "of health"),
        ("metrics-port", int, 8002, "of monitoring"),
        ("engine-cache", str, "/tmp/tensorrt_engines", "directory of TensorRT's engines"),
        ("log", storage.locate, None, "the server's log (default: tritonserver.log beside the repository)"),
        ("patience", float, 1800.0, "s in which it must be ready; TensorRT takes minutes to build an engine"),
    ):
        default_text = f" (default: {default:g})" if kind is float else f" (default: {default})" if default else ""
        choices = ("auto", *LAUNCHERS) if name == "with" else None
        parser.add_argument(f"--{name}", type=kind, default=default, choices=choices, help=f"{help_text}{default_text}")
    parser.add_argument("--record", default="", help=argparse.SUPPRESS)
    parser.add_argument("--owner", type=int, default=0, help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> None:
    """Run a Triton server.

    Raises:
        ConfigurationError: If the repository does not exist.
        StorageError: If the file of a model is missing or damaged.
    """
    from aframe.export.repository import check_repository
    from aframe.machine.processes import is_alive
    from aframe.serving.launch import IMAGE, Endpoint, Launch
    from aframe.serving.server import serve as run_server

    if not storage.exists(options.repository):
        raise ConfigurationError(f"{options.repository} does not exist: `aframe export` makes a repository")
    check_repository(options.repository)
    endpoint = Endpoint(options.host, options.grpc_port, options.http_port, options.metrics_port)
    launcher = getattr(options, "with")
    launch = Launch(options.repository, launcher, options.image or IMAGE, options.gpus, options.engine_cache, endpoint)
    record = Path(options.record) if options.record else None

    def tell(text: str) -> None:
        if text != endpoint.address:
            print(text, file=sys.stderr, flush=True)
            return
        print(f"ready: {options.repository} is served at {text}", flush=True)
        if record is not None:
            content = {"address": text, "pid": os.getpid(), "owner": options.owner}
            storage.write_text(str(record), json.dumps(content))

    beside = "." if storage.is_remote(options.repository) else Path(options.repository).absolute().parent
    log = options.log or f"{beside}/tritonserver.log"
    try:
        run_server(launch, log, options.patience, tell, lambda: bool(options.owner) and not is_alive(options.owner))
    finally:
        if record is not None:
            record.unlink(missing_ok=True)
