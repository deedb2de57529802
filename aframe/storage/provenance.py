"""The parameters that made an output: record them, read them, refuse others."""

import json
from typing import Any

from aframe.errors import ParameterMismatchError
from aframe.storage.files import PARAMETERS_ATTRIBUTE, Parameters, exists, open_hdf5, read_text, write_text


def made_with(path: str) -> dict[str, Any] | None:
    """Parameters that made an existing output, or None where it does not say.

    HDF5 files say it in an attribute; anything else in a file of its own beside it, ``.<name>.json``.
    """
    if str(path).endswith((".hdf5", ".h5")):
        with open_hdf5(path) as file:
            text = file.attrs.get(PARAMETERS_ATTRIBUTE)
    else:
        beside = _beside(path)
        text = read_text(beside) if exists(beside) else None
    return None if text is None else dict(json.loads(str(text)))


def sign(path: str, parameters: Parameters) -> None:
    """Record the parameters of an output that is not HDF5, before the output itself is moved into place."""
    write_text(_beside(path), json.dumps(parameters, sort_keys=True, indent=1))


def check_parameters(path: str, wanted: Parameters) -> None:
    """Refuse an existing output that was made with other parameters.

    Raises:
        ParameterMismatchError: Naming the first parameter that differs, both values, and the mend.
    """
    found = made_with(path)
    if found is None:
        raise ParameterMismatchError(
            f"{path} does not say which parameters made it: delete it to make it anew, or choose another directory"
        )
    present = json.loads(json.dumps(wanted))
    for name in sorted(found.keys() | present.keys()):
        if found.get(name) != present.get(name):
            error = ParameterMismatchError(
                f"{path} was made with {name} = {found.get(name)!r}, but the configuration now says "
                f"{name} = {present.get(name)!r}: restore the value, choose another directory, "
                "or delete the outputs that depend on it"
            )
            error.parameter = name
            raise error


def _beside(path: str) -> str:
    directory, _, name = str(path).rstrip("/").rpartition("/")
    return f"{directory or '.'}/.{name}.json"
