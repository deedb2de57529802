"""Networks: each encodes one detector's stream and fuses the detectors' embeddings."""

from aframe.train.architectures.factorised import FactorisedNetwork
from aframe.train.architectures.network import Network
from aframe.train.architectures.resnet import JointResNet

__all__ = ["FactorisedNetwork", "JointResNet", "Network"]
