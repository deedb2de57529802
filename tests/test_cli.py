"""The command line's manners: what it says of itself, and to those who err."""

import argparse
import contextlib
import os
import pty
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from processes_of_runs import wait_for
from terminal import aframe_here

import aframe
from aframe import cli
from aframe.commands import completion


def declared() -> list[tuple[str, argparse.Action]]:
    """Every option and argument of every command."""
    parsers = cli.subparsers(cli.build_parser(cli.ALL))
    return [(name, action) for name, parser in parsers.items() for action in parser._actions]


LIKE_A_USER = "-dac_override,-dac_read_search"
"""What takes root's right to read all files."""

OPTIONS = [
    pytest.param(action, id=f"{name} {action.dest}")
    for name, action in declared()
    if action.help != argparse.SUPPRESS and action.dest not in ("help", "version")
]


@pytest.mark.parametrize("action", OPTIONS)
def test_each_option_tells_its_default_and_its_unit(action: argparse.Action) -> None:
    help_text = " ".join((action.help or "").split())
    assert help_text
    if action.option_strings:
        assert ("required" if action.required else "default:") in help_text or "required with" in help_text
        if action.default not in (None, "", False, [], argparse.SUPPRESS):
            shown = f"{action.default:g}" if isinstance(action.default, float) else action.default
            assert f"default: {shown}" in help_text
    if action.type is float:
        assert re.search(r"\b(s|Hz|per year)\b", help_text)


def aframe_answers(*words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-P", "-m", "aframe.cli", *words]
    environment = os.environ | variables
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["stauts", "x"], "aframe: there is no command 'stauts' (did you mean 'status'?); `aframe --help` tells all"),
        (["run", "x", "--gpsu", "0"], "aframe run: there is no option --gpsu (did you mean '--gpus'?); "
                                      "`aframe run --help` tells all"),
        (["run", "x", "--workers=two"], "aframe run: argument --workers: invalid int value: 'two'; "
                                        "`aframe run --help` tells all"),
        (["run"], "aframe run: the following arguments are required: directory; `aframe run --help` tells all"),
        (["init", "--", "x", "--config", "demo"], "aframe init: --config stands behind --, where no options are: put "
                                                  "it before; `aframe init --help` tells all"),
        (["--verison"], "aframe: there is no option --verison (did you mean '--version'?); `aframe --help` tells all"),
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_one_line(words: list[str], message: str) -> None:
    done = aframe_here(*words)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {message}\n")


def test_a_process_with_a_wrong_command_line_ends_with_2() -> None:
    done = aframe_answers("stauts", "x")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


@pytest.mark.parametrize("words", [["--version"], ["run", "--version"], ["train", "--version"], ["infer", "--version"]])
def test_the_version_is_printed_anywhere(words: list[str]) -> None:
    done = aframe_here(*words)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"aframe {aframe.__version__}\n", "")


@pytest.mark.parametrize("words", [["--debug", "status", "/nowhere"], ["status", "/nowhere", "--debug"]])
def test_debug_may_stand_before_and_after_the_command(words: list[str]) -> None:
    done = aframe_answers(*words)
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")


@pytest.mark.parametrize("words", [["--quiet", "init"], ["init", "--quiet"]])
def test_quiet_prints_nothing_but_errors(words: list[str], tmp_path: Path) -> None:
    for expected in ((0, "", ""), (1, "", f"error: {tmp_path}/run already has ")):
        done = aframe_answers(*words, f"{tmp_path}/run")
        assert (done.returncode, done.stdout, done.stderr[: len(expected[2])]) == expected
        assert bool(done.stderr) == bool(expected[2])


def test_help_names_every_command() -> None:
    help_text = aframe_here("--help").stdout
    assert all(
        re.search(rf"^    {name}\s+{re.escape(line[:20])}", help_text, re.M) for name, line in cli.COMMANDS.items()
    )
    modules = {path.stem for path in Path(cli.__file__).parent.joinpath("commands").glob("*.py")}
    assert modules - {"__init__", "runs"} == set(cli.COMMANDS)


def test_who_reads_may_stop_reading(tmp_path: Path) -> None:
    command = f"{sys.executable} -P -m aframe.cli --help | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_device_is_one_line(unbuffered: str) -> None:
    command = f"{sys.executable} -P -m aframe.cli completion bash > /dev/full"
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 1
    assert done.stderr.startswith("error: there is no space left where what is printed")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("run", "closed"), r"closed/run\.sh cannot be used \(Permission denied\): mend its permissions or the path"),
        (("init", "new", "--frames", "closed"), r"closed cannot be read \(no permission to read \S+closed\): mend its"),
        (
            ("init", "new", "--frames", "closed/*.gwf"),
            r"closed/\*\.gwf cannot be read \(no permission to read \S+closed\)",
        ),
    ],
)
def test_what_the_system_refuses_is_one_line(tmp_path: Path, command: tuple[str, ...], message: str) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    plain = () if os.geteuid() else ("setpriv", f"--bounding-set={LIKE_A_USER}", f"--inh-caps={LIKE_A_USER}")
    if plain and shutil.which(plain[0]) is None:
        pytest.skip("no setpriv: root without root's rights takes util-linux")
    done = subprocess.run(
        [*plain, sys.executable, "-P", "-m", "aframe.cli", *command], capture_output=True, text=True, check=False,
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1
    assert re.fullmatch(rf"error: \S*{message}.*\n", done.stderr)


@pytest.mark.parametrize(("encoding", "line"), [("ascii", "+ is fine, - is"), ("latin-1", "+ is fine, - is"),
                                                ("utf-8", "✔ is fine, – is")])  # fmt: skip
def test_signs_that_an_encoding_lacks_are_spelled_out(encoding: str, line: str) -> None:
    done = aframe_answers("doctor", "--help", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, "")
    assert line in done.stdout


@pytest.mark.parametrize("seconds", ["-1", "0", "nan", "inf"])
def test_a_run_is_not_watched_without_pause(seconds: str) -> None:
    done = aframe_here("status", "/nowhere", "--watch", seconds)
    message = f"error: --watch {seconds} must be positive, and at most 86400: give seconds between two looks\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", message)


