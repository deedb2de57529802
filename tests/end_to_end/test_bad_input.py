"""Commands given bad input: one line that says what, where and what to do, exit code 1, and nothing half made."""

import functools
import logging
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import luigi
import numpy as np
import pytest
import torch
import yaml
from shipped import put_model
from terminal import AFRAME, aframe, aframe_here, environment_of, law_run, refused_by_law, settle, write_run

from aframe import cli, storage
from aframe.constants import SECONDS_PER_YEAR
from aframe.machine import precision
from aframe.preprocessing import Preprocessing, Whitening
from aframe.settings.read import load_config
from aframe.steps import strain_search
from aframe.tables import EventTable
from aframe.tasks.law_internals import interrupt
from aframe.tasks.report import Report
from aframe.train import model
from aframe.train.architectures import FactorisedNetwork
from aframe.train.model import Model

Result = subprocess.CompletedProcess[str]


def told(result: Result) -> str:
    """The one line of an error."""
    assert result.returncode == 1, result.stdout + result.stderr
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    return lines[0]


def told_here(*arguments: str) -> str:
    """The one line of an error of a command that runs in this process."""
    return told(aframe_here(*arguments))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run")


def edit(directory: Path, file: str, pattern: str, replacement: str) -> None:
    path = directory / file
    text, count = re.subn(pattern, replacement, path.read_text(), flags=re.MULTILINE)
    assert count == 1
    path.write_text(text)


def made(directory: Path) -> list[str]:
    """Files that a run has made."""
    mine = {"sandbox.cfg", "train.yaml", ".env", "run.sh", ".lock"}
    return [str(path) for path in directory.rglob("*") if path.is_file() and path.name not in mine]


@pytest.mark.parametrize(
    ("pattern", "replacement", "words", "command"),
    [
        ("^highpass = 32", "highpas = 32", "did you mean 'highpass'?", aframe_here),  # the command finds it
        ("^Tb = 3000", "Tb = 1e9", "lower Tb", aframe),  # law does, as which the command goes on
    ],
)
def test_a_run_with_a_mistake_makes_nothing(
    run: Path, pattern: str, replacement: str, words: str, command: Callable[..., Result]
) -> None:
    settle(run, "injections", "model")
    before = made(run)
    edit(run, "sandbox.cfg", pattern, replacement)
    assert words in told(command("run", str(run)))
    assert made(run) == before


def test_law_run_without_a_configuration(run: Path) -> None:
    variables = {k: v for k, v in environment_of(run).items() if k != "LAW_CONFIG_FILE"}
    command = ["law", "run", "aframe.pipelines.sandbox.Sandbox"]
    path = f"{Path(os.sys.executable).parent}:{variables['PATH']}"  # type: ignore[attr-defined]
    result = subprocess.run(
        command, env=variables | {"PATH": path}, cwd="/", capture_output=True, text=True, check=False
    )
    assert "LAW_CONFIG_FILE is not set" in told(result)


def test_a_step_finds_the_env_file_beside_its_configuration(run: Path) -> None:
    result = aframe_here("data", "--cfg", str(run / "sandbox.cfg"), "--stage", "test")
    assert (result.returncode, result.stderr) == (0, "")
    assert list((run / "test_data" / "background").glob("*.hdf5"))


def test_the_script_of_a_run_that_was_copied_refuses_to_work_on_the_other(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "copy")
    command = ["bash", str(tmp_path / "copy" / "run.sh")]
    result = subprocess.run(command, env=environment_of(), capture_output=True, text=True, check=False)
    assert told(result).endswith(f"is {run}: if the run was moved or copied, set it to {tmp_path / 'copy'}")
    assert not made(run)


def test_configuration_that_is_none(run: Path) -> None:
    (run / "sandbox.cfg").write_text("highpass = 32\n")
    assert "is no configuration file" in told_here("run", str(run))


def test_law_run_where_the_configuration_is_missing(run: Path) -> None:
    (run / "sandbox.cfg").unlink()
    assert re.fullmatch(r"error: .*sandbox\.cfg does not exist.*", refused_by_law(run))


def test_debug_shows_the_traceback(run: Path) -> None:
    settle(run, "injections", "model")
    edit(run, "sandbox.cfg", r"^Tb = 3000", "Tb = 1e9")
    result = aframe("--debug", "run", str(run))
    assert result.returncode == 1
    assert "Traceback" in result.stderr
    assert "DataError" in result.stderr


