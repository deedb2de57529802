"""Read files that torch saved, with their checksums."""

import zipfile
from typing import Any

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
