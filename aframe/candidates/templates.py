"""Find the template that fits a window of strain best, and its parameters."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from aframe.bank.template_bank import TemplateBank
from aframe.errors import ConfigurationError
from aframe.train.architectures import MatchedFilterNetwork, Network
from aframe.train.architectures.filter_bank import order_of
from aframe.types import Array


@dataclass(frozen=True)
class Templates:
    """Parameters of a network's templates.

    Attributes:
        columns: Parameters of each template of the network, shape (templates,); empty if they are not known.
        after: Part of a template after coalescence, s.
    """

    columns: Mapping[str, Array]
    after: float

    @classmethod
    def of(cls, bank: TemplateBank, network: MatchedFilterNetwork) -> "Templates":
        """Parameters of the bank that a network was trained with.

        Args:
            bank: The bank.
            network: The network.

        Raises:
            ConfigurationError: If the network has another number of templates.
        """
        order = order_of(torch.from_numpy(bank.chirp_mass), network.groups).numpy()
        if len(order) != network.templates:
            raise ConfigurationError(
                f"the bank has {len(bank.chirp_mass)} templates, and the network {network.templates}: give the bank "
                "that the network was trained with"
            )
        columns = {**bank.parameters, "chirp_mass": bank.chirp_mass}
        return cls({name: np.asarray(column)[order] for name, column in columns.items()}, bank.after)

    @classmethod
    def of_network(cls, network: Network, bank: str, after: float) -> "Templates":
        """Parameters of a network's templates; none for networks without templates, and without a bank.

        Args:
            network: The network.
            bank: Path of the bank that it was trained with; empty without one.
            after: Part of a template after coalescence, s, where there is no bank.
        """
        if not isinstance(network, MatchedFilterNetwork) or not bank:
            return cls({}, after)
        return cls.of(TemplateBank.read(bank), network)

    def parameters(self, template: int) -> dict[str, float]:
        """Parameters of one template of the network."""
        return {name: float(column[template]) for name, column in self.columns.items()}


@torch.no_grad()
def best_template(network: MatchedFilterNetwork, strain: Float[Tensor, "ifos time"]) -> tuple[int, int]:
    """Template with the largest sum over the detectors, and the step of the window that has it.

    Args:
        network: The network.
        strain: Whitened strain of each detector, one window.
    """
    embedded = network.encode(strain[None].to(network.offset.dtype))[0, :, : network.templates].sum(0)
    template, step = divmod(int(embedded.argmax()), embedded.shape[-1])
    return template, step
