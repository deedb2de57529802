"""Batch norm made part of the convolution before it, for networks that are no longer trained."""

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_norms(module: nn.Module) -> None:
    """Fold each batch norm that follows a convolution into it: the same scores to rounding, with less to compute.

    Args:
        module: In evaluation mode; changed in place.
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
