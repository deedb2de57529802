"""``aframe init``: write the files of a new run."""

import argparse
import io
import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from aframe import storage
from aframe.errors import ConfigurationError, StorageError
from aframe.runs.blueprints import Blueprint, LocalFiles, detectors, local_strain, open_data
from aframe.runs.script import RUN_SCRIPT
from aframe.settings import env_file
from aframe.settings.cfg_file import CfgFile, quoted
from aframe.settings.keys import nearest
from aframe.settings.read import key_problem, load_config
from aframe.settings.sections import Config
from aframe.settings.together import farthest

CONFIGURATIONS = {
    "demo": ("demo.cfg", "demo.yaml"),
    "demo-factorised": ("factorised.cfg", "factorised.yaml"),
    "o3-like": ("o3.cfg", "demo.yaml"),
    **{f"challenge-{number}": (f"challenge-{number}.cfg", "challenge.yaml") for number in (1, 2, 3)},
    "bbh": ("sandbox.cfg", "bbh.yaml"),
    "bbh-joint": ("joint.cfg", "joint.yaml"),
    "bns": ("bns.cfg", "bns.yaml"),
    "nsbh": ("nsbh.cfg", "nsbh.yaml"),
    "imbh": ("imbh.cfg", "bbh.yaml"),
    "all": ("all.cfg", "all.yaml"),
}

FILES = ("sandbox.cfg", "train.yaml", ".env", "run.sh")

CHOICES_OF_DATA = ("observing_run", "start", "stop", "ifos", "frames", "channel")
"""Options that choose data other than those of the shipped configuration."""

BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?")