def test_error_inside_a_task_is_one_line(run: Path) -> None:
    """Although two branches of the task meet it."""
    assert aframe_here("data", variables=environment_of(run)).returncode == 0
    put_model(run)
    paths = list((run / "test_data" / "background").glob("*.hdf5"))
    assert len(paths) == 2
    for path in paths:
        with h5py.File(path, "r+") as file:
            file["L1"][:] = 0.0
    assert "the PSD is zero or not finite in band" in told(aframe("run", str(run)))
    assert not list(run.rglob(".partial-*"))
    assert not list((run / "test_data").rglob("*waveforms*"))


@pytest.mark.parametrize(
    ("reached", "prepare"),
    [
        ("test_data/background", put_model),
        pytest.param(
            "train_data/training_waveforms.hdf5", lambda run: settle(run, "injections"), marks=pytest.mark.thorough
        ),
    ],
)
def test_interruption_is_one_line(run: Path, reached: str, prepare: Callable[[Path], object]) -> None:
    prepare(run)
    pipe = subprocess.PIPE
    process = subprocess.Popen([AFRAME, "run", str(run), "--workers", "2"], start_new_session=True, text=True,
                               env=environment_of(), stdout=pipe, stderr=pipe)  # fmt: skip
    while not (run / reached).exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    errors = process.communicate(timeout=60)[1]
    assert process.returncode != 0
    assert errors.splitlines() == ["interrupted: run the same command again to resume"]


class Interrupts(logging.Filter):
    """Ctrl-C while a line is logged."""

    def filter(self, record: logging.LogRecord) -> bool:
        os.kill(os.getpid(), signal.SIGINT)
        return True


def log_a_line() -> None:
    logger = logging.Logger("interrupted")
    logger.addFilter(Interrupts())
    logger.addHandler(logging.NullHandler())
    logger.warning("a line")


def tell_an_event() -> None:
    """Ctrl-C while luigi calls who is to know of an event."""

    class Told(luigi.Task):
        pass

    Told.event_handler(luigi.Event.SUCCESS)(lambda task: os.kill(os.getpid(), signal.SIGINT))
    Told().trigger_event(luigi.Event.SUCCESS, Told())


@pytest.mark.parametrize("work", [log_a_line, tell_an_event])
def test_an_interruption_never_comes_where_it_does_harm(work: Callable[[], None]) -> None:
    """Else logging's lock stays taken, and the run waits for a thread that waits for it; or luigi drops it."""
    before = signal.signal(signal.SIGINT, functools.partial(interrupt, os.getpid()))
    try:
        work()
        with pytest.raises(KeyboardInterrupt):
            time.sleep(10)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(("code", "told"), [(-signal.SIGINT, ""), (-signal.SIGKILL, "Report was killed (died with")])
