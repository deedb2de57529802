import fcntl
import functools
import gc
import importlib.util
import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import Generator, Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING
from unittest import mock

import pytest
from jaxtyping import _import_hook

if TYPE_CHECKING:
    from served import Running
    from stores import Store, Wire

os.environ.setdefault("OMP_NUM_THREADS", "1" if "PYTEST_XDIST_WORKER" in os.environ else "2")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "2000")

# what a shell starts in the background ignores Ctrl-C, and so would all commands whose interruption is tested
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


OFTEN_CALLED = (
    *(f"aframe.waveforms.{name}" for name in ("approximants", "bands", "polarizations")),
    *(f"aframe.strain.{name}" for name in ("lists", "rows", "times")),
    *("aframe.preprocessing", "aframe.inference.slides"),
)
"""Modules whose functions are called for each waveform, line or slide, and take no arrays: checks double their time."""


def checked_code(loader: _import_hook._JaxtypingLoader, name: str) -> CodeType | None:
    """A module's code, with checks of its arrays' shapes, from a cache that has these."""
    if name in OFTEN_CALLED:
        return SourceFileLoader(name, loader.path).get_code(name)
    cache = functools.partial(_import_hook._optimized_cache_from_source, loader._typechecker.get_hash())
    with mock.patch("importlib._bootstrap_external.cache_from_source", cache):
        return SourceFileLoader.get_code(loader, name)


# jaxtyping turns to that cache for all that a module imports too: torch, scipy and Lightning are then compiled anew
_import_hook._JaxtypingLoader.get_code = checked_code  # type: ignore[method-assign]
_import_hook._JaxtypingLoader.exec_module = SourceFileLoader.exec_module  # type: ignore[method-assign]


LONGEST = (
    "end_to_end/test_whole.py",
    "steps/test_training_cli.py",
    "end_to_end/test_served.py",
    "end_to_end/test_bad_input.py",
    "serving/test_client.py",
    "tests/test_mistakes.py",
    "export/test_onnx.py",
    "waveforms/test_horizon.py",
)
"""Files whose tests take a minute or more, longest first: where tests run on several cores, so do they."""


SYSTEMS = ("slurm", "condor", "kubernetes", "container", "install", "docs", "thorough")
"""Markers of tests that start a batch system, build an image, install much or take minutes: they run when asked for."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    rank = {name: k for k, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get("/".join(item.path.parts[-2:]), len(rank)))
    for item in items:
        for name in SYSTEMS:
            if item.get_closest_marker(name) is not None and name not in config.option.markexpr:
                target = "docs-test" if name == "docs" else f"test-{name}"
                item.add_marker(pytest.mark.skip(reason=f"`make {target}` runs it"))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Search for no garbage while all is imported, and later more rarely, and not in what was imported."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        gc.enable()


DATA = Path(os.environ.get("AFRAME_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


SERVICES = Path(__file__).parents[1] / ".services"


@pytest.fixture(scope="session")
def data_directory() -> Path:
    """Real LIGO data, where they are at hand."""
    if not DATA.is_dir():
        pytest.skip(f"no real data: {DATA} does not exist (set AFRAME_TEST_DATA)")
    return DATA


@pytest.fixture(scope="session")
def measured_asds() -> dict[str, Path]:
    """ASDs of O3 as measured, rows of frequency (Hz) and ASD, by detector; none where they are not at hand."""
    paths = {ifo: DATA / "asd" / f"cogwheel_asd_{ifo[0]}_O3.npy" for ifo in ("H1", "L1", "V1")}
    return {ifo: path for ifo, path in paths.items() if path.is_file()}


@pytest.fixture(scope="session")
def tritonserver() -> Path:
    """Directory of a tritonserver, for PATH."""
    path = Path(os.environ.get("AFRAME_TRITONSERVER", SERVICES / "tritonserver" / "bin"))
    if not (path / "tritonserver").is_file():
        pytest.skip(f"no Triton server in {path}: `make test-triton` sets one up")
    return path


@pytest.fixture(scope="session")
def store_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Store"]:
    """An S3 server: the one that AFRAME_TEST_S3 names (endpoint, key, secret), or one that is started here."""
    import stores

    if "AFRAME_TEST_S3" in os.environ:
        yield stores.Store(*os.environ["AFRAME_TEST_S3"].split())
        return
    rclone = SERVICES / "s3" / "bin" / "rclone"
    if not rclone.is_file():
        pytest.skip(f"no S3 server in {rclone.parent}: `make test-s3` sets one up")
    with stores.served(rclone, tmp_path_factory.mktemp("s3") / "buckets") as store:
        yield store


@pytest.fixture
def bucket(store_server: "Store", monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A prefix on that server which no other test uses, and an environment in which it is reached."""
    import fsspec
    import stores

    for name, value in store_server.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AFRAME_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    stores.make_bucket()
    return f"s3://{stores.BUCKET}/{uuid.uuid4().hex[:12]}"


