"""Mistakes of users, by kind, and the one-line message of each: exit code 1, no traceback, nothing written."""

import os
import re
import shutil
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest
import torch
from command_mistakes import COMMANDS
from run_changes import edit, env
from run_mistakes import CHECK, RUNS, SIGNALS
from terminal import run_in, settle, write_run

from aframe import cli, storage
from aframe.commands.runs import load_environment
from aframe.errors import MistakesError
from aframe.preprocessing import Preprocessing, Whitening
from aframe.settings.read import read_config
from aframe.settings.sections import Config
from aframe.train import model
from aframe.train.architectures import FactorisedNetwork
from aframe.train.model import Model


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """Environment without variables of a run. The old one is restored after the test."""
    before = dict(os.environ)
    for name in before:
        if name.startswith(("AFRAME_", "LAW_")):
            del os.environ[name]
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's files, and an untrained model of the LIGO detectors."""
    directory = write_run(tmp_path_factory.mktemp("template") / "run")
    preprocessing = Preprocessing(("H1", "L1"), 1.5, 4.0, (0.5, 1.4), Whitening(2048.0, 8.0, 1.0, 1.0, 8.0, 32.0, None))
    network = FactorisedNetwork(2, preprocessing.kernel_size)
    network.hop(preprocessing.stride_size)
    model.save(Model(network.eval(), preprocessing), str(directory / "untrained.pt"), {})
    return directory


@pytest.fixture
def run(template: Path, tmp_path: Path) -> Path:
    """A run without outputs."""
    shutil.copytree(template, tmp_path / "run")
    path = tmp_path / "run" / ".env"
    path.write_text(path.read_text().replace(str(template), str(tmp_path / "run")))
    return tmp_path / "run"


def snapshot(directory: Path) -> dict[str, bytes | None]:
    """Content of each file, without Python's caches."""
    paths = (path for path in sorted(directory.rglob("*")) if "__pycache__" not in path.parts)
    return {str(path): path.read_bytes() if path.is_file() else None for path in paths}