def test_a_killed_process_is_reported_unless_an_interruption_killed_it(
    run: Path, code: int, told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment_of(run).items():
        monkeypatch.setenv(name, value)
    Report().trigger_event(luigi.Event.PROCESS_FAILURE, Report(), f"died with exit code {int(code)}")
    lines = capsys.readouterr().err
    assert told in lines if told else not lines


def test_a_process_just_forked_ends_without_a_word_at_an_interruption() -> None:
    before = signal.signal(signal.SIGINT, functools.partial(interrupt, os.getpid()))
    try:
        child = multiprocessing.get_context("fork").Process(target=signal.raise_signal, args=(signal.SIGINT,))
        child.start()
        child.join(60)
    finally:
        signal.signal(signal.SIGINT, before)
    assert child.exitcode == -signal.SIGINT


def test_truncated_artifact_of_a_run_is_named(run: Path) -> None:
    assert aframe_here("data", variables=environment_of(run)).returncode == 0
    path = next((run / "test_data" / "background").glob("*.hdf5"))
    path.write_bytes(path.read_bytes()[:100_000])
    settle(run, "injections", "model")
    line = told_here("run", str(run), "--check")
    assert str(path) in line
    assert "truncated" in line


@pytest.mark.parametrize("command", ["status", "report", "run"])
def test_directory_that_is_no_run(tmp_path: Path, command: str) -> None:
    assert str(tmp_path) in told_here(command, str(tmp_path))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the LIGO detectors, with weights as they were drawn."""
    whitening = Whitening(2048.0, 8.0, 1.0, 1.0, 8.0, 32.0, None)
    preprocessing = Preprocessing(("H1", "L1"), 1.5, 4.0, (0.5, 1.4), whitening)
    path = tmp_path_factory.mktemp("model") / "model.pt"
    network = FactorisedNetwork(2, preprocessing.kernel_size)
    network.hop(preprocessing.stride_size)
    model.save(Model(network.eval(), preprocessing), str(path), {})
    return path


def strain(path: Path, ifo: str, change: Callable[[h5py.Dataset], None] | None = None, rate: float = 2048.0) -> str:
    """A file of a minute of white noise."""
    with h5py.File(path, "w") as file:
        noise = np.random.default_rng(ord(ifo[0])).normal(0, 1e-21, round(60 * rate))
        dataset = file.create_dataset(ifo, data=noise)
        dataset.attrs.update({"x0": 1262304000.0, "dx": 1 / rate})
        if change is not None:
            change(dataset)
    return str(path)


def no_samples(dataset: h5py.Dataset) -> None:
    dataset[:] = np.nan


@pytest.mark.parametrize(
    ("second", "words"),
    [
        (lambda p: strain(p, "V1"), ["H1, L1", "H1, V1"]),
        (lambda p: strain(p, "L1", no_samples), ["L1"]),
        (lambda p: strain(p, "L1", rate=1024.0), ["1024", "2048"]),
        (lambda p: "/nowhere/L1.hdf5", ["/nowhere/L1.hdf5", "does not exist"]),
        (lambda p: [strain(p, "L1"), os.truncate(p, 50_000)] and str(p), ["L1.hdf5", "truncated"]),
        (lambda p: [p.write_text("no strain")] and str(p), ["L1.hdf5", "HDF5"]),
    ],
)  # fmt: skip
def test_bad_strain(trained: Path, tmp_path: Path, second: Callable[[Path], str], words: list[str]) -> None:
    files = [strain(tmp_path / "H1.hdf5", "H1"), second(tmp_path / "L1.hdf5")]
    output = tmp_path / "events.hdf5"
    line = told_here("infer", "--model", str(trained), "--strain", *files, "--output", str(output))
    assert all(word in line for word in words), line
    assert not output.exists()


def test_good_strain(trained: Path, tmp_path: Path) -> None:
    files = [strain(tmp_path / f"{ifo}.hdf5", ifo) for ifo in ("H1", "L1")]
    output = tmp_path / "events.hdf5"
    page = tmp_path / "events.html"
    outputs = ("--output", str(output), "--page", str(page), "--top", "2")
    result = aframe("infer", "--model", str(trained), "--strain", *files, *outputs)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.endswith(f"events: {output}\npage: {page}\n")
    [chosen] = re.findall("^scored in (.+)$", result.stdout, re.MULTILINE)
    assert (storage.made_with(str(output)) or {})["inference.precision"] == chosen == precision.choose("cpu")
    shown = min(2, len(EventTable.read(str(output))))
    assert len(re.findall("<summary>", page.read_text())) == shown > 0


def test_directory_of_strain_with_a_background_and_a_gap(trained: Path, tmp_path: Path) -> None:
    def gap(dataset: h5py.Dataset) -> None:
        dataset[2048 * 25 : 2048 * 27] = np.nan

    (tmp_path / "strain").mkdir()
    strain(tmp_path / "strain" / "L1.hdf5", "L1", gap)
    strain(tmp_path / "strain" / "H1.hdf5", "H1")
    alone, rated = tmp_path / "alone.hdf5", tmp_path / "rated.hdf5"
    # in bfloat16, the two loudest events may be equally loud
    command = ["infer", "--model", str(trained), "--strain", str(tmp_path / "strain"), "--precision", "float32"]
    result = aframe_here(*command, "--output", str(alone))
    assert (result.returncode, result.stderr) == (0, "")
    known = EventTable.read(str(alone))
    second = float(np.sort(known["detection_statistic"])[-2])
    columns = {"detection_statistic": np.array([second + 1e-9, second - 1]), "detection_time": np.zeros(2)}
    background = EventTable({**columns, "shift": np.zeros((2, 2))}, attributes={"Tb": SECONDS_PER_YEAR / 2})
    background.write(str(tmp_path / "background.hdf5"))
    outputs = ("--output", str(rated), "--page", str(tmp_path / "rated.html"))
    result = aframe_here(*command, "--background", str(tmp_path / "background.hdf5"), *outputs)
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert any(line.endswith("(2 s, missing samples: NaN in L1)") for line in lines)
    assert re.search(r"^searched: \d+ s in 2 stretches", result.stdout, re.M)
    first = next(k for k, line in enumerate(lines) if line.startswith("UTC")) + 1
    rates = [line.removesuffix("at the edge of a stretch: time and statistic may be wrong") for line in lines]
    assert [line.split()[4:] for line in rates[first : first + 2]] == [["<", "2"], ["2"]]
    table = EventTable.read(str(rated))
    assert table["far_per_year"][:2].tolist() == [2.0, 2.0]
    assert table["far_is_upper_limit"][:2].tolist() == [True, False]
    missing = told_here(*command[:3], "--strain", str(tmp_path / "none*.hdf5"))
    assert "none*.hdf5" in missing
    assert "mend the path" in missing


@pytest.mark.parametrize("content", [b"", b"no model"])
def test_model_that_is_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    line = told_here("infer", "--model", str(path), "--strain", "H1.hdf5")
    assert "is no model file" in line
    line = told_here("export", "--model", str(path), "--repository", str(tmp_path / "repository"))
    assert "is no model file" in line
    assert not (tmp_path / "repository").exists()


def test_init_refuses_existing_files_and_unknown_keys(run: Path, tmp_path: Path) -> None:
    assert "already has" in told_here("init", str(run))
    assert "highpas" in told_here("init", str(tmp_path / "new"), "--set", "search.highpas=3")
    assert not (tmp_path / "new").exists()
    assert "configuration lies in a local directory" in told_here("init", "s3://bucket/run")


def test_init_adds_keys_that_its_files_leave_out(tmp_path: Path) -> None:
    changes = (
        "candidates.num_timed=3",
        "inference.batch_size=64",
        "candidates.catalogue_window=2",
        "search.highpass=30",
    )
    cli.main(["init", str(tmp_path / "new"), *(word for change in changes for word in ("--set", change))])
    made = load_config(str(tmp_path / "new" / "sandbox.cfg"))
    assert (made.candidates.num_timed, made.candidates.catalogue_window) == (3, 2.0)
    assert (made.inference.batch_size, made.search.highpass) == (64, 30.0)
    line = told_here("init", str(tmp_path / "other"), "--set", "veto.gates=H1:g.txt")
    assert "did you mean 'luigi_vetoes'" in line


def test_help_is_readable(run: Path) -> None:
    result = law_run(run, "--help")
    assert result.returncode == 0
    assert "--gpus" in result.stdout
    assert "--workers" in result.stdout
    assert "as in CUDA_VISIBLE_DEVICES" in " ".join(result.stdout.split())
    assert len(result.stdout.splitlines()) < 70
    assert not made(run)


def test_set_tells_equal_keys_of_the_training_apart_by_what_they_are_in(tmp_path):
    changes = ("train.data.batch_size=32", "train.model.architecture.layers=[1]", "train.trainer.max_epochs=7")
    cli.main(
        [
            "init",
            str(tmp_path / "run"),
            "--config",
            "bbh-joint",
            *(word for change in changes for word in ("--set", change)),
        ]
    )
    training = yaml.safe_load((tmp_path / "run" / "train.yaml").read_text())
    assert training["data"]["batch_size"] == 32
    assert training["model"]["architecture"]["init_args"]["batch_size"] == 256
    assert training["model"]["architecture"]["init_args"]["layers"] == [1]
    assert training["trainer"]["max_epochs"] == 7
    told = told_here("init", str(tmp_path / "other"), "--set", "train.data.max_epochs=2")
    assert "train.yaml has no key 'max_epochs' there" in told


@pytest.mark.parametrize(
    ("asked", "of_background", "expected"),
    [
        (None, "bfloat16", "bfloat16"),
        (None, None, "float32"),
        ("auto", "bfloat16", "float32"),
        ("float16", "float32", "float16"),
    ],
)
def test_strain_is_scored_in_the_precision_of_the_background(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str | None, of_background: str | None, expected: str
) -> None:
    monkeypatch.setattr(precision, "slowdown", lambda kind, _: 1.0 if kind == torch.float32 else 50.0)
    path = tmp_path / "background.hdf5"
    columns = {"detection_statistic": np.zeros(1), "detection_time": np.zeros(1), "shift": np.zeros((1, 2))}
    made = {"inference.precision": of_background} if of_background else {"search.seed": 1}
    EventTable(columns, attributes={"Tb": 1.0}).write(str(path), made)
    choices = strain_search.SearchChoices("model.pt", str(path), precision=asked or "")
    assert strain_search._precision(choices, "cpu") == expected
