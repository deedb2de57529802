import os
import subprocess
import sys
from pathlib import Path

from terminal import environment_of, write_run

CODE = """
import contextlib, os, sys, warnings
from aframe.tasks.law_start import run
sys.argv = ["law", "--version"]
with contextlib.suppress(SystemExit):
    run()
import law, luigi
print(luigi.configuration.get_config().has_option("core", "default_scheduler_host"))
print(law.config.get("luigi_search", "ifos"), os.environ["LAW_CONFIG_FILE"], os.getcwd(), sep="|")
warnings.warn("not an error")
"""


def test_a_run_reads_its_own_configuration_alone(tmp_path: Path) -> None:
    """Neither another project's luigi.cfg, nor its environment variables. A byte-order mark does not matter."""
    path = write_run(tmp_path / "run") / "sandbox.cfg"
    path.write_text(path.read_text().replace("\n", "\r\n"), encoding="utf-8-sig", newline="")
    for name in ("luigi.cfg", "other.cfg"):
        (tmp_path / name).write_text("[core]\ndefault_scheduler_host = example.org\n[search]\nifos = K1\n")
    foreign = {"LUIGI_CONFIG_PATH": str(tmp_path / "other.cfg"), "LUIGI_CONFIG_PARSER": "toml"}
    variables = (
        environment_of(tmp_path / "run") | foreign | {"LAW__luigi_search__ifos": "G1", "PYTHONWARNINGS": "error"}
    )
    command = [sys.executable, "-c", CODE]
    done = subprocess.run(command, env=variables, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-2:] == ["False", f"H1, L1|{path}|{tmp_path}"]
    assert "UserWarning: not an error" in done.stderr


INTERRUPTED = """
import os, signal
from aframe.tasks import law_start

def interrupted(*words):
    os.kill(os.getpid(), signal.SIGINT)

law_start.contextlib.chdir = interrupted
law_start.run()
"""


def test_an_interruption_while_law_is_imported_is_one_line() -> None:
    command = [sys.executable, "-c", INTERRUPTED]
    done = subprocess.run(command, env=environment_of(), capture_output=True, text=True, check=False)
    assert done.returncode
    assert done.stderr == "interrupted: run the same command again to resume\n"


def test_the_variables_of_files_from_other_systems(tmp_path: Path) -> None:
    directory = write_run(tmp_path / "run")
    path = directory / ".env"
    path.write_text(path.read_text().replace("\n", "\r\n"), encoding="utf-8-sig", newline="")
    assert environment_of(directory)["AFRAME_RESULTS_DIR"] == str(directory / "results")
    script = (directory / "run.sh").read_text().partition("exec ")[0] + 'printf "%s|" "$AFRAME_RESULTS_DIR" "$LAW_HOME"'
    (directory / "print.sh").write_text(script)
    command = ["bash", str(directory / "print.sh")]
    of_shell = subprocess.run(command, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True)
    assert of_shell.stdout == f"{directory}/results|{directory}/.law|"
    assert not of_shell.stderr
