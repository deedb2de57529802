"""``aframe init --set`` changes the lines of its keys alone: comments, order and blank lines stay."""

import difflib
import subprocess
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest
import yaml

from aframe import cli
from aframe.commands.init import CONFIGURATIONS
from aframe.settings import env_file
from aframe.settings.cfg_file import CfgFile


def shipped(name: str) -> Path:
    return Path(str(resources.files("aframe") / "pipelines" / "sandbox" / name))


def init(directory: Path, config: str, *changes: str) -> tuple[str, str]:
    """Texts of the ``.cfg`` and the YAML of a new run."""
    words = [word for change in changes for word in ("--set", change)]
    cli.main(["init", str(directory / "run"), "--config", config, *words])
    return (directory / "run" / "sandbox.cfg").read_text(), (directory / "run" / "train.yaml").read_text()


def parameters(text: str) -> Iterator[str]:
    """Keys of a YAML with their values, as they are written in it."""

    def visit(node: yaml.MappingNode, prefix: str) -> Iterator[str]:
        for name, value in node.value:
            key = f"{prefix}.{name.value}"
            if isinstance(value, yaml.MappingNode):
                yield from visit(value, key)
            else:
                yield f"{key}={text[value.start_mark.index : value.end_mark.index]}"

    yield from visit(yaml.compose(text), "train")


def difference(name: str, text: str) -> list[str]:
    """Lines that are not in the shipped file, and those that are there alone."""
    lines = difflib.unified_diff(shipped(name).read_text().splitlines(), text.splitlines(), lineterm="", n=0)
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


@pytest.mark.parametrize("config", CONFIGURATIONS)
def test_values_that_stay_change_no_byte(config: str, tmp_path: Path) -> None:
    expected = tuple(shipped(name).read_text() for name in CONFIGURATIONS[config])
    sections = CfgFile.read(str(shipped(CONFIGURATIONS[config][0]))).sections
    changes = [
        f"{section.removeprefix('luigi_')}.{key}={value}"
        for section in sections
        for key, value in sections[section].items()
    ]
    changes += parameters(expected[1])
    assert len(changes) > 60
    assert init(tmp_path / "plain", config) == expected
    assert init(tmp_path / "same", config, *changes) == expected


@pytest.mark.parametrize(
    ("config", "change", "expected"),
    [
        (
            "demo",
            "inference.Tb=86400",
            [
                "-Tb = 10368000                   # s of time-slid background",
                "+Tb = 86400                      # s of time-slid background",
            ],
        ),
        ("demo", "injections.snr_threshold=5.5", ["-snr_threshold = 4", "+snr_threshold = 5.5"]),
        (
            "demo",
            "data.asd=/a/long/path/to/a/directory/asd.txt",
            [
                "-asd = aLIGO_O4_high_asd.txt     # from bilby's collection, or a file",
                "+asd = /a/long/path/to/a/directory/asd.txt # from bilby's collection, or a file",
            ],
        ),
        ("demo", "data.segments=list.txt", ["+segments = list.txt"]),
        ("demo", "vetoes.veto_margin=1", ["+", "+[luigi_vetoes]", "+veto_margin = 1"]),
        (
            "bbh",
            "batch.memory=8000",
            [
                "-memory = 6000                   # MiB, of a job",
                "+memory = 8000                   # MiB, of a job",
            ],
        ),
    ],
)
def test_a_key_of_the_cfg(config: str, change: str, expected: list[str], tmp_path: Path) -> None:
    configuration, training = init(tmp_path, config, change)
    assert difference(CONFIGURATIONS[config][0], configuration) == expected
    assert difference(CONFIGURATIONS[config][1], training) == []


@pytest.mark.parametrize(
    ("config", "change", "expected"),
    [
        (
            "demo",
            "train.learning_rate=1e-4",
            ["-  learning_rate: 3.0e-3    # peak", "+  learning_rate: 1e-4      # peak"],
        ),
        ("demo", "train.trainer.devices=[0, 1]", ["-  devices: 1", "+  devices: [0, 1]"]),
        (
            "bbh-joint",
            "train.architecture.batch_size=32",
            [
                "-      batch_size: 256      # windows scored at once in a validation",
                "+      batch_size: 32       # windows scored at once in a validation",
            ],
        ),
        ("bbh-joint", "train.data.batch_size=32", ["-  batch_size: 384", "+  batch_size: 32"]),
    ],
)
def test_a_key_of_the_training(config: str, change: str, expected: list[str], tmp_path: Path) -> None:
    configuration, training = init(tmp_path, config, change)
    assert difference(CONFIGURATIONS[config][0], configuration) == []
    assert difference(CONFIGURATIONS[config][1], training) == expected


@pytest.mark.parametrize("value", ["null", "yes", "1.50", "'32'", '"32"', "a/" * 60 + " b", "0x10", "1e3"])
def test_a_value_of_the_training_is_written_as_it_is_given(value: str, tmp_path: Path) -> None:
    _, training = init(tmp_path, "bbh-joint", f"train.trainer.max_epochs={value}")
    assert difference("joint.yaml", training) == ["-  max_epochs: 200", f"+  max_epochs: {value}"]


def test_a_value_of_several_lines_is_one_key(tmp_path: Path) -> None:
    init(tmp_path, "bbh", "batch.submit_lines=one = 1\ntwo = 2")
    sections = CfgFile.read(str(tmp_path / "run" / "sandbox.cfg")).sections
    assert sections["luigi_batch"]["submit_lines"] == "one = 1\ntwo = 2"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("train.trainer.max_epochs=[2", "'[2' is no YAML: mend its brackets and quotes"),
        ("train.trainer.max_epochs=2019-99-99", "'2019-99-99' is no YAML"),
        ("train.trainer.max_epoch=2", "train.yaml has no key 'max_epoch' there (did you mean 'max_epochs'?)"),
        ("train.model.max_epochs=2", "train.yaml has no key 'max_epochs' there; see"),
        ("inference.TB=2", "unknown key 'TB' in [luigi_inference]"),
        ("inference.Tb=soon", "Tb = 'soon' in [luigi_inference] is no number"),
        ("inference.Tb", "give SECTION.KEY=VALUE"),
    ],
)
def test_a_wrong_change_is_refused(
    change: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        init(tmp_path, "demo", change)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: --set {change}: {message}")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "name", ['quote"run', "dollar$HOME", "back`run", "o'run", "my #2 run", "12:30", "[1]", "back\\$x"]
)
def test_the_directory_of_a_run_is_read_back_as_it_was_given(name: str, tmp_path: Path) -> None:
    cli.main(["init", str(tmp_path / name)])
    assert env_file.read(str(tmp_path / name / ".env"))["AFRAME_RESULTS_DIR"] == str(tmp_path / name / "results")
    script = 'set -eu; . ./.env; printf %s "$AFRAME_RESULTS_DIR"'
    of_shell = subprocess.run(["bash", "-c", script], cwd=tmp_path / name, capture_output=True, text=True, check=True)
    assert of_shell.stdout == str(tmp_path / name / "results")
