"""Network classes by name: those of this package, and those of users' modules."""

import importlib

from aframe.errors import ConfigurationError
from aframe.train import architectures
from aframe.train.architectures.network import Network


def network_class(name: str, source: str) -> type[Network]:
    """Import the class of a network.

    Args:
        name: Name of a class of this package, as ``JointResNet``, or python path of another, as ``my_network.Mine``.
        source: File that names the class, for the error.

    Raises:
        ConfigurationError: If there is no such class, or it is no network.
    """
    module, _, class_name = name.rpartition(".")
    if not module and not hasattr(architectures, name):
        raise ConfigurationError(
            f"{source} has the network {name}, which this version of aframe lacks: use the version that trained it"
        )
    if not module:
        return getattr(architectures, name)
    try:
        imported = getattr(importlib.import_module(module), class_name)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"{source} has the network {name}, which cannot be imported ({error}): put the directory of "
            f"{module.partition('.')[0]}.py on PYTHONPATH, with the class that it was trained with"
        ) from None
    if not (isinstance(imported, type) and issubclass(imported, Network)):
        raise ConfigurationError(f"{source} has the network {name}, which is no subclass of {Network.__name__}")
    return imported
