"""``aframe init``: the files of a new run."""

import argparse
import re
from importlib import resources
from pathlib import Path

from aframe import config, storage
from aframe.errors import ConfigurationError

CONFIGURATIONS = {"demo": ("demo.cfg", "demo.yaml"), "bbh": ("sandbox.cfg", "bbh.yaml")}

RUN_SCRIPT = """#!/usr/bin/env bash
# Runs the whole pipeline, and resumes it where it was interrupted. Options go to law: --gpus 0,1 --workers 5
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
set -a
. "$here/.env"
set +a
export LAW_CONFIG_FILE="$here/sandbox.cfg"
exec law run aframe.pipelines.sandbox.Sandbox "$@"
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("directory", help="directory of the run")
    parser.add_argument(
        "--config",
        choices=["demo", "bbh"],
        default="demo",
        help="demo: simulated noise, minutes on two cores; bbh: the full analysis, open data (default: demo)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.KEY=VALUE",
        dest="changes",
        help="change a key of the .cfg (inference.Tb=86400) or of the YAML (train.trainer.max_epochs=2), as often as "
        "wanted (default: none)",
    )


def run(options: argparse.Namespace) -> None:
    """Write a run's four files into a directory that has none of them yet."""
    if storage.is_remote(options.directory):
        raise ConfigurationError(
            f"{options.directory}: a run's configuration lies in a local directory; its data and results go to s3:// "
            "where the .env file there says so"
        )
    directory = Path(options.directory).absolute()
    configuration, training = CONFIGURATIONS[options.config]
    package = resources.files("aframe") / "pipelines" / "sandbox"
    environment = "".join(
        f'AFRAME_{name.upper()}_DIR="{directory / name}"\n'
        for name in ("train_data", "test_data", "train_run", "condor", "results")
    )
    texts = {
        "sandbox.cfg": (package / configuration).read_text(encoding="utf-8"),
        "train.yaml": (package / training).read_text(encoding="utf-8"),
        ".env": f"# Each may be a local directory or s3://bucket/prefix\n{environment}"
        f'LAW_HOME="{directory / ".law"}"\n',
        "run.sh": RUN_SCRIPT,
    }
    there = [name for name in texts if (directory / name).exists()]
    if there:
        raise ConfigurationError(f"{directory} already has {', '.join(there)}: choose another directory, or edit these")
    for change in options.changes:
        _change(texts, change)
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (directory / name).write_text(text, encoding="utf-8")
    (directory / "run.sh").chmod(0o755)
    print(f"wrote {', '.join(texts)} in {directory}; next: aframe run {options.directory}")


def _change(texts: dict[str, str], change: str) -> None:
    """Set the value of one key in the texts; a key of the .cfg that they leave out is added."""
    key, equals, value = change.partition("=")
    section, dot, name = key.partition(".")
    if not (equals and dot):
        raise ConfigurationError(f"--set {change}: give SECTION.KEY=VALUE, as in inference.Tb=86400")
    if section == "train":
        file, separator = "train.yaml", ":"
        name = name.rpartition(".")[2]
        pattern = rf"^(\s*){re.escape(name)}:\s*[^#\n]*?(\s*(#.*)?)$"
        head, body, tail = "", texts[file], ""
    else:
        file, separator = "sandbox.cfg", " ="
        problem = config.unknown(section, name)
        if problem:
            raise ConfigurationError(f"--set {change}: {problem}")
        heading = f"[luigi_{section}]\n"
        if heading not in texts[file]:
            texts[file] += f"\n{heading}"
        head, _, rest = texts[file].partition(heading)
        body, following, tail = rest.partition("\n[")
        head, tail = head + heading, following + tail
        pattern = rf"^(){re.escape(name)}\s*=[^#\n]*?(\s*(#.*)?)$"
        if not re.search(pattern, body, flags=re.MULTILINE):
            body = f"{name} = {value}\n{body}"
    body, count = re.subn(pattern, lambda m: f"{m[1]}{name}{separator} {value}{m[2]}", body, flags=re.MULTILINE)
    if count != 1:
        raise ConfigurationError(f"--set {change}: {file} has no key {name!r} there; see the keys it has")
    texts[file] = head + body + tail
