"""Choose what scores in a run: torch, ONNX Runtime or a Triton server.

The configuration names the engine. This module also starts and stops the server.
"""

import functools
import json
import platform
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

import torch

from aframe import storage
from aframe.bank.slices import LEAST_SIZE, is_long
from aframe.constants import AUTO, PRECISION_CHOICES
from aframe.errors import ConfigurationError
from aframe.export.configuration import CONFIGURATION_KEYS, ServingOptions, identity
from aframe.export.tensorrt_plan import load_tensorrt
from aframe.inference.embeddings import EmbeddingCache
from aframe.inference.scorers import Scorer, TorchScorer
from aframe.machine.precision import DTYPES, check_supported, choose, described, explained, is_emulated, measurement
from aframe.runs.artifacts import TRAINER_PRECISION, Artifacts, training_parameters
from aframe.runs.paths import Computation
from aframe.runs.precision_record import record_first
from aframe.serving.launch import IMAGE, Endpoint, Launch
from aframe.serving.shared import shared_server, stop_shared_server
from aframe.settings.sections import Export
from aframe.steps.training_precision import settle as settle_training
from aframe.steps.training_precision import warn_of_emulated_training
from aframe.train.architectures import JointResNet
from aframe.train.model import Model


def serving_options(export: Export) -> ServingOptions:
    """Settings with which a run's model is exported and served."""
    names = [field.name for field in fields(ServingOptions)]
    return ServingOptions(**{name: getattr(export, CONFIGURATION_KEYS.get(name, name)) for name in names})


def make_scorer(run: Artifacts, model: Model, device: str, address: str | None) -> Scorer:
    """Create the scorer that the configuration names.

    Args:
        run: The run.
        model: The run's network and preprocessing.
        device: Device of this process: cpu or cuda.
        address: Address of the Triton server, for ``engine = triton``.

    Raises:
        ConfigurationError: If ``engine = triton`` has no server.
        ParameterMismatchError: If the repository or the server has another model.
        ServerError: If the server does not answer.
    """
    inference, name = run.config.inference, run.config.export.model_name
    precision = settle_precision(run, device)
    if inference.batch_size == "auto" and inference.engine != "triton" and isinstance(model.network, JointResNet):
        model.network.batch_size = choose_batch_size(run, model, device)
    engine = choose_engine(run, model, device) if inference.engine == "auto" else inference.engine
    if engine in ("torch", "compiled"):
        return TorchScorer(model, precision, device, engine == "compiled")
    model_identity = identity(model.preprocessing, storage.sha256(run.model))
    if engine == "onnx":
        from aframe.inference.scorers.onnx_runtime import OnnxScorer

        return OnnxScorer(model, model_identity, run.repository, name, torch.get_num_threads())
    from aframe.inference.scorers.triton_server import TritonScorer
    from aframe.serving.client import Delivery, TritonClient

    if not address:
        raise ConfigurationError("engine = triton has no server: give triton_address, or let the run start one")
    delivery = Delivery(inference.triton_in_flight, inference.triton_deadline, inference.triton_retries)
    return TritonScorer(model, TritonClient(address, model_identity, delivery), name, precision)


def settle_precision(run: Artifacts, device: str, announce: bool = True) -> torch.dtype:
    """Determine the precision in which a run scores its units, and record it.

    The first process that scores chooses the precision. All others keep it.

    Args:
        run: The run.
        device: Device of this process: cpu or cuda.
        announce: Whether to print a precision that this call chooses.

    Returns:
        The precision.

    Raises:
        ConfigurationError: If the device cannot compute in it.
    """
    name = run.precision("scoring")
    if name == AUTO:
        record, allowed = run.precision_record("scoring"), PRECISION_CHOICES["scoring"]
        name = record_first(record, choose(device), measurement(device), allowed)
        if announce:
            print(f"Scoring: precision {name}; {explained(device)}", flush=True)
    check_supported("precision", name, DTYPES[name], device)
    _warn_of_emulation(name, device)
    return DTYPES[name]


@functools.cache
def _warn_of_emulation(name: str, device: str) -> None:
    """Warn once per process that a device emulates the precision of scoring."""
    if is_emulated(DTYPES[name], device):
        print(f"warning: this run is scored in {described(DTYPES[name], device)}", file=sys.stderr, flush=True)