@pytest.fixture
def wire(bucket: str, store_server: "Store", monkeypatch: pytest.MonkeyPatch) -> Iterator["Wire"]:
    """The connection to that server, which can be cut."""
    import numpy as np
    import stores

    from aframe.storage import s3

    wire = stores.Wire(store_server.endpoint)
    monkeypatch.setenv("AWS_ENDPOINT_URL", wire.endpoint)
    monkeypatch.setattr(s3, "_message_time", np.zeros(1))
    s3.ObjectStore.clear_instance_cache()
    yield wire
    wire.close()


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A private Slurm, to which everything submits."""
    scripts, directory = Path(__file__).parent / "services" / "slurm", tmp_path_factory.mktemp("slurm")
    subprocess.run([scripts / "start.sh", directory], check=True)
    os.environ["SLURM_CONF"] = str(directory / "slurm.conf")
    yield
    subprocess.run([scripts / "stop.sh", directory], check=True)
    del os.environ["SLURM_CONF"]


@pytest.fixture
def condor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A pool of HTCondor's stand-in, to which everything submits; its directory."""
    commands, pool = SERVICES / "htcondor" / "bin", tmp_path / "pool"
    pool.mkdir()
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("HTCONDOR_STAND_IN", str(pool))
    yield pool
    shutil.rmtree(pool / "jobs", ignore_errors=True)  # jobs that still wait end


@pytest.fixture(scope="session")
def ml4gw() -> None:
    """Skip where ml4gw is not installed (its top level, which needs more than is used of it, is not imported)."""
    if importlib.util.find_spec("ml4gw") is None:
        pytest.skip("ml4gw is not installed: `make dev` installs it")


@pytest.fixture(scope="session")
def operators_read_once() -> Iterator[None]:
    """Let torch's exporter read the sources of all of ONNX's operators once, and not for each graph: a second each."""
    from onnxscript._framework_apis import torch_2_5

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch_2_5, "get_torchlib_ops", functools.cache(torch_2_5.get_torchlib_ops))
        yield


@pytest.fixture(scope="session")
def small_repository(tmp_path_factory: pytest.TempPathFactory, operators_read_once: None) -> Path:
    """A repository of a factorised and of a joint network, which nobody changes: one for all workers."""
    import served

    base = tmp_path_factory.getbasetemp()
    directory = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "small-repository"
    with open(f"{directory}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for kind in ("factorised", "joint"):
            if not (directory / kind / "config.pbtxt").exists():
                served.publish_small(kind, directory)
    return directory


@pytest.fixture(scope="session")
def small_server(
    small_repository: Path, tritonserver: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator["Running"]:
    """A server of that repository, which nobody stops."""
    import served

    log = tmp_path_factory.mktemp("log") / "tritonserver.log"
    with served.serving(small_repository, tritonserver, log) as running:
        yield running
