"""A study as its YAML describes it. All mistakes are found before anything trains."""

import dataclasses
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from aframe import storage
from aframe.errors import MistakesError
from aframe.runs.artifacts import Artifacts, read_parameters, study_parameters, training_parameters
from aframe.settings.keys import nearest
from aframe.settings.read import key_problem
from aframe.settings.sections import Bank
from aframe.settings.together import conflicts
from aframe.steps.training_yaml import YamlKeys, read_keys, yaml_conflicts, yaml_mistakes
from aframe.tuning.space import FRACTIONS, Parameter, parse_parameter
from aframe.tuning.training import EPOCHS

METRICS = ("valid_found", "valid_auroc", "valid_efficiency")
"""Metrics of a training that a study can have. The largest value is best."""

BANK = "bank."
"""Beginning of the keys of ``[luigi_bank]``."""

BANK_KEYS = tuple(each.name for each in dataclasses.fields(Bank) if each.name != "bank_file")
"""Keys of ``[luigi_bank]`` that a study can change."""

BANK_SECONDS = tuple(f"{BANK}{each.name}" for each in dataclasses.fields(Bank) if each.metadata["unit"] == "s")
"""Those that are lengths in s, which must be whole samples."""

EXAMPLE = Path(__file__).with_name("example.yaml")
"""A study with all its keys."""

ORIGIN = "`aframe tune --example` prints one"
"""Where a user gets the YAML of a study."""


@dataclass(frozen=True)
class Stopping:
    """When a training ends early.

    Attributes:
        min_epochs: Epochs that each training has.
        reduction_factor: Of the trainings that come to a rung, one in so many goes on. The next rung is so many times
            as high.
    """

    min_epochs: int
    reduction_factor: int = 3