def settle_precisions(run: Artifacts, gpus: str) -> str:
    """Record, when a run begins, the precisions of all work on this machine's processor.

    The first process that computes on a GPU or on another machine records and prints the precision there. The first
    process of a run must not open a GPU: processes that fork from it could not use the GPU.

    Args:
        run: The run.
        gpus: GPUs of the run, as in CUDA_VISIBLE_DEVICES.

    Returns:
        The precisions, and why ``auto`` chooses them. Empty if this processor computes nothing.

    Raises:
        ConfigurationError: If the processor cannot compute in one of them.
        StorageError: If they cannot be recorded.
    """
    precisions, computations = [], _on_this_processor(run, gpus)
    if "training" in computations:
        precisions.append(f"{settle_training(run, run.training_yaml, device='cpu')} in training")
    if "scoring" in computations:
        settle_precision(run, "cpu", announce=False)
        precisions.append(f"{run.precision('scoring')} in scoring")
    return f"{', '.join(precisions)}; {explained('cpu')}" if precisions else ""


def warn_of_emulation(run: Artifacts, gpus: str) -> None:
    """Warn of precisions that this machine's processor would emulate. Record nothing.

    Args:
        run: The run.
        gpus: GPUs of the run, as in CUDA_VISIBLE_DEVICES.
    """
    computations = _on_this_processor(run, gpus)
    training_precision = run.precision("training", training_parameters(run.training_yaml).get(TRAINER_PRECISION))
    if "training" in computations and training_precision != AUTO:
        warn_of_emulated_training(training_precision, "cpu")
    if "scoring" in computations and run.precision("scoring") != AUTO:
        _warn_of_emulation(run.precision("scoring"), "cpu")


def _on_this_processor(run: Artifacts, gpus: str) -> list[Computation]:
    """Computations that this machine's processor still has to do."""
    if gpus and torch.cuda.is_available():
        return []
    computations: list[Computation] = []
    trains_here = not run.config.kubernetes.trains and not torch.backends.mps.is_available()
    if trains_here and not storage.exists(run.model):
        computations.append("training")
    if not run.config.batch_for("ScoreSlides").is_remote:
        computations.append("scoring")
    return computations


def choose_engine(run: Artifacts, model: Model, device: str) -> str:
    """Choose the faster of torch and ONNX Runtime on this kind of processor.

    The first call in a run measures both and prints the choice. Their scores differ in the last digits. The choice is
    therefore stored with the results, and all units of the run use it.

    Args:
        run: The run.
        model: The run's network and preprocessing.
        device: Device of this process: cpu or cuda.

    Returns:
        ``torch`` or ``onnx``.
    """

    def measure() -> tuple[str, dict[str, float]]:
        from aframe.inference.scorers.choice import fastest
        from aframe.inference.scorers.onnx_runtime import OnnxScorer

        scorers: dict[str, Scorer] = {"torch": TorchScorer(model, settle_precision(run, device), device)}
        export = run.config.export
        if export.platform == "onnxruntime" and export.export_precision == "float32":
            served = identity(model.preprocessing, storage.sha256(run.model))
            scorers["onnx"] = OnnxScorer(model, served, run.repository, export.model_name, torch.get_num_threads())
        return fastest(scorers)

    return str(_measured_once(run, "engine", device, run.repository_parameters, measure))


def choose_batch_size(run: Artifacts, model: Model, device: str) -> int:
    """Choose the joint network's fastest batch size on this kind of processor.

    The first call in a run measures the batch sizes and prints the choice. The choice is stored with the results.

    Args:
        run: The run.
        model: The run's network and preprocessing.
        device: Device of this process: cpu or cuda.

    Returns:
        Windows in a batch.
    """
    network, precision = model.network, settle_precision(run, device)
    assert isinstance(network, JointResNet)

    def measure() -> tuple[int, dict[int, float]]:
        from aframe.inference.scorers.choice import best_batch_size

        return best_batch_size(network, model.preprocessing, precision, device)

    parameters = run.model_parameters | run.scoring_parameters
    return int(_measured_once(run, "batch_size", device, parameters, measure))


