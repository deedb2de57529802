import warnings
from collections.abc import Iterator

import jaxtyping
import pytest
from matplotlib import pyplot as plt
from toy_run import run_with_populations, write_events

import aframe
from aframe.notebook import Search
from aframe.runs.artifacts import Artifacts
from aframe.steps.answers import estimate_sensitivity

TOY_POPULATIONS = (
    "from aframe.waveforms.priors import log_normal_bbh\n"
    "def alike():\n    return log_normal_bbh(35.0, 20.0, 0.1, 1.0)\n"
    "def heavy():\n    return log_normal_bbh(40.0, 30.0, 0.1, 1.0)\n"
)


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Artifacts:
    """A finished toy search with one population besides the demo's pairs."""
    directory = tmp_path_factory.mktemp("notebook") / "run"
    directory.mkdir()
    (directory / "notebook_populations.py").write_text(TOY_POPULATIONS)
    run = run_with_populations(directory, "notebook_populations.alike")
    write_events(run)
    with warnings.catch_warnings():
        estimate_sensitivity(run)
    return run


@pytest.fixture
def search(run: Artifacts) -> Iterator[Search]:
    yield aframe.Search.load(str(run.config.path.parent))
    plt.close("all")


@pytest.fixture
def as_typed(search: Search) -> Iterator[Search]:
    """The search as a user has it: without run-time checks of types."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield search
    jaxtyping.config.update("jaxtyping_disable", False)