@dataclass(frozen=True)
class RaySettings:
    """Where Ray runs trials.

    Attributes:
        address: Address of a cluster; None for one of this machine alone, for the study.
        cpus_per_trial: Cores of each trial.
        gpus_per_trial: GPUs of each trial.
    """

    address: str | None = None
    cpus_per_trial: float = 1
    gpus_per_trial: float = 0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A study.

    Attributes:
        path: Its YAML.
        directory: Directory of its trials and its result.
        train: Base of all trainings, a YAML.
        parameters: Its search space.
        trials: Number of all trials.
        name: Heading of its page.
        workers: Trials at the same time.
        metric: Column of ``metrics.csv`` whose largest value is best.
        stopping: When a training ends early; None for never.
        seed: Seed of the choice of values.
        backend: ``optuna`` or ``ray``.
        ray: Where Ray runs trials.
    """

    path: str
    directory: str
    train: str
    parameters: tuple[Parameter, ...]
    trials: int
    name: str = "study"
    workers: int = 1
    metric: str = METRICS[0]
    stopping: Stopping | None = None
    seed: int = 1
    backend: str = "optuna"
    ray: RaySettings = field(default_factory=RaySettings)

    def parameters_with(self, run: Artifacts) -> dict[str, Any]:
        """Parameters that all trials share: those of the base's model, and the study's own."""
        own = study_parameters(read_parameters(self.path, "tune"))
        return run.configured_model_by(self.train, {}) | own


Rule = tuple[Callable[[Any], bool], str]


def _whole(least: int) -> Rule:
    return (
        lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= least,
        f"must be a whole number, {least} or more",
    )


def _word(*words: str) -> Rule:
    if not words:
        return lambda value: isinstance(value, str) and bool(value), "must be a word"
    return lambda value: value in words, f"must be one of {', '.join(words)}"


SHARE: Rule = (
    lambda value: isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0,
    "must be a number, 0 or more",
)

RULES: Mapping[str, Rule] = {
    "name": _word(), "directory": _word(), "train": _word(), "trials": _whole(1), "workers": _whole(1),
    "metric": _word(*METRICS), "seed": _whole(0), "backend": _word("optuna", "ray"),
    "stopping.min_epochs": _whole(1), "stopping.reduction_factor": _whole(2),
    "ray.address": _word(), "ray.cpus_per_trial": SHARE, "ray.gpus_per_trial": SHARE,
}  # fmt: skip
"""Whether a value of a key is right, and how the message ends otherwise."""

GROUPS = ("parameters", "stopping", "ray")
"""Keys with keys of their own."""

REQUIRED = ("parameters", "trials")
"""Keys without a default."""


def read_plan(path: str, run: Artifacts) -> Plan:
    """Read the YAML of a study, and check it against the run.

    Args:
        path: The YAML.
        run: The run whose data train.

    Raises:
        MistakesError: With all mistakes of the YAML, or else of the base.
        StorageError: If a file does not exist.
    """
    keys = read_keys(path, ORIGIN)
    mistakes = [*keys.repeated, *_mistakes(keys.tree)]
    train = run.training_yaml
    if isinstance(keys.tree.get("train"), str):
        train = storage.locate(keys.tree["train"], str(Path(path).absolute().parent))
    parameters: list[Parameter] = []
    if isinstance(keys.tree.get("parameters"), dict):
        base = yaml_mistakes(train) or yaml_conflicts(train, run.config)
        if base:
            raise MistakesError(base)
        for key, content in keys.tree["parameters"].items():
            try:
                parameters.append(_parameter(str(key), content, train, with_base(run, train)))
            except ValueError as error:
                mistakes.append((f"parameters.{key}", f"{key} {error}"))
    mistakes += _conflicts(keys, run, train)
    if mistakes:
        raise MistakesError(keys.located(mistakes))
    values = dict(keys.tree) | {"train": train, "parameters": tuple(parameters)}
    values["directory"] = _directory(keys, run)
    for name, kind in (("stopping", Stopping), ("ray", RaySettings)):
        if values.get(name) is None:
            values.pop(name, None)
        else:
            values[name] = kind(**values[name])
    return Plan(path=path, **values)


def _mistakes(tree: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Unknown and missing keys, and wrong values, except those of the search space."""
    names = list(dict.fromkeys(name.partition(".")[0] for name in (*REQUIRED, *RULES)))
    for name in tree:
        if name not in names:
            yield str(name), f"unknown key {name!r}{nearest(str(name), names)}; {ORIGIN}"
        elif name in GROUPS and tree[name] is not None and not isinstance(tree[name], dict):
            yield name, f"{name} = {tree[name]!r} must be keys and values"
        elif name in GROUPS[1:] and tree[name] is not None:
            valid = [rule.partition(".")[2] for rule in RULES if rule.startswith(f"{name}.")]
            for key in tree[name]:
                if key not in valid:
                    yield f"{name}.{key}", f"unknown key {key!r} in {name}{nearest(str(key), valid)}; {ORIGIN}"
    for name in REQUIRED:
        if not tree.get(name) and (name != "trials" or name not in tree):
            yield name, f"the key {name} is missing, or has no value; {ORIGIN}"
    if isinstance(tree.get("stopping"), dict) and "min_epochs" not in tree["stopping"]:
        yield "stopping", f"the key min_epochs in stopping is missing; {ORIGIN}"
    for key, (is_right, message) in RULES.items():
        group, _, name = key.rpartition(".")
        within = tree.get(group) if group else tree
        if isinstance(within, dict) and name in within and not is_right(within[name]):
            yield key, f"{key} = {within[name]!r} {message}"


def _conflicts(keys: YamlKeys, run: Artifacts, train: str) -> Iterator[tuple[str, str]]:
    """Values that are right alone, but contradict the run."""
    makes_model = run.study_yaml is not None and is_same(run.study_yaml, keys.path)
    if makes_model and not is_same(train, run.training_yaml):
        other = run.config.Train.config
        yield "train", f"train = {keys.tree['train']!r}, but [luigi_Train] has config = {other}: leave train out"
    least, epochs = _of(keys.tree, "stopping", "min_epochs"), _of(yaml.safe_load(storage.read_text(train)), *EPOCHS)
    if isinstance(least, int) and isinstance(epochs, int) and least >= epochs:
        yield "stopping.min_epochs", f"stopping.min_epochs = {least} is not less than the {epochs} epochs of {train}"
    directory = keys.tree.get("directory", run.directories.train_run)
    if isinstance(directory, str) and storage.is_remote(directory):
        yield (
            "directory",
            f"a study cannot lie in {directory}, as all its workers append to one journal: set directory to one on "
            "a disk, or on a file system that the workers share",
        )