def _measured_once(
    run: Artifacts,
    key: str,
    device: str,
    parameters: storage.Parameters,
    measure: Callable[[], tuple[Any, Mapping[Any, float]]],
) -> Any:
    """Value of a key that is fastest on this kind of processor. Measure it once in a run, store and print it."""
    kind = _processor(device)
    path = run.result(f"{key}-{kind}.json")
    if storage.exists(path):
        storage.check_parameters(path, parameters)
        return json.loads(storage.read_text(path))[key]
    value, rates = measure()
    storage.sign(path, parameters)
    record = json.dumps({key: value, "windows_per_second": rates})
    first = storage.write_first(path, record)
    speeds = ", ".join(f"{each} {rate:.3g}" for each, rate in rates.items())
    if first == record:
        print(f"{key} = auto: {value} is the fastest on {kind} (windows/s: {speeds})", flush=True)
    return json.loads(first)[key]


def embedding_cache(run: Artifacts, scorer: Scorer, device: str) -> EmbeddingCache | None:
    """Open the run's cache of embeddings for further slides.

    Args:
        run: The run.
        scorer: Source of the embeddings.
        device: Device of this process: cpu or cuda.

    Returns:
        The cache. None if the run has no cache, or if encoding is the identity.
    """
    inference = run.config.inference
    if inference.embeddings_cache == 0 or not scorer.network.is_factorised:
        return None
    processor = _processor(device)
    parameters = {
        "model": storage.sha256(run.model),
        "engine": type(scorer).__name__,
        "precision": run.precision("scoring"),
    }
    parameters |= {"processor": processor, "torch": str(torch.__version__)}
    if inference.asks_the_repository:
        parameters |= {name: str(value) for name, value in run.config.parameters("export").items()}
    return EmbeddingCache(storage.join(run.embeddings, processor), 1e9 * inference.embeddings_cache, parameters)


def _processor(device: str) -> str:
    """Name of a kind of processor, usable in the name of a file."""
    name = torch.cuda.get_device_name() if device == "cuda" else f"{platform.machine()}-{torch.get_num_threads()}"
    return re.sub(r"[^A-Za-z0-9]+", "-", name)


def server_address(run: Artifacts, owner: int, gpus: str) -> str | None:
    """Address of the Triton server of a run. Start one for all processes of the run if none is configured.

    Args:
        run: The run.
        owner: Number of the run's first process. The server ends with this process.
        gpus: GPUs of the server, as in CUDA_VISIBLE_DEVICES.

    Returns:
        The address. None if the engine is not Triton.

    Raises:
        ServerError: If the server cannot be started.
    """
    inference = run.config.inference
    if inference.engine != "triton":
        return None
    return inference.triton_address or shared_server(_launch(run, gpus), run.directories.condor, owner)


def _launch(run: Artifacts, gpus: str) -> Launch:
    inference, cache = run.config.inference, run.config.export.engine_cache
    endpoint = Endpoint(inference.triton_host)
    return Launch(run.repository, inference.triton_launcher, inference.triton_image or IMAGE, gpus, cache, endpoint)


def check_engine(run: Artifacts) -> None:
    """Check that the model can be exported and served on this machine.

    Raises:
        ConfigurationError: If TensorRT has to build the model and is not installed, or templates are too long for a
            server.
        ServerError: If the run has to start a Triton server, and PATH has no launcher.
    """
    config = run.config
    size = round(config.bank.template_length * config.search.sample_rate)
    if config.export.served and is_long(size) and run.needs_bank:
        raise ConfigurationError(
            f"template_length = {config.bank.template_length:g} s in [luigi_bank]: from {LEAST_SIZE} samples on "
            f"({LEAST_SIZE / config.search.sample_rate:g} s) templates are filtered at several rates, which no server "
            "does: set served = false in [luigi_export], or shorten them"
        )
    if config.export.served and config.export.platform == "tensorrt":
        load_tensorrt()
    if config.inference.engine == "triton" and not config.inference.triton_address:
        _launch(run, "").find_launcher()


def stop_server(run: Artifacts) -> None:
    """Stop the server of a run, if the run started one."""
    stop_shared_server(run.directories.condor)
