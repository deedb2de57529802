"""What scores in a run, as its configuration says: torch, ONNX Runtime, or a Triton server; and that server."""

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


def serving_options(made: Export) -> ServingOptions:
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
    precision = settle_precision(run, device)
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


def settle_precision(run: Artifacts, device: str, announce: bool = True) -> torch.dtype:
    """The precision in which a run's units are scored; fixed the first time, so that all machines keep it.

    Args:
        run: The run.
        device: Where this process computes: cpu or cuda.
        announce: Whether to print what is fixed now.

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
    """Say once in a process that a device emulates the precision in which the run is scored."""
    if is_emulated(DTYPES[name], device):
        print(f"warning: this run is scored in {described(DTYPES[name], device)}", file=sys.stderr, flush=True)


def settle_precisions(run: Artifacts, gpus: str) -> str:
    """Fix, when a run begins, the precisions of what this machine's processor will compute.

    On a GPU, or another machine, whatever computes first fixes them and prints them: the run's own process must not
    open a GPU, as the processes that are forked from it could not use it then.

    Args:
        run: The run.
        gpus: GPUs that it may use, as in CUDA_VISIBLE_DEVICES.

    Returns:
        The precisions, and why ``auto`` chooses them; empty where this processor computes nothing.

    Raises:
        ConfigurationError: If the processor cannot compute in one of them.
        StorageError: If they cannot be recorded.
    """
    precisions, here = [], _on_this_processor(run, gpus)
    if "training" in here:
        precisions.append(f"{settle_training(run, run.training_yaml, device='cpu')} in training")
    if "scoring" in here:
        settle_precision(run, "cpu", announce=False)
        precisions.append(f"{run.precision('scoring')} in scoring")
    return f"{', '.join(precisions)}; {explained('cpu')}" if precisions else ""


def warn_of_emulation(run: Artifacts, gpus: str) -> None:
    """Print what this machine's processor will compute in a precision that it emulates; fixes nothing.

    Args:
        run: The run.
        gpus: GPUs that it may use, as in CUDA_VISIBLE_DEVICES.
    """
    here = _on_this_processor(run, gpus)
    trained_in = run.precision("training", training_parameters(run.training_yaml).get(TRAINER_PRECISION))
    if "training" in here and trained_in != AUTO:
        warn_of_emulated_training(trained_in, "cpu")
    if "scoring" in here and run.precision("scoring") != AUTO:
        _warn_of_emulation(run.precision("scoring"), "cpu")


def _on_this_processor(run: Artifacts, gpus: str) -> list[Computation]:
    """What is still to be computed by this machine's processor."""
    if gpus and torch.cuda.is_available():
        return []
    here: list[Computation] = []
    trains_here = not run.config.kubernetes.trains and not torch.backends.mps.is_available()
    if trains_here and not storage.exists(run.model):
        here.append("training")
    if not run.config.batch_for("ScoreSlides").is_remote:
        here.append("scoring")
    return here


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

        scorers: dict[str, Scorer] = {"torch": TorchScorer(model, settle_precision(run, device), device)}
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
    network, precision = model.network, settle_precision(run, device)
    assert isinstance(network, JointResNet)

    def measure() -> tuple[int, dict[int, float]]:
        from aframe.inference.scorers.choice import best_batch_size

        return best_batch_size(network, model.preprocessing, precision, device)

    parameters = run.made_model | run.scoring_parameters
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
    made_by = {
        "model": storage.sha256(run.model),
        "engine": type(scorer).__name__,
        "precision": run.precision("scoring"),
    }
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
