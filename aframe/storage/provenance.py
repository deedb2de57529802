"""Record, read and check the parameters that made an output."""

import json
from typing import Any

from aframe.errors import ParameterMismatchError
from aframe.storage.files import PARAMETERS_ATTRIBUTE, Parameters, exists, open_hdf5, read_text, write_text
from aframe.storage.paths import has_suffix

CONTENT = "'s SHA-256"
"""Ending of a parameter that is a hash of a file's content."""


def made_with(path: str) -> dict[str, Any] | None:
    """Read the parameters that made an existing output.

    An HDF5 file has them in an attribute. Any other output has them in a file beside it, ``.<name>.json``.

    Args:
        path: Local or remote path of the output.

    Returns:
        The parameters; None if the output does not record them.
    """
    if has_suffix(path, (".hdf5", ".h5")):
        with open_hdf5(path) as file:
            text = file.attrs.get(PARAMETERS_ATTRIBUTE)
        return None if text is None else dict(json.loads(str(text)))
    return signed(path)


def signed(path: str) -> dict[str, Any] | None:
    """Read what ``sign`` recorded beside a file of any kind. None without a record."""
    beside = _beside(path)
    return dict(json.loads(read_text(beside))) if exists(beside) else None


def sign(path: str, parameters: Parameters) -> None:
    """Record the parameters of an output that is not HDF5. Call it before the output appears.

    Args:
        path: Local or remote path of the output.
        parameters: Parameters that make it.
    """
    write_text(_beside(path), json.dumps(parameters, sort_keys=True, indent=1))


def check_parameters(path: str, parameters: Parameters) -> None:
    """Check that an existing output was made with the present parameters.

    Hashes of files are compared if the output and the present both have them: outputs of earlier versions have fewer,
    and inputs may be deleted when they are no longer needed.

    Args:
        path: Local or remote path of the output.
        parameters: Present parameters.

    Raises:
        ParameterMismatchError: If not. The message names the first parameter that differs, and both values.
    """
    recorded = made_with(path)
    if recorded is None:
        raise ParameterMismatchError(
            f"{path} does not say which parameters made it: delete it to make it anew, or choose another directory"
        )
    present = json.loads(json.dumps(parameters))
    for name in sorted(recorded.keys() | present.keys()):
        if name.endswith(CONTENT) and not (name in recorded and name in present):
            continue
        if recorded.get(name) != present.get(name):
            change = f"{name} = {recorded.get(name)!r}, but the configuration now says {name} = {present.get(name)!r}"
            restore = "value"
            if name.endswith(CONTENT):
                change, restore = f"another content of the files of {name.removesuffix(CONTENT)}", "files"
            error = ParameterMismatchError(
                f"{path} was made with {change}: restore the {restore}, choose another directory, "
                "or delete the outputs that depend on it"
            )
            error.parameter = name
            raise error


def _beside(path: str) -> str:
    """Path of the file with the parameters of an output that is not HDF5."""
    directory, _, name = str(path).rstrip("/").rpartition("/")
    return f"{directory or '.'}/.{name}.json"