def with_base(run: Artifacts, train: str) -> Artifacts:
    """The run with the base of a study as its training YAML."""
    training = dataclasses.replace(run.config.Train, config=train)
    return dataclasses.replace(run, config=dataclasses.replace(run.config, Train=training))


def is_same(path: str, other: str) -> bool:
    """Whether two local paths are one."""
    return Path(path).absolute() == Path(other).absolute()


def _of(tree: Any, *names: str) -> Any:
    for name in names:
        tree = tree.get(name) if isinstance(tree, Mapping) else None
    return tree


def _directory(keys: YamlKeys, run: Artifacts) -> str:
    if "directory" not in keys.tree:
        return storage.join(run.directories.train_run, "study")
    return storage.locate(keys.tree["directory"], str(Path(keys.path).absolute().parent)).rstrip("/")


def _parameter(key: str, content: Any, train: str, run: Artifacts) -> Parameter:
    """Read a parameter, and check that its values are possible.

    Raises:
        ValueError: If it is wrong. The message is the end of a sentence that begins with the key.
    """
    base = {name.removeprefix("train."): value for name, value in training_parameters(train).items()}
    banks = {f"{BANK}{name}": getattr(run.config.bank, name) for name in BANK_KEYS}
    valid = base | (banks if run.needs_bank else {})
    if key not in valid:
        if key in banks:
            raise ValueError(f"is for networks with a bank of templates, and that of {train} has none")
        if any(name.startswith(f"{key}.") for name in valid):
            raise ValueError(f"is a group of keys in {train}: give one of them, as {key}.<key>")
        raise ValueError(
            f"is no key of {train}{nearest(key, valid)}: mend it, or give it a value there, which the first trial has"
        )
    parameter = parse_parameter(key, content, valid[key])
    if key in BANK_SECONDS and parameter.kind in FRACTIONS:
        raise ValueError(f"{parameter.kind} = {list(parameter.values)!r} has values between samples: give a choice")
    for value in parameter.values:
        problem = _bank_problem(key, value, train, run) if key in banks else _problem(key, value, train, run)
        if problem:
            raise ValueError(f"{parameter.kind} = {list(parameter.values)!r} has {value!r}: {problem}")
    return parameter


def _bank_problem(key: str, value: Any, train: str, run: Artifacts) -> str:
    """Why the bank cannot have a value. Empty if it can."""
    name = key.removeprefix(BANK)
    problem = key_problem("bank", name, str(value))
    if problem:
        return problem
    bank = dataclasses.replace(run.config.bank, **{name: value})
    config = dataclasses.replace(run.config, bank=bank)
    mistakes = [each.text for each in conflicts(config)] or yaml_conflicts(train, config)
    return _without_place(mistakes[0], train) if mistakes else ""


def _problem(key: str, value: Any, train: str, run: Artifacts) -> str:
    """Why the training YAML cannot have a value. Empty if it can."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "train.yaml")
        storage.write_text(path, with_values(train, {key: value}))
        mistakes = yaml_mistakes(path) or yaml_conflicts(path, run.config)
    return _without_place(mistakes[0], path) if mistakes else ""


def _without_place(mistake: str, path: str) -> str:
    return re.sub(rf"^{re.escape(path)}(:\d+)?: ", "", mistake)


def with_values(train: str, values: Mapping[str, Any]) -> str:
    """Text of a training YAML with other values of some keys.

    Args:
        train: Path of the YAML.
        values: The values, by dotted key.
    """
    tree = yaml.safe_load(storage.read_text(train))
    for key, value in values.items():
        *above, name = key.split(".")
        node = tree
        for each in above:
            node = node[each]
        node[name] = value
    return yaml.safe_dump(tree, sort_keys=False)