REMOTE_HINTS = (
    "# Credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or from ~/.aws/credentials:",
    "# keep them out of this file. A store that is not Amazon's also needs AWS_ENDPOINT_URL=https://store.example.",
    "# Access costs requests and traffic. Training fetches its data once, all else is read in place (docs/s3.md).",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("directory", type=storage.locate, help="directory of the run")
    parser.add_argument(
        "--config",
        choices=[*CONFIGURATIONS],
        help="demo: a bank of matched filters, minutes on two cores, and simulated noise unless an option says which "
        "data; demo-factorised: the same with a convolutional network; o3-like: the demo in noise like that of O3, "
        "with its curves and glitches; challenge-1 to -3: for the data sets of the mock data challenge; bbh: the full "
        "analysis; bbh-joint: the same with the published joint network, for a GPU; bns, nsbh, imbh: the full analysis "
        "for neutron stars, mixed binaries and intermediate-mass black holes; all: for all of them and black holes "
        "(default: bbh with an option that says which data, else demo)",
    )
    parser.add_argument(
        "--observing-run", metavar="RUN", help="open data of O1, O2, O3a, O3b, O3GK, O4a or O4b (default: O3a)"
    )
    for name, event in (
        ("start", "the training data begin (default: the run's or the files' start)"),
        ("stop", "the testing data end (default: 40 days later, or where there are no more data)"),
    ):
        parser.add_argument(f"--{name}", metavar="TIME", help=f"GPS s, or UTC as 2019-04-29T13:29:25, at which {event}")
    parser.add_argument("--ifos", metavar="LIST", help="detectors, as H1,L1,V1 (default: H1,L1, or those of the files)")
    parser.add_argument(
        "--frames",
        type=storage.locate,
        metavar="DIR",
        help="search the .hdf5 and .gwf files of DIR, or of a pattern as 'DIR/*.gwf' (default: open data)",
    )
    parser.add_argument(
        "--channel",
        action="append",
        default=[],
        metavar="IFO:NAME",
        help="with --frames: strain of a detector whose files have several, as H1:GDS-CALIB_STRAIN_CLEAN; once for "
        "each such detector (default: what is known as strain)",
    )
    parser.add_argument(
        "--s3-bucket",
        metavar="URL",
        help="s3://bucket/prefix for data, training and results; submit files stay (default: all in the directory)",
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
    """Write the four files of a run into a directory that has none of them.

    Raises:
        ConfigurationError: If the directory is remote or has one of the files, or an option is wrong.
        StorageError: If the directory cannot be written.
    """
    if storage.is_remote(options.directory):
        raise ConfigurationError(
            f"{options.directory}: a run's configuration lies in a local directory; its data and results go to s3:// "
            "where the .env file there says so, or --s3-bucket"
        )
    directory = Path(storage.locate(os.path.abspath(options.directory)))
    existing = [name for name in FILES if os.path.exists(directory / name)]
    if existing:
        raise ConfigurationError(
            f"{directory} already has {', '.join(existing)}: choose another directory, or edit these"
        )
    _check_directory(directory)
    data_options = [name for name in CHOICES_OF_DATA if getattr(options, name)]
    names = CONFIGURATIONS[options.config or ("bbh" if data_options else "demo")]
    shipped = [Path(str(resources.files("aframe") / "pipelines" / "sandbox" / name)) for name in names]
    blueprint = _blueprint(options, load_config(str(shipped[0]))) if data_options else None
    configuration, training = (path.read_text(encoding="utf-8") for path in shipped)
    texts = dict(
        zip(FILES, (configuration, training, _environment(directory, options.s3_bucket), RUN_SCRIPT), strict=True)
    )
    if blueprint is not None:
        for key, value in blueprint.changes.items():
            _change(texts, f"{key}={quoted(value) if key == 'data.frames' else value}")
        texts["sandbox.cfg"] = blueprint.heading + "\n" + texts["sandbox.cfg"].partition("\n\n")[2]
        _fit_coincidence(texts, blueprint)
    for change in options.changes:
        _change(texts, change)
    _write(directory, texts)
    if blueprint is not None:
        print(blueprint.description)
    place = f"./{options.directory}" if options.directory.startswith("-") else options.directory
    print(f"wrote {', '.join(texts)} in {directory}; next: aframe run {shlex.quote(place)}")


def _fit_coincidence(texts: dict[str, str], blueprint: Blueprint) -> None:
    """Let steps of matched filters overlap by the light travel time between the detectors.

    Args:
        texts: Contents of the files, by name. The training's YAML is changed in place.
        blueprint: Properties of the run.
    """
    shipped = re.search(r"^ *coincidence: (\d+)", texts["train.yaml"], re.M)
    travel, _, _ = farthest(detectors(blueprint.changes["search.ifos"]))
    rate = float(blueprint.changes["search.sample_rate"])
    if shipped and travel * rate > int(shipped[1]):
        from aframe.train.architectures.decimation import coincidence_over

        _change(texts, f"train.model.architecture.coincidence={coincidence_over(travel, rate)}")


def _check_directory(directory: Path) -> None:
    """Check that a directory can be created and written.

    Raises:
        ConfigurationError: If law cannot read its name.
        StorageError: If it cannot be written. The message names the reason.
    """
    if "%" in str(directory):
        raise ConfigurationError(f"{directory} has a %, at which law fails: choose another directory")
    reason = storage.why_not_written(directory)
    if reason:
        raise StorageError(f"{directory} cannot be written ({reason}): mend that, or choose another directory")


def _write(directory: Path, texts: Mapping[str, str]) -> None:
    """Write the files of a run.

    Args:
        directory: Directory of the run.
        texts: Contents of the files, by name.

    Raises:
        StorageError: If the files cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (directory / name).write_text(text, encoding="utf-8")
        (directory / "run.sh").chmod(0o755)
    except OSError as error:
        raise StorageError(
            f"{directory} cannot be written ({error.strerror}): mend that, or choose another directory"
        ) from None


def _blueprint(options: argparse.Namespace, base: Config) -> Blueprint:
    """Changes to the shipped configuration for the data in the options.

    Args:
        options: Options of the command.
        base: Shipped configuration.

    Raises:
        ConfigurationError: If the options name both local and open data.
    """
    ifos = detectors(options.ifos) if options.ifos else ()
    if options.channel and not options.frames:
        chosen = options.channel[0]
        raise ConfigurationError(f"--channel {chosen} needs --frames; with open data, give --set data.channel={chosen}")
    if not options.frames:
        name = options.observing_run or (None if options.start or options.stop else "O3a")
        return open_data(base, name, options.start, options.stop, ifos or ("H1", "L1"))
    if options.observing_run:
        raise ConfigurationError("--frames and --observing-run: the strain is either local or open data, leave one out")
    frames = options.frames if storage.is_remote(options.frames) else os.path.abspath(options.frames)
    return local_strain(base, LocalFiles(frames, tuple(options.channel)), ifos, options.start, options.stop)


def _environment(directory: Path, bucket: str | None) -> str:
    """Text of the ``.env`` file.

    Args:
        directory: Directory of the run.
        bucket: URL of the S3 bucket and prefix; None for local directories.

    Raises:
        ConfigurationError: If the URL is not valid.
    """
    if bucket is not None and not BUCKET.fullmatch(bucket):
        raise ConfigurationError(
            f"--s3-bucket {bucket} is no s3://bucket/prefix: a bucket's name has 3 to 63 lower-case letters, digits, "
            "dots and dashes"
        )
    lines = [
        "# Where this file lies: to be changed when the run is moved or copied",
        f'AFRAME_RUN_DIR="{env_file.escaped(str(directory))}"',
        "# Each may be a local directory or s3://bucket/prefix; AFRAME_CONDOR_DIR is local",
    ]
    for name in ("train_data", "test_data", "train_run", "condor", "results"):
        place = "$AFRAME_RUN_DIR" if bucket is None or name == "condor" else bucket.rstrip("/")
        lines.append(f'AFRAME_{name.upper()}_DIR="{place}/{name}"')
    if bucket is not None:
        lines += REMOTE_HINTS
    return "\n".join([*lines, 'LAW_HOME="$AFRAME_RUN_DIR/.law"', ""])


def _change(texts: dict[str, str], change: str) -> None:
    """Set the value of one key in the texts of a run. A missing key of the ``.cfg`` is added.

    Args:
        texts: Contents of the files, by name. They are changed in place.
        change: The change, ``SECTION.KEY=VALUE``.

    Raises:
        ConfigurationError: If the section or key does not exist, or the value is not valid.
    """
    key, equals, value = change.partition("=")
    section, dot, name = key.partition(".")
    if not (equals and dot):
        raise ConfigurationError(f"--set {change}: give SECTION.KEY=VALUE, as in inference.Tb=86400")
    try:
        if section == "train":
            texts["train.yaml"] = _with_parameter(texts["train.yaml"], name.split("."), value)
        else:
            texts["sandbox.cfg"] = _with_key(texts["sandbox.cfg"], section, name, value)
    except ConfigurationError as error:
        raise ConfigurationError(f"--set {change}: {error}") from None


def _with_key(text: str, section: str, name: str, value: str) -> str:
    """Set the value of a key of the ``.cfg``. A new key begins its section, a new section ends the file.

    Args:
        text: Content of the file.
        section: Section, without ``luigi_``.
        name: The key.
        value: Its value, as in the file.

    Returns:
        The new content. Comments stay, and begin in their old columns if the value leaves room.

    Raises:
        ConfigurationError: If the section or key does not exist, or the value is not valid.
    """
    from configupdater import ConfigUpdater

    problem = key_problem(section, name, value)
    if problem:
        raise ConfigurationError(problem)
    file = ConfigUpdater(inline_comment_prefixes=("#", ";"))
    file.read_string(text)
    heading, comment = f"luigi_{section}", ""
    if heading not in file:
        file[file.sections()[-1]].add_after.space().section(heading)
    keys = file[heading]
    if name in keys:
        # the value has no comment, and ConfigUpdater writes none behind a new value
        line = str(keys[name]).partition("=")[2].strip()
        if "\n" not in line:
            comment = line.removeprefix(keys[name].value or "").strip().rjust(len(line) - len(value) - 1)
    else:
        keys.insert_at(0).option(name)
    keys[name].set_values(f"{value} {comment}".rstrip().splitlines(), prepend_newline=False)
    result = str(file)
    written = CfgFile.parse(result, FILES[0]).sections[heading][name]
    if written.split() != value.split():
        raise ConfigurationError(f"the .cfg would have {written!r}, as # and ; begin a comment: put the path in quotes")
    return result


def _with_parameter(text: str, keys: Sequence[str], value: str) -> str:
    """Set the value of a key of the training's YAML.

    Args:
        text: Content of the file.
        keys: Name of the key, preceded by names of enclosing keys. Enclosing keys may be left out.
        value: The value, as YAML.

    Returns:
        The new content. Comments stay, and begin in their old columns if the value leaves room.

    Raises:
        ConfigurationError: If the key does not exist, or the value is no YAML.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, sys.maxsize
    yaml.representer.add_representer(
        type(None), lambda representer, _: representer.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    tree = yaml.load(text)
    mappings = dict(_mappings(tree))
    path, name = next((path for path in mappings if _matches(path, keys)), None), keys[-1]
    if path is None:
        close = nearest(name, {path[-1] for path in mappings} - {name})
        raise ConfigurationError(f"train.yaml has no key {name!r} there{close}; see the keys it has")
    try:
        mappings[path][name] = yaml.load(value)
    except (YAMLError, ValueError):  # the second of dates and of tagged numbers
        raise ConfigurationError(f"{value!r} is no YAML: mend its brackets and quotes, or put all in quotes") from None
    stream = io.StringIO()
    yaml.dump(tree, stream)
    return stream.getvalue()


def _mappings(tree: dict[str, Any], outer: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Keys of nested mappings, in the order of the file.

    Args:
        tree: The outermost mapping.
        outer: Names of the keys that enclose it.

    Yields:
        Names from the outermost key to the key, and the mapping that has the key.
    """
    for name, value in tree.items():
        yield (*outer, name), tree
        if isinstance(value, dict):
            yield from _mappings(value, (*outer, name))


def _matches(path: Sequence[str], keys: Sequence[str]) -> bool:
    """Whether a key has the last name, and the other names enclose it in their order.

    Args:
        path: Names from the outermost key to the key.
        keys: Name of a key, preceded by names of enclosing keys.
    """
    names = iter(path)
    return path[-1] == keys[-1] and all(key in names for key in keys)
