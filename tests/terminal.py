"""Commands as a user types them, and a run that takes a minute."""

import contextlib
import io
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn
from unittest.mock import patch

import pytest

from aframe import cli, storage
from aframe.errors import AframeError
from aframe.runs.artifacts import Artifacts
from aframe.runs.directories import Directories
from aframe.settings import env_file
from aframe.settings.read import load_config, read_config

AFRAME = str(Path(sys.executable).parent / "aframe")
LAW = str(Path(sys.executable).parent / "law")

SMALL = (
    "data.train_stop=1262304256",
    "data.test_stop=1262304768",
    "data.min_duration=200",
    "data.max_duration=256",
    "inference.Tb=3000",
    "export.platform=torch",
    "inference.precision=float32",
    "inference.background_per_job=800",
    "injections.num_injections=16",
    "waveforms.num_training_waveforms=64",
    "waveforms.num_validation_waveforms=16",
    "train.trainer.max_epochs=2",
    "train.data.batches_per_epoch=6",
    "train.data.batch_size=32",
    "train.model.architecture.widths=[12, 16, 24, 32]",
    "train.model.architecture.blocks=[1, 1, 1, 1]",
    "sensitivity.mass_combos=35-35, 20-10",
    "candidates.num_shown=3",
)
"""Changes that make of the demo's configuration one of two testing segments, minutes long.

Scores are float32 on any processor, so that tests can compare them closely. The exported model is TorchScript, which
takes a tenth of ONNX's time.
"""


def write_run(directory: Path, *changes: str) -> Path:
    """A run's configuration in a new directory."""
    options = [option for change in (*SMALL, *changes) for option in ("--set", change)]
    cli.main(["init", str(directory), "--config", "demo-factorised", *options])
    training = directory / "train.yaml"
    text = re.sub("validation_background: [0-9]+", "validation_background: 600", training.read_text())
    training.write_text(text)
    return directory


def write_batch(directory: Path, workflow: str, text: str = "", **keys: object) -> Path:
    """Have the heavy tasks of a run be jobs.

    Args:
        directory: Of the run.
        workflow: Which batch system.
        text: More sections.
        keys: Of ``[luigi_batch]``.
    """
    chosen = {"workflow": workflow, "memory": 2500, "poll_interval": 0.5, "retries": 2, **keys}
    lines = "".join(f"{name} = {value}\n" for name, value in chosen.items())
    path = directory / "sandbox.cfg"
    path.write_text(f"{path.read_text()}\n[luigi_batch]\n{lines}\n{text}")
    return directory


def put_on(store: str, directory: Path) -> Path:
    """Have all but the submit files of a run on a store."""
    text = (directory / ".env").read_text()
    for name in ("train_data", "test_data", "train_run", "results"):
        text = text.replace(f'="$AFRAME_RUN_DIR/{name}"', f'="{store}/{name}"')
    (directory / ".env").write_text(text)
    return directory


def environment_of(directory: Path | None = None) -> dict[str, str]:
    """This process's environment without a run's variables, and with those of the run in a directory."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("AFRAME_", "LAW_"))}
    if directory is not None:
        variables |= env_file.read(str(directory / ".env"), {})
        variables["LAW_CONFIG_FILE"] = str(directory / "sandbox.cfg")
    return variables


def run_in(directory: Path) -> Artifacts:
    """The run of a directory, as its files now are."""
    load_config.cache_clear()
    made = load_config(str(directory / "sandbox.cfg"))
    return Artifacts(made, Directories.from_environment(environment_of(directory)))


def settle(run: Path, *names: str) -> None:
    """Have a run's injections or model made, so that what they take is not looked at again, by LAL or by Lightning."""
    directories = Directories(**{name: str(run / name) for name in Directories.__annotations__})
    injections: storage.Parameters = {}
    network: storage.Parameters = {}
    with contextlib.suppress(AframeError):
        made, wrong = read_config(str(run / "sandbox.cfg"))
        if not wrong:
            there = Artifacts(made, directories)
            injections, network = there.injection_parameters, there.model_parameters
    if "injections" in names:
        for name in ("waveforms", "rejected-parameters"):
            with storage.create_hdf5(str(run / "test_data" / f"{name}.hdf5"), injections):
                pass
    if "model" in names:
        storage.sign(str(run / "train_run" / "model.pt"), network)
        (run / "train_run" / "model.pt").touch()


def aframe(
    *arguments: str, variables: Mapping[str, str] | None = None, home: str | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run the ``aframe`` command."""
    chosen = dict(environment_of() if variables is None else variables)
    if home is not None:
        chosen["HOME"] = home
    return subprocess.run([AFRAME, *arguments], env=chosen, capture_output=True, text=True, check=False, timeout=1200)


def aframe_here(*arguments: str, variables: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    """Run the ``aframe`` command in this process, which spares seconds of imports and is left as it was.

    What a user would see as a traceback is raised. ``aframe run`` of a run without mistakes cannot be asked for: the
    command would go on as another program.
    """
    chosen = environment_of() if variables is None else variables
    out, err, code = io.StringIO(), io.StringIO(), 0
    load_config.cache_clear()
    with (
        patch.dict(os.environ, chosen, clear=True),
        patch("os.execvpe", _refuse_to_go_on),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            cli.main(arguments)
        except SystemExit as stop:
            code = int(stop.code or 0)
    load_config.cache_clear()
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def _refuse_to_go_on(program: str, words: list[str], environment: Mapping[str, str]) -> NoReturn:
    raise AssertionError(f"this process would become {' '.join(words)}")


def law_run(
    directory: Path, *options: str, task: str = "aframe.pipelines.sandbox.Sandbox", cwd: str = "/"
) -> "subprocess.CompletedProcess[str]":
    """Run the pipeline, or a task and what it needs, by ``law run`` with the variables of a run."""
    command = [LAW, "run", task, *options]
    return subprocess.run(
        command, env=environment_of(directory), cwd=cwd, capture_output=True, text=True, check=False, timeout=1200
    )


def refused_by_law(directory: Path) -> str:
    """The error with which the pipeline ends before its first task, without the seconds that a process takes."""
    from aframe.pipelines import sandbox

    load_config.cache_clear()
    with patch.dict(os.environ, environment_of(directory), clear=True), pytest.raises(SystemExit) as stop:
        sandbox.begin.__wrapped__("")
    load_config.cache_clear()
    return str(stop.value)
