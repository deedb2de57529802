"""The Triton model repository. Each version of a model is complete before a server can load it."""

import functools
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tritonclient.grpc.model_config_pb2 import ModelConfig

from aframe import storage
from aframe.errors import AframeError, StorageError
from aframe.export.check import check
from aframe.export.configuration import (
    FILE_HASH,
    ServingOptions,
    as_text,
    identity,
    model_configuration,
    read_configuration,
)
from aframe.export.graphs import BLOCKS, Graph, served_graphs
from aframe.export.onnx import export_onnx, run_onnx
from aframe.export.tensorrt_plan import build_plan
from aframe.export.torchscript import export_torchscript, run_torchscript
from aframe.storage.leases import claim
from aframe.train.model import Model


def publish(
    model: Model, sha256: str, repository: str, options: ServingOptions, made_with: Mapping[str, Any]
) -> dict[str, str]:
    """Export a model as the next version in a repository.

    It writes all files as a new version and checks them against torch. No server loads this version yet, as each
    model's configuration names the version to serve. Then it replaces each configuration atomically.

    Args:
        model: Model to export.
        sha256: SHA-256 of its ``model.pt``.
        repository: Directory of the repository.
        options: Options of export and serving.
        made_with: Parameters of the model.

    Returns:
        Paths of the new versions' directories, by the models' names.

    Raises:
        AframeError: If an exported graph differs from torch. Then nothing is published.
    """
    arguments = (options.block_windows, options.max_batch_size)
    graphs = served_graphs(model, *arguments, options.precision)
    references = served_graphs(model, *arguments, "float32")
    parameters = identity(model.preprocessing, sha256)
    versions, texts = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        files = {}
        for ending, graph in graphs.items():
            files[ending] = Path(folder) / (ending or "blocks")
            files[ending].mkdir()
            _write(graph, references[ending], str(files[ending]), options)
            (files[ending] / "made_with.json").write_text(json.dumps(made_with, sort_keys=True, indent=1), "utf-8")
        claim([repository])  # two simultaneous exports would choose the same version
        for ending, graph in graphs.items():
            name = options.name + ending
            directory = storage.join(repository, name)
            number = 1 + max(_versions(directory), default=0)
            versions[name] = storage.join(directory, str(number))
            content = {FILE_HASH: storage.sha256(str(files[ending] / options.file))}
            configuration = model_configuration(name, graph, options, parameters | content, number)
            texts[name] = _checked_text(configuration)
            _add(directory, number, files[ending], texts[name])
    # clients use the model of blocks first, so its configuration is replaced last
    for name in sorted(texts, key=lambda name: name == options.name + BLOCKS):
        path = storage.join(repository, name, "config.pbtxt")
        storage.sign(path, made_with)
        storage.write_text(path, texts[name])
    return versions


def find_model(repository: str, name: str) -> tuple[str, ModelConfig]:
    """Find the file of a model's version to serve, and read its configuration.

    Args:
        repository: Directory of the repository.
        name: Name of the model.

    Raises:
        StorageError: If there is no such model, its configuration names no version, or its file is missing.
    """
    directory = storage.join(repository, name)
    configuration = read_configuration(storage.join(directory, "config.pbtxt"))
    version = configuration.version_policy.specific.versions
    if not version:
        raise StorageError(f"{directory}/config.pbtxt names no version to serve: export the model again")
    path = storage.join(directory, str(version[0]), configuration.default_model_filename)
    if not storage.exists(path):
        raise StorageError(f"{path} is missing: export the model again")
    return path, configuration


def check_whole(path: str, configuration: ModelConfig) -> None:
    """Check that the file of a model is as it was exported. Files of earlier versions have no record of that.

    Args:
        path: Path of the file.
        configuration: Configuration of the model.

    Raises:
        StorageError: If the file is damaged.
    """
    if FILE_HASH in configuration.parameters:
        exported = configuration.parameters[FILE_HASH].string_value
        if storage.sha256(path) != exported:
            raise StorageError(
                f"{path} is damaged (its SHA-256 is not that of {configuration.name}'s export): delete the repository, "
                "and export the model again, as a run does by itself"
            )


def check_repository(repository: str) -> None:
    """Check all files of this package's models in a repository.

    Args:
        repository: Directory of the repository.

    Raises:
        StorageError: If a file is missing or damaged.
    """
    for path in storage.glob(repository, "*", "config.pbtxt"):
        if FILE_HASH in storage.read_text(path):
            check_whole(*find_model(repository, path.split("/")[-2]))


def _write(graph: Graph, reference: Graph, directory: str, options: ServingOptions) -> None:
    """Write and check the file of a model, and its ONNX file if the platform needs one."""
    path = storage.join(directory, options.file)
    run: Callable[..., Any]
    if options.platform == "torch":
        export_torchscript(graph, path)
        run = functools.partial(run_torchscript, path)
    else:
        onnx = storage.join(directory, "model.onnx")
        export_onnx(graph, onnx, options.precision)
        run = functools.partial(run_onnx, onnx, precision=options.precision)
    check(run, reference, options.precision, path)
    if options.platform == "tensorrt":
        build_plan(storage.join(directory, "model.onnx"), path, graph, options.precision)


def _versions(directory: str) -> list[int]:
    return [int(path.rsplit("/", 1)[1]) for path in storage.glob(directory, "[0-9]*")]


def _checked_text(configuration: ModelConfig) -> str:
    text = as_text(configuration)
    with tempfile.TemporaryDirectory() as folder:
        path = storage.join(folder, "config.pbtxt")
        storage.write_text(path, text)
        if read_configuration(path) != configuration:
            raise AframeError(f"the configuration of {configuration.name} changes when it is read back: report this")
    return text


def _add(directory: str, number: int, files: Path, text: str) -> None:
    """Add a version. A new model appears together with its configuration, as servers log errors without one."""
    if storage.exists(directory) or storage.is_remote(directory):
        with storage.atomic(storage.join(directory, str(number))) as temporary:
            shutil.copytree(files, temporary)
        return
    with storage.atomic(directory, scratch_in=str(Path(directory).absolute().parent.parent)) as temporary:
        shutil.copytree(files, temporary / str(number))
        (temporary / "config.pbtxt").write_text(text, encoding="utf-8")
