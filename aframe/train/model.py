"""``model.pt``: a trained network with all that is needed to apply it."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

import fsspec
import torch

import aframe
from aframe import storage
from aframe.errors import StorageError
from aframe.preprocessing import Preprocessing, Whitening
from aframe.train.architectures import Network
from aframe.train.architectures.loading import network_class

FORMAT = 1


@dataclass(frozen=True)
class Model:
    """A network in evaluation mode and its preprocessing.

    Attributes:
        network: The network.
        preprocessing: What its windows are.
        trained_in: Lightning's name of the precision of its training; empty where it is not known. Weights are
            float32 whatever it was.
    """

    network: Network
    preprocessing: Preprocessing
    trained_in: str = ""


def save(model: Model, path: str, made_with: storage.Parameters, in_half_precision: bool = False) -> None:
    """Write ``model.pt``, whole or not at all.

    Args:
        model: What to save.
        path: Local or s3 path.
        made_with: Parameters of the training, kept for provenance.
        in_half_precision: Whether to round the weights to half precision, which halves the file; they are computed with
            in single precision all the same.
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
    """Read ``model.pt``; nothing in it is executed. Of a class of the user's it has the name, which is imported.

    Raises:
        ConfigurationError: If the network's class is not of this package and cannot be imported.
        StorageError: If the file is missing, damaged, of another format version, unlike its class, or not the one that
            the record beside it is of.
    """
    if not storage.exists(path):
        raise StorageError(f"{path} does not exist: train a model first, or mend the path")
    try:
        with fsspec.open(path, "rb") as stream:
            content: dict[str, Any] = torch.load(stream, map_location="cpu", weights_only=True)
        version = content["format"]
    except Exception as error:
        kind = type(error).__name__
        raise StorageError(f"{path} is no model file, or a damaged one ({kind}): fetch it anew") from None
    if version != FORMAT:
        raise StorageError(
            f"{path} has format {version}, this version of aframe reads format {FORMAT}: "
            f"use aframe {content.get('versions', {}).get('aframe', 'of its own version')}"
        )
    _check_record(path, json.loads(content["made_with"]))
    fields = dict(content["preprocessing"])
    fields["whitening"] = Whitening(**fields["whitening"])
    fields["ifos"], fields["coalescence"] = tuple(fields["ifos"]), tuple(fields["coalescence"])
    architecture = content["architecture"]
    network = network_class(architecture["name"], path)(**architecture["arguments"])
    try:
        network.load_state_dict(content["weights"])
    except RuntimeError as error:
        told = " ".join(str(error).split())
        raise StorageError(
            f"{path} does not fit the class {architecture['name']} as it is now ({told}): put back the one that it was "
            "trained with"
        ) from None
    return Model(network.eval().requires_grad_(False), Preprocessing(**fields), content.get("trained_in", ""))


def _check_record(path: str, own: storage.Parameters) -> None:
    """Refuse a model that was put in the place of the one that the record beside it is of; there may be none."""
    recorded = storage.made_with(path)
    names = sorted(name for name in own.keys() | (recorded or {}).keys() if own.get(name) != (recorded or {}).get(name))
    if recorded is not None and names:
        raise StorageError(
            f"{path} is not the model that was made here: it was trained with {names[0]} = {own.get(names[0])!r}, the "
            f"record beside it says {recorded.get(names[0])!r}: put that one back, or delete it to train anew"
        )
