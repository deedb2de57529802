"""Networks. Each encodes the stream of each detector, and fuses the embeddings of the detectors."""

from aframe.train.architectures.factorised import FactorisedNetwork
from aframe.train.architectures.matched_filter import MatchedFilterNetwork
from aframe.train.architectures.network import Network
from aframe.train.architectures.plain_bank import PlainBank
from aframe.train.architectures.resnet import JointResNet

__all__ = ["FactorisedNetwork", "JointResNet", "MatchedFilterNetwork", "Network", "PlainBank"]
