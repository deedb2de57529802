"""Networks small enough for tests, of every kind that an engine or a server must know how to handle."""

from collections.abc import Callable

from aframe.train.architectures import FactorisedNetwork, JointResNet, Network


def small_networks(ifos: int, kernel_size: int) -> dict[str, Callable[[], Network]]:
    """What makes each of them, by its kind."""
    sizes = {"widths": (4, 6), "blocks": (1, 1), "kernels": (3, 3), "embedding_size": 4, "head_size": 4}
    others = {"context": (1,), "inspiral": (1, 2), "shared_encoder": False}
    return {
        "factorised": lambda: FactorisedNetwork(ifos, kernel_size, **sizes),
        "per_detector": lambda: FactorisedNetwork(ifos, kernel_size, **sizes, **others),
        "joint": lambda: JointResNet(ifos, kernel_size, layers=(1,), batch_size=7),
    }
