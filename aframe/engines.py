"""What scores in a run, as its configuration says: torch, ONNX Runtime, or a Triton server; and that server."""

import json
import platform
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

import torch

from aframe import config, storage
from aframe.artifacts import Artifacts
from aframe.errors import ConfigurationError
from aframe.export.configuration import CONFIGURATION_KEYS, ServingOptions, identity
from aframe.export.tensorrt_plan import load_tensorrt
from aframe.inference.embeddings import EmbeddingCache
from aframe.inference.scorers import Scorer, TorchScorer
from aframe.serving.launch import IMAGE, Endpoint, Launch
from aframe.serving.shared import shared_server, stop_shared_server
from aframe.train.architectures import JointResNet
from aframe.train.model import Model

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


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
    if chosen.batch_size == "auto" and chosen.engine != "triton" and isinstance(model.network, JointResNet):
        model.network.batch_size = choose_batch_size(run, model, device)
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

    def measure() -> tuple[str, dict[str, float]]:
        from aframe.inference.scorers.choice import fastest
        from aframe.inference.scorers.onnx_runtime import OnnxScorer

        scorers: dict[str, Scorer] = {"torch": TorchScorer(model, PRECISIONS[run.config.inference.precision], device)}
        exported = run.config.export
        if exported.platform == "onnxruntime" and exported.export_precision == "float32":
            wanted = identity(model.preprocessing, storage.sha256(run.model))
            scorers["onnx"] = OnnxScorer(model, wanted, run.repository, exported.model_name, torch.get_num_threads())
        return fastest(scorers)

    return str(_measured_once(run, "engine", device, run.made_repository, measure))


def choose_batch_size(run: Artifacts, model: Model, device: str) -> int:
    """The joint network's batch size that is the fastest on this kind of machine: measured once in a run, and told.

    Args:
        run: The run.
        model: Its network and preprocessing.
        device: Where this process computes: cpu or cuda.
    """
    network, precision = model.network, PRECISIONS[run.config.inference.precision]
    assert isinstance(network, JointResNet)

    def measure() -> tuple[int, dict[int, float]]:
        from aframe.inference.scorers.choice import best_batch_size

        return best_batch_size(network, model.preprocessing, precision, device)

    parameters = run.made_model | run.config.parameters("inference.precision")
    return int(_measured_once(run, "batch_size", device, parameters, measure))


def _measured_once(
    run: Artifacts,
    key: str,
    device: str,
    parameters: storage.Parameters,
    measure: Callable[[], tuple[Any, Mapping[Any, float]]],
) -> Any:
    """The value of a key that is the fastest on this kind of machine: measured once in a run, written down, told."""
    kind = _processor(device)
    path = run.result(f"{key}-{kind}.json")
    if storage.exists(path):
        storage.check_parameters(path, parameters)
        return json.loads(storage.read_text(path))[key]
    value, rates = measure()
    storage.sign(path, parameters)
    record = json.dumps({key: value, "windows_per_second": rates})
    first = storage.write_first(path, record)
    told = ", ".join(f"{each} {rate:.3g}" for each, rate in rates.items())
    if first == record:
        print(f"{key} = auto: {value} is the fastest on {kind} (windows/s: {told})", flush=True)
    return json.loads(first)[key]


def embedding_cache(run: Artifacts, scorer: Scorer, device: str) -> EmbeddingCache | None:
    """Where the run keeps embeddings for further slides; None where it keeps none, or encoding is the identity.

    Args:
        run: The run.
        scorer: What makes the embeddings.
        device: Where this process computes: cpu or cuda.
    """
    chosen = run.config.inference
    if chosen.embeddings_cache == 0 or not scorer.network.is_factorised:
        return None
    processor = _processor(device)
    made_by = {"model": storage.sha256(run.model), "engine": type(scorer).__name__, "precision": chosen.precision}
    made_by |= {"processor": processor, "torch": str(torch.__version__)}
    if chosen.asks_the_repository:
        made_by |= {name: str(value) for name, value in run.config.parameters("export").items()}
    return EmbeddingCache(storage.join(run.embeddings, processor), 1e9 * chosen.embeddings_cache, made_by)


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
