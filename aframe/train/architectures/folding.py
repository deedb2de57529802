"""Folding of what is fixed in trained networks: batch norms into convolutions, and PSDs into matched filters."""

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from aframe.train.architectures.filter_bank import FilterBank


def fold_norms(module: nn.Module) -> None:
    """Fold each batch norm after a convolution into it. Scores change by rounding only, and cost less.

    Args:
        module: Module in evaluation mode. It is changed in place.
    """
    for name, child in module.named_children():
        fold_norms(child)
        if isinstance(child, nn.Sequential):
            layers: list[nn.Module] = []
            for layer in child:
                if isinstance(layer, nn.BatchNorm1d) and layers and isinstance(layers[-1], nn.Conv1d):
                    layers[-1] = fuse_conv_bn_eval(layers[-1], layer)
                else:
                    layers.append(layer)
            setattr(module, name, nn.Sequential(*layers))


def fold_filters(module: nn.Module) -> None:
    """Compute the matched filters of each detector, for export.

    Args:
        module: Network in single precision. It is changed in place.
    """
    for each in module.modules():
        if isinstance(each, FilterBank):
            each.fold()
