from collections.abc import Callable

import pytest
from served import small_model

from aframe.train.model import Model


@pytest.fixture
def make_model() -> Callable[..., Model]:
    """A small network of a kind whose scores differ from window to window."""
    return small_model


@pytest.fixture(scope="session", autouse=True)
def exports(operators_read_once: None) -> None:
    """Nearly all tests here export."""
