"""Read files that torch saved, with their checksums."""

import pickle
import zipfile
from typing import Any, BinaryIO

import torch

from aframe import storage


def read_saved(path: str) -> dict[str, Any]:
    """Read a dictionary that torch saved. Nothing in the file is executed.

    torch does not look at the checksums: a model with two damaged bytes would score.

    Args:
        path: Local or s3 path.

    Raises:
        Exception: Of many kinds, if the file is missing, damaged or holds something else.
    """
    with storage.open_binary(path) as stream:
        damaged = zipfile.ZipFile(stream).testzip()
        if damaged is not None:
            raise zipfile.BadZipFile(f"{damaged} is damaged")
        stream.seek(0)
        return dict(torch.load(stream, map_location="cpu", weights_only=True))


def kind_of(path: str) -> str:
    """What a file of a network is, other than ``model.pt``; empty if nothing is recognised.

    Args:
        path: Local or s3 path.
    """
    try:
        with storage.open_binary(path) as stream:
            if zipfile.is_zipfile(stream):
                names = zipfile.ZipFile(stream).namelist()
                if any(name.endswith("/constants.pkl") for name in names):
                    return "a TorchScript archive"
            elif _is_onnx(stream):
                return "an ONNX file"
        content = read_saved(path)
    except pickle.UnpicklingError:
        return "a pickled object, whose code would be executed"
    except Exception:  # torch raises many kinds of errors
        return ""
    if "state_dict" in content:
        return "a checkpoint of Lightning"
    is_weights = bool(content) and all(isinstance(value, torch.Tensor) for value in content.values())
    return "a state_dict, weights without their network" if is_weights else ""


def _is_onnx(stream: BinaryIO) -> bool:
    """Whether a file has a graph of ONNX."""
    import onnx
    from google.protobuf.message import DecodeError

    stream.seek(0)
    try:
        return bool(onnx.load_model_from_string(stream.read()).graph.node)
    except DecodeError:
        return False
