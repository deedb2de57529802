"""A device to test with where there is no GPU: tensors that say they are elsewhere, and will not mix with others.

They compute on the processor. What a GPU would refuse is refused: an operation on tensors of two devices, and numpy.
"""

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

ELSEWHERE = "meta"
"""The one device besides cpu that torch knows in every build."""

COPIES = ("aten::copy_", "aten::_to_copy", "aten::to")
"""Operations from one device to another."""

returned: list[int] = []
"""Numbers of elements that came from elsewhere to the processor, one copy after another."""


class ElsewhereTensor(Tensor):
    """A tensor that says it is elsewhere, around one that holds its numbers."""

    held: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: Tensor) -> "ElsewhereTensor":
        with torch.inference_mode(False):  # in which torch cannot make views of such tensors
            made = torch.Tensor._make_wrapper_subclass(
                cls,
                held.shape,
                strides=held.stride(),
                storage_offset=held.storage_offset(),
                dtype=held.dtype,
                device=torch.device(ELSEWHERE),
            )
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computed(function, args, kwargs or {})


def computed(function: Any, args: Any, kwargs: Any) -> Any:
    """An operation's result, on the device where a GPU would have it."""
    if function._schema.name == "aten::_has_compatible_shallow_copy_type":
        return False  # a module's parameters are replaced when it moves
    leaves = tree_leaves((args, kwargs))
    tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
    there = [t for t in tensors if isinstance(t, ElsewhereTensor)]
    here = [t for t in tensors if not isinstance(t, ElsewhereTensor) and t.dim() > 0]
    if there and here and function._schema.name not in COPIES:
        raise RuntimeError(f"{function}: expected all tensors to be on the same device")
    devices = [leaf for leaf in leaves if isinstance(leaf, torch.device)]
    is_there = devices[0].type == ELSEWHERE if devices else bool(there)
    args, kwargs = tree_map(_held, (args, kwargs))
    result = function(*args, **kwargs)
    if function._schema.name == "aten::copy_":
        is_there = isinstance(tensors[0], ElsewhereTensor)
    if there and not is_there:
        returned.extend(leaf.numel() for leaf in tree_leaves(result) if isinstance(leaf, Tensor))
    return tree_map(lambda x: ElsewhereTensor(x) if isinstance(x, Tensor) and is_there else x, result)


def _held(leaf: Any) -> Any:
    if isinstance(leaf, torch.device):
        return torch.device("cpu")
    return leaf.held if isinstance(leaf, ElsewhereTensor) else leaf


class Elsewhere(TorchDispatchMode):
    """While it is entered, tensors can be made elsewhere."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computed(function, args, kwargs or {})
