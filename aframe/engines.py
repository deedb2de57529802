"""What scores in a run, as its configuration says: torch, ONNX Runtime, or a Triton server; and that server."""

import json
import platform
import re
from dataclasses import fields

import torch

from aframe import config, storage
from aframe.artifacts import Artifacts
from aframe.errors import ConfigurationError
from aframe.export.configuration import CONFIGURATION_KEYS, ServingOptions, identity
from aframe.export.tensorrt_plan import load_tensorrt
from aframe.inference.scorers import Scorer, TorchScorer
from aframe.serving.launch import IMAGE, Endpoint, Launch
from aframe.serving.shared import shared_server, stop_shared_server
from aframe.train.model import Model

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def serving_options(made: config.Export) -> ServingOptions:
    """How a run's model is exported and served."""
    names = [field.name for field in fields(ServingOptions)]
    return ServingOptions(**{name: getattr(made, CONFIGURATION_KEYS.get(name, name)) for name in names})


def make_scorer(run: Artifacts, model: Model, device: str, address: str | None) -> Scorer:
    """What scores.

    Args:
        run: The run.
        model: Its network and preprocessing.
        device: Where this process computes: cpu or cuda.
        address: Of the Triton server, for ``engine = triton``.

    Raises:
        ParameterMismatchError: If the repository, or the server, has another model.
        ServerError: If the server does not answer.
    """
    chosen, name = run.config.inference, run.config.export.model_name
    precision = PRECISIONS[chosen.precision]
    engine = choose_engine(run, model, device) if chosen.engine == "auto" else chosen.engine
    if engine in ("torch", "compiled"):
        return TorchScorer(model, precision, device, engine == "compiled")
    wanted = identity(model.preprocessing, storage.sha256(run.model))
    if engine == "onnx":
        from aframe.inference.scorers.onnx_runtime import OnnxScorer

        return OnnxScorer(model, wanted, run.repository, name, torch.get_num_threads())
    from aframe.inference.scorers.triton_server import TritonScorer
    from aframe.serving.client import Delivery, TritonClient

    if not address:
        raise ConfigurationError("engine = triton has no server: give triton_address, or let the run start one")
    delivery = Delivery(chosen.triton_in_flight, chosen.triton_deadline, chosen.triton_retries)
    return TritonScorer(model, TritonClient(address, wanted, delivery), name, precision)


def choose_engine(run: Artifacts, model: Model, device: str) -> str:
    """The faster one of torch and ONNX Runtime on this kind of machine: measured once in a run, and told.

    Scores of the two differ in their last digits, so the choice is kept beside the results: all parts of a run, and
    what is made again, are scored alike.

    Args:
        run: The run.
        model: Its network and preprocessing.
        device: Where this process computes: cpu or cuda.
    """
    from aframe.inference.scorers.choice import fastest
    from aframe.inference.scorers.onnx_runtime import OnnxScorer

    kind = _processor(device)
    path = run.result(f"engine-{kind}.json")
    if storage.exists(path):
        storage.check_parameters(path, run.made_repository)
        return str(json.loads(storage.read_text(path))["engine"])
    scorers: dict[str, Scorer] = {"torch": TorchScorer(model, PRECISIONS[run.config.inference.precision], device)}
    exported = run.config.export
    if exported.platform == "onnxruntime" and exported.export_precision == "float32":
        wanted = identity(model.preprocessing, storage.sha256(run.model))
        scorers["onnx"] = OnnxScorer(model, wanted, run.repository, exported.model_name, torch.get_num_threads())
    name, rates = fastest(scorers)
    storage.sign(path, run.made_repository)
    record = json.dumps({"engine": name, "windows_per_second": rates})
    first = storage.write_first(path, record)
    told = ", ".join(f"{each} {rate:.3g}" for each, rate in rates.items())
    if first == record:
        print(f"engine = auto: {name} is the fastest on {kind} (windows/s: {told})", flush=True)
    return str(json.loads(first)["engine"])


def _processor(device: str) -> str:
    """A name for the kind of processor, fit for a file's name."""
    name = torch.cuda.get_device_name() if device == "cuda" else f"{platform.machine()}-{torch.get_num_threads()}"
    return re.sub(r"[^A-Za-z0-9]+", "-", name)


def server_address(run: Artifacts, owner: int, gpus: str) -> str | None:
    """Address of the Triton server that a run asks; where it names none, one is started for all its processes.

    Args:
        run: The run.
        owner: Number of the run's own process, with which a server that is started ends.
        gpus: For that server, as in CUDA_VISIBLE_DEVICES.

    Raises:
        ServerError: If it cannot be started.
    """
    chosen = run.config.inference
    if chosen.engine != "triton":
        return None
    return chosen.triton_address or shared_server(_launch(run, gpus), run.directories.condor, owner)


def _launch(run: Artifacts, gpus: str) -> Launch:
    chosen, cache = run.config.inference, run.config.export.engine_cache
    endpoint = Endpoint(chosen.triton_host)
    return Launch(run.repository, chosen.triton_launcher, chosen.triton_image or IMAGE, gpus, cache, endpoint)


def check_engine(run: Artifacts) -> None:
    """Refuse what can be seen, before anything else is done, to have no chance of being exported or served here.

    Raises:
        ConfigurationError: If TensorRT should build the model and is not installed.
        ServerError: If the run should start a Triton server, and nothing that could is on PATH.
    """
    if run.config.export.platform == "tensorrt":
        load_tensorrt()
    if run.config.inference.engine == "triton" and not run.config.inference.triton_address:
        _launch(run, "").find_launcher()


def stop_server(run: Artifacts) -> None:
    """End the server that the run has started, if it has."""
    stop_shared_server(run.directories.condor)