def error_lines(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """Lines of the error of a command that must fail."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    out, err = capsys.readouterr()
    assert stop.value.code in (1, 2)  # 2: the command line is wrong
    assert "Traceback" not in out + err
    return err.splitlines()


ON_A_PROCESSOR = ("GPU where there is none", "training in a precision that no processor has")
"""Mistakes only on a machine without a GPU."""


@pytest.mark.parametrize("kind", [*RUNS, *SIGNALS, *COMMANDS])
def test_each_mistake_has_a_message_of_one_line(kind: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if kind in ON_A_PROCESSOR and torch.accelerator.is_available():
        pytest.skip("this machine has a GPU")
    change, command, line = {**RUNS, **SIGNALS, **COMMANDS}[kind]
    change(run)
    if kind in RUNS and not (run / "test_data").exists():
        settle(run, "injections")
    if kind in RUNS and change.__qualname__.split(".")[0] != "yaml":
        settle(run, "model")
    before = snapshot(run)
    (message,) = error_lines(capsys, *(word.format(run=run) for word in command))
    assert message.startswith("error: ")
    assert re.search(line, message), message
    assert snapshot(run) == before


def test_kinds_of_mistakes_are_many_and_have_different_names() -> None:
    assert len({**RUNS, **SIGNALS, **COMMANDS}) == len(RUNS) + len(SIGNALS) + len(COMMANDS) >= 60


def test_mistakes_of_all_kinds_are_reported_at_once(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kinds = (
        "misspelled key", "kernel longer than the waveform", "unknown noise curve", "misspelled key of the YAML",
        "word for a number in the YAML", "disk that is full", "gates of another detector",
    )  # fmt: skip
    for kind in kinds[:4]:
        RUNS[kind][0](run)
    edit(run / "train.yaml", "^  weight_decay: .*$", "  weight_decay: some")
    for kind in kinds[5:]:
        RUNS[kind][0](run)
    SIGNALS["prior of no module"][0](run)
    before = snapshot(run)
    heading, *lines = error_lines(capsys, "run", str(run))
    assert heading == "error: 8 mistakes, and nothing was run:", lines
    expected = [RUNS[kind][2] for kind in kinds if kind != "word for a number in the YAML"]
    for line in [*expected, SIGNALS["prior of no module"][2], r"model\.weight_decay = 'some' must be a number"]:
        assert len([text for text in lines if re.search(line, text)]) == 1, line
    assert len(lines) == 8
    assert snapshot(run) == before


def test_mistakes_of_the_environment_hide_no_other(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for kind in ("line of .env that is none", "misspelled key"):
        RUNS[kind][0](run)
    heading, *lines = error_lines(capsys, "run", str(run))
    assert heading == "error: 2 mistakes, and nothing was run:"
    for kind in ("line of .env that is none", "misspelled key"):
        assert any(re.search(RUNS[kind][2], line) for line in lines), kind


def test_invalid_numbers_of_the_training_are_reported(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for key, value in {"batch_size": "0", "learning_rate": "-1.0", "warmup_fraction": "1.5"}.items():
        edit(run / "train.yaml", rf"^  {key}: .*$", f"  {key}: {value}")
    heading, *lines = error_lines(capsys, "run", str(run), "--check")
    assert heading == "error: 3 mistakes, and nothing was run:"
    for line in ("data.batch_size = 0 must be positive", "model.learning_rate = -1.0 must be positive",
                 "model.warmup_fraction = 1.5 must lie between 0 and 1"):  # fmt: skip
        assert any(text.endswith(line) for text in lines), line


def test_a_run_without_mistakes_says_so(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settle(run, "injections", "model")
    before = snapshot(run)
    cli.main([word.format(run=run) for word in CHECK])
    assert capsys.readouterr().out == f"{run}: no mistakes found\n"
    assert snapshot(run) == before


def test_a_batch_system_whose_jobs_are_all_done_need_not_answer(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    RUNS["batch system that does not answer"][0](run)
    settle(run, "injections", "model")
    artifacts = run_in(run)
    with storage.create_hdf5(artifacts.events("background"), artifacts.event_parameters):
        pass
    cli.main([word.format(run=run) for word in CHECK])
    assert capsys.readouterr().out == f"{run}: no mistakes found\n"


@pytest.mark.s3
@pytest.mark.parametrize(
    "case",
    [
        ({}, "s3://no-such-bucket/run", "has no bucket no-such-bucket: make it, or mend the s3:// path"),
        (
            {"AWS_SECRET_ACCESS_KEY": "wrong"},
            "{bucket}",
            r"refuses the credentials \(SignatureDoesNotMatch.*: mend AWS_ACCESS_KEY_ID",
        ),
    ],
)
def test_an_unusable_store_has_a_message_of_one_line(
    case: tuple[dict[str, str], str, str], run: Path, bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    import fsspec

    variables, place, line = case

    os.environ.update(variables)
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    for name in ("TRAIN_DATA", "TEST_DATA", "TRAIN_RUN", "RESULTS"):
        env(name, f"{place.format(bucket=bucket)}/{name.lower()}")(run)
    (message,) = error_lines(capsys, "run", str(run), "--check")
    assert re.search(line, message), message


def test_a_key_that_is_wrong_hides_no_other(run: Path) -> None:
    """With any single wrong key, all other checks run without a crash."""
    load_environment(str(run))
    text = (run / "sandbox.cfg").read_text()
    keys = re.findall(r"^(\w+) = ", text, flags=re.MULTILINE)
    assert len(keys) > 30
    for key in keys:
        (run / "sandbox.cfg").write_text(re.sub(rf"^{key} = ", f"{key}{key} = ", text, flags=re.MULTILINE))
        config, wrong = read_config(str(run / "sandbox.cfg"))
        assert wrong, key
        assert isinstance(config, Config)


def test_mistakes_survive_a_journey_between_processes() -> None:
    import pickle

    error = MistakesError(["one", "two"])
    assert (
        pickle.loads(pickle.dumps(error)).description
        == error.description
        == "error: 2 mistakes, and nothing was run:\n  one\n  two"
    )
    assert MistakesError(["one"]).description == "error: one"
    assert str(error) == "one; two"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("search.ifos=H1, V1", r"coincidence = 16 samples are less than the light travel time between H1 and V1 \(27"),
        ("search.kernel_length=3.25", r"a window of 3328 samples is too short for templates of 3328 samples"),
        ("bank.after=3.5", r"after = 3\.5.* is not inside template_length = 3\.25 s"),
        ("train.data.mined_noise=0", r"data\.mined_noise = 0 must be positive"),
        (
            "data.train_stop=1262304200 & data.min_duration=128",
            r"has 1\d{3} steps of 32 samples, too few to slide it against .* 2048 are needed; take",
        ),
    ],
)
def test_a_bank_that_does_not_fit_the_search_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str, expected: str
) -> None:
    run = tmp_path / "bank"
    cli.main(["init", str(run), "--config", "demo", *(f"--set={each}" for each in change.split(" & "))])
    settle(run, "injections")
    capsys.readouterr()
    lines = error_lines(capsys, "run", str(run), "--check")
    assert len([line for line in lines if re.search(expected, line)]) == 1


def test_glitches_that_fill_the_time_are_a_warning(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shipped = (resources.files("aframe.strain") / "glitches_o3.csv").read_text(encoding="utf-8")
    (run / "mine.csv").write_text(shipped.replace("scattered_light,L1,8,", "scattered_light,L1,90,"))
    edit(run / "sandbox.cfg", "^min_duration", "glitches = mine.csv\nmin_duration")
    settle(run, "injections", "model")
    cli.main([word.format(run=run) for word in CHECK])
    (warning,) = capsys.readouterr().err.splitlines()
    assert re.match(r"warning: glitches = mine\.csv fill up to 1\d% of the time of L1: lower their rate", warning)
