"""``model.pt``: a trained network, with its preprocessing and provenance."""

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

import aframe
from aframe import storage
from aframe.errors import StorageError
from aframe.preprocessing import Preprocessing, Whitening
from aframe.train.architectures import Network
from aframe.train.architectures.loading import network_class
from aframe.train.saved import kind_of, read_saved

NAME = "model.pt"
"""Usual name of a model file."""

FORMAT = 1
"""Version of the format of ``model.pt``."""

REQUIRED = ("made_with", "preprocessing", "architecture", "weights")
"""What each file has besides its format."""


@dataclass(frozen=True)
class Model:
    """A network in evaluation mode and its preprocessing.

    Attributes:
        network: The network.
        preprocessing: Preprocessing of its windows.
        trained_in: Lightning's name of the precision of its training; empty if unknown. Weights are always float32.
    """

    network: Network
    preprocessing: Preprocessing
    trained_in: str = ""


def save(model: Model, path: str, made_with: storage.Parameters, in_half_precision: bool = False) -> None:
    """Write ``model.pt`` atomically.

    Args:
        model: Model to save.
        path: Local or s3 path.
        made_with: Parameters of the training, for provenance.
        in_half_precision: Whether to round the weights to half precision. This halves the size of the file. The network
            still computes in single precision.
    """
    weights = {name: tensor.detach().cpu() for name, tensor in model.network.state_dict().items()}
    if in_half_precision:
        weights = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
    content = {
        "format": FORMAT,
        "architecture": model.network.specification,
        "preprocessing": dataclasses.asdict(model.preprocessing),
        "weights": weights,
        "trained_in": model.trained_in,
        "versions": {"aframe": aframe.__version__, "torch": str(torch.__version__)},
        "made_with": json.dumps(made_with, sort_keys=True),
    }
    storage.sign(path, made_with)
    with storage.atomic(path) as temporary:
        torch.save(content, temporary)


def load(path: str) -> Model:
    """Read ``model.pt``. Nothing in it is executed, but a user's network class is imported by its name.

    Raises:
        ConfigurationError: If the network's class is not of this package and cannot be imported.
        StorageError: If the file is missing, damaged or of another format, or does not match its class or the record
            beside it.
    """
    if not storage.exists(path):
        raise StorageError(f"{path} does not exist: train a model first, or mend the path")
    if os.path.isdir(path):
        raise StorageError(f"{path} is a directory without {NAME}: give the {NAME} that a training wrote")
    try:
        content = read_saved(path)
        version = content["format"]
    except Exception as error:
        other = kind_of(path)
        if other:
            raise StorageError(f"{path} is {other}, no model file: give the {NAME} that the training wrote") from None
        reason = type(error).__name__
        raise StorageError(f"{path} is no model file, or a damaged one ({reason}): fetch it again") from None
    if version != FORMAT:
        raise StorageError(
            f"{path} has format {version}, this version of aframe reads format {FORMAT}: "
            f"use aframe {content.get('versions', {}).get('aframe', 'of its own version')}"
        )
    lacking = [name for name in REQUIRED if name not in content]
    if lacking:
        raise StorageError(f"{path} lacks {', '.join(lacking)}: give the {NAME} as the training wrote it")
    try:
        made_with, preprocessing = json.loads(content["made_with"]), _preprocessing(content["preprocessing"])
        name, arguments = content["architecture"]["name"], dict(content["architecture"]["arguments"])
        weights = dict(content["weights"])
    except (KeyError, TypeError, ValueError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise StorageError(f"{path} is no whole model file ({reason}): give it as the training wrote it") from None
    _check_record(path, made_with)
    _check_finite(path, weights)
    kind = network_class(name, path)
    try:
        network = kind(**arguments)
        network.load_state_dict(weights)
    except (RuntimeError, TypeError) as error:
        message = " ".join(str(error).split())
        raise StorageError(
            f"{path} does not fit the class {name} as it is now ({message}): restore the class that it was trained with"
        ) from None
    return Model(network.eval().requires_grad_(False), preprocessing, content.get("trained_in", ""))


def _preprocessing(content: Mapping[str, Any]) -> Preprocessing:
    fields = dict(content)
    fields["whitening"] = Whitening(**fields["whitening"])
    fields["ifos"], fields["coalescence"] = tuple(fields["ifos"]), tuple(fields["coalescence"])
    return Preprocessing(**fields)


def _check_finite(path: str, weights: Mapping[str, torch.Tensor]) -> None:
    """Refuse weights that are not numbers: all scores would be none either."""
    for name, tensor in weights.items():
        if isinstance(tensor, torch.Tensor) and tensor.is_floating_point() and tensor.isnan().any():
            raise StorageError(f"{path} has weights that are not numbers, in {name}: its training failed, train again")


def _check_record(path: str, parameters: storage.Parameters) -> None:
    """Refuse a model whose parameters differ from those of the record beside it, if there is one."""
    recorded = storage.made_with(path)
    if recorded is None:
        return
    names = sorted(name for name in parameters.keys() | recorded if parameters.get(name) != recorded.get(name))
    if names:
        raise StorageError(
            f"{path} is not the model that was made here: it was trained with {names[0]} = "
            f"{parameters.get(names[0])!r}, the record beside it has {recorded.get(names[0])!r}: restore that model, "
            "or delete the file to train again"
        )
