import functools
from collections.abc import Callable, Iterator

import pytest
from served import small_model

from aframe.train.model import Model


@pytest.fixture
def make_model() -> Callable[..., Model]:
    """A small network of a kind whose scores differ from window to window."""
    return small_model


@pytest.fixture(scope="session", autouse=True)
def operators_read_once() -> Iterator[None]:
    """Let torch's exporter read the sources of all of ONNX's operators once, and not for each graph: a second each."""
    from onnxscript._framework_apis import torch_2_5

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch_2_5, "get_torchlib_ops", functools.cache(torch_2_5.get_torchlib_ops))
        yield