def completed(*line: str) -> list[str]:
    """What bash offers at the end of a command line."""
    script = f'{completion.bash()}\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _aframe; echo "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "-c", script, "bash", *line], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.split()


def test_bash_completes_commands_options_and_values() -> None:
    assert completed("aframe", "export", "--accelerator", "t") == ["tensorrt"]
    assert completed("aframe", "st") == ["status"]
    assert set(cli.COMMANDS) <= set(completed("aframe", ""))
    assert completed("aframe", "--debug", "run", "--g") == ["--gpus"]
    assert completed("aframe", "data", "--stage", "") == ["train", "test"]
    assert set(completed("aframe", "completion", "")) >= {"bash", "zsh", "fish"}
    assert completed("aframe", "train", "")[-3:] == ["fit", "validate", "submit"]
    assert completed("aframe", "infer", "--strain", "da") == []  # files, which bash completes itself


TELL_THE_LINE = """
autoload -Uz compinit; compinit -u
source {directory}/_aframe
zle-line-init() {{ touch {directory}/ready }}
tell() {{ print -r -- $BUFFER >> {directory}/lines }}
zle -N zle-line-init
zle -N tell
bindkey '^T' tell
"""


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh")
def test_zsh_completes_commands_options_and_values(tmp_path: Path) -> None:
    (tmp_path / "_aframe").write_text(completion.zsh())
    (tmp_path / ".zshrc").write_text(TELL_THE_LINE.format(directory=shlex.quote(str(tmp_path))))
    completed = {
        "aframe sta": "aframe status ",
        "aframe --debug sta": "aframe --debug status ",
        "aframe init --obs": "aframe init --observing-run ",
        "aframe export --platform ten": "aframe export --platform tensorrt ",
        "aframe train su": "aframe train submit ",
        "aframe infer --strain _af": "aframe infer --strain _aframe ",
        "aframe infer --strain a b --out": "aframe infer --strain a b --output ",
        "aframe data --stage te": "aframe data --stage test ",
    }
    ours, theirs = pty.openpty()
    variables = os.environ | {"ZDOTDIR": str(tmp_path), "TERM": "xterm"}
    shell = subprocess.Popen(["zsh", "-i"], stdin=theirs, stdout=theirs, stderr=theirs, cwd=tmp_path, env=variables)
    os.close(theirs)
    wait_for((tmp_path / "ready").exists)
    os.write(ours, "".join(f"\x15{line}\t\x14" for line in completed).encode() + b"\x15exit\n")
    with contextlib.suppress(OSError):  # the other end is closed
        while os.read(ours, 65536):
            pass
    os.close(ours)
    assert shell.wait(60) == 0
    assert (tmp_path / "lines").read_text().splitlines() == list(completed.values())


def test_fish_completes_every_option_with_its_meaning() -> None:
    lines = completion.fish().splitlines()
    assert "complete -c aframe -f -n __fish_use_subcommand -a report -d " + shlex.quote(cli.COMMANDS["report"]) in lines
    for name, action in declared():
        long = [string[2:] for string in action.option_strings if string.startswith("--")]
        if long and action.help != argparse.SUPPRESS:
            start = f"complete -c aframe -n '__fish_seen_subcommand_from {name}' -l {long[0]} -d "
            assert any(line.startswith(start) for line in lines)


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish")
def test_fish_completes_commands_options_and_values(tmp_path: Path) -> None:
    (tmp_path / "aframe.fish").write_text(completion.fish())
    (tmp_path / "strain.hdf5").touch()
    completed = {
        "aframe sta": ["status"],
        "aframe init --obs": ["--observing-run"],
        "aframe export --platform ten": ["tensorrt"],
        "aframe train su": ["submit"],
        "aframe infer --strain str": ["strain.hdf5"],
        "aframe data --stage te": ["test"],
    }
    for line, expected in completed.items():
        script = f"source aframe.fish; complete --do-complete={shlex.quote(line)}"
        variables = os.environ | {"HOME": str(tmp_path)}
        command = ["fish", "--no-config", "--command", script]
        done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=True)
        assert [offer.partition("\t")[0] for offer in done.stdout.splitlines()] == expected


def test_the_page_of_commands_is_up_to_date() -> None:
    script = Path(__file__).parents[1] / "docs" / "scripts" / "commands.py"
    page = runpy.run_path(str(script))
    assert page["PAGE"].read_text() == page["page"](), f"run python {script}"


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_lead_to_nowhere(closed: str, tmp_path: Path) -> None:
    """A file that is opened must not take the number of standard output."""
    command = [sys.executable, "-P", "-m", "aframe.cli", "init", str(tmp_path / "run")]
    done = subprocess.run(
        ["bash", "-c", f'"$@" {closed}', "-", *command], capture_output=True, text=True, check=True, timeout=60
    )
    assert not done.stderr
    assert done.stdout.startswith("wrote ") == (closed == "2>&-")
    assert (tmp_path / "run" / "sandbox.cfg").read_text().startswith("# The newcomer's search")


def test_a_deleted_working_directory_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(SystemExit, match="1"):
        cli.main(["doctor"])
    assert capsys.readouterr().err == "error: the working directory has been deleted: change to another one\n"
