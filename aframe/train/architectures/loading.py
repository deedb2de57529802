"""Networks by name: this package's own, and classes of a user's module."""

import importlib

from aframe.errors import ConfigurationError
from aframe.train import architectures
from aframe.train.architectures.network import Network


def network_class(name: str, wanted_by: str) -> type[Network]:
    """The class of a network.

    Args:
        name: Of a class of this package, as ``JointResNet``, or the python path of another, as ``my_network.Mine``.
        wanted_by: File that names it, for the error.

    Raises:
        ConfigurationError: If there is no such class, or it is no network.
    """
    module, _, own = name.rpartition(".")
    if not module:
        return getattr(architectures, name)
    try:
        found = getattr(importlib.import_module(module), own)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"{wanted_by} has the network {name}, which cannot be imported ({error}): put the directory of "
            f"{module.partition('.')[0]}.py on PYTHONPATH, with the class that it was trained with"
        ) from None
    if not (isinstance(found, type) and issubclass(found, Network)):
        raise ConfigurationError(f"{wanted_by} has the network {name}, which is no subclass of {Network.__name__}")
    return found
