"""What is wrong with a training's YAML: all of it at once, each with its line, without training."""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
import yaml
from jsonargparse import ArgumentError
from lightning.pytorch.accelerators import AcceleratorRegistry
from lightning.pytorch.cli import LightningArgumentParser

from aframe import storage
from aframe.constants import AUTO
from aframe.errors import AframeError
from aframe.machine.precision import check_trainer_supported, training_device
from aframe.settings.keys import nearest
from aframe.settings.sections import Config, Search
from aframe.steps.training_data import RunDataModule, signal_model
from aframe.train import architectures
from aframe.train.architectures.contract import check_network
from aframe.train.architectures.loading import network_class
from aframe.train.augmentation import BatchMixture, SnrDistribution, SnrSchedule
from aframe.train.data import check_coalescence
from aframe.train.module import AframeModule
from aframe.train.signals import generated_signals
from aframe.train.trainer import AframeTrainer

WORDS = {
    "int": "a whole number", "float": "a number", "str": "a word", "bool": "true or false", "NoneType": "null",
    "Sequence": "a list", "list": "a list", "dict": "keys and values",
}  # fmt: skip
"""What a user calls the types of values."""

MOST_MISTAKES = 50
"""Mistakes of one file that are told."""

LIMITS: Mapping[str, tuple[Callable[[float], bool], str]] = {
    **dict.fromkeys(
        ("model.learning_rate", "data.batch_size", "data.batches_per_epoch"), (lambda value: value > 0, "be positive")
    ),
    **dict.fromkeys(
        ("model.weight_decay", "model.repairings", "data.snr_schedule_epochs"),
        (lambda value: value >= 0, "not be negative"),
    ),
    "model.warmup_fraction": (lambda value: 0 <= value <= 1, "lie between 0 and 1"),
    "data.validation_fraction": (lambda value: 0 < value < 1, "lie between 0 and 1"),
}
"""Numbers of which some values are none, whatever else the file says."""

LISTED = "`aframe train fit --help` lists all keys"


def yaml_mistakes(path: str) -> list[str]:
    """All that is wrong with a training YAML on its own.

    Raises:
        StorageError: If there is no such file.
    """
    try:
        root = yaml.compose(storage.read_text(path), Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = path if mark is None else f"{path}:{mark.line + 1}"
        told = getattr(error, "problem", None) or " ".join(str(error).split())
        return [f"{where}: this is no YAML file ({told}): mend the line"]
    lines: dict[str, int] = {}
    found = list(_repeated(root, "", lines))
    tree = {} if root is None else yaml.safe_load(storage.read_text(path))
    if not isinstance(tree, dict):
        return [f"{path} holds no keys: `aframe init DIR` writes a train.yaml"]
    return _located(path, [*found, *_refused(_parser(), tree)], lines)


def yaml_conflicts(path: str, config: Config) -> list[str]:
    """All values of a training YAML without mistakes that are impossible together, or with the run's ``.cfg``."""
    lines: dict[str, int] = {}
    list(_repeated(yaml.compose(storage.read_text(path), Loader=yaml.SafeLoader), "", lines))
    chosen = _parser().parse_object(yaml.safe_load(storage.read_text(path)))
    return _located(path, _impossible(chosen, config), lines)


def _located(path: str, found: Iterable[tuple[str, str]], lines: Mapping[str, int]) -> list[str]:
    return [f"{path}:{lines[key]}: {text}" if key in lines else f"{path}: {text}" for key, text in found]


def understood(error: Exception, value_of: Callable[[str], Any], known: list[str]) -> tuple[str, str]:
    """The key that jsonargparse refuses, and why, in one line.

    Args:
        error: What it says.
        value_of: Gives the value of a key.
        known: Keys that there are.
    """
    told = str(error)
    if match := re.search(r"Group '(.+?)' does not accept option '(.+?)'", told):
        return _unknown(f"{match[1]}.{match[2]}", known)
    if match := re.search(r"arguments are required: (\S+)", told):
        return match[1], f"the key {match[1]} is missing; {LISTED}"
    keys = re.findall(r'Parser key "([^"]+)"', told)
    if not keys:
        return "", f"{' '.join(told.split())}; {LISTED}"
    key = ".init_args.".join(keys)
    if match := re.search(r"Option '(.+?)' is not accepted", told):
        return _unknown(
            f"{key}.init_args.{match[1]}",
            [f"{key}.init_args.{name}" for name in _arguments_of(value_of(f"{key}.class_path"))],
        )
    value = value_of(key)
    kinds = re.findall(r"Expected an? (.+?)(?:\. Got value|$)", told, re.M)
    expected = dict.fromkeys(word for kind in kinds for word in _words(kind))
    if keys == ["model.architecture"] or not expected:
        return key, _not_constructed(key, value, told)
    *others, last = expected
    told = f"{', '.join(others)} or {last}" if others else last
    return key, f"{key} = {value!r} must be {told}"


def _parser() -> LightningArgumentParser:
    parser = LightningArgumentParser(parser_mode="yaml", exit_on_error=False)
    parser.add_lightning_class_args(AframeTrainer, "trainer")
    parser.add_lightning_class_args(AframeModule, "model")
    parser.add_lightning_class_args(RunDataModule, "data")
    parser.add_argument("--ckpt_path")
    return parser


def _repeated(node: yaml.Node | None, prefix: str, lines: dict[str, int]) -> Iterator[tuple[str, str]]:
    """Keys that stand twice; notes the line of each key on the way."""
    if not isinstance(node, yaml.MappingNode):
        return
    for name, value in node.value:
        key = f"{prefix}{name.value}"
        if key in lines:
            yield key, f"{key} stands in line {lines[key]} too: keep one of the two"
        lines[key] = name.start_mark.line + 1
        yield from _repeated(value, f"{key}.", lines)


def _refused(parser: LightningArgumentParser, tree: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Keys of which the parser knows nothing, or whose values it refuses; they are taken out of the tree."""
    known = list(parser.get_defaults().keys())
    groups = list(dict.fromkeys(key.partition(".")[0] for key in known))
    for name in list(tree):
        if name not in groups:
            yield name, f"unknown key {name!r}{nearest(name, groups)}; {LISTED}"
            del tree[name]
        elif not isinstance(tree[name], dict) and f"{name}." in "".join(known):
            yield name, f"{name} = {tree[name]!r} must be keys and values"
            del tree[name]
    told: set[str] = set()
    while len(told) < MOST_MISTAKES:
        try:
            parser.parse_object(tree)
            return
        except ArgumentError as error:
            key, text = understood(error, lambda key: _value(tree, key), known)
        is_missing = _value(tree, key) is None
        if not (is_missing and any(other.rpartition(".")[0] in key for other in told)):
            yield key, text
        if key in told or not _take_out(tree, key):
            return
        told.add(key)


def _take_out(tree: dict[str, Any], key: str) -> bool:
    """Remove a key; whether it was there."""
    *path, last = key.split(".")
    node: Any = tree
    for name in path:
        node = node.get(name) if isinstance(node, dict) else None
    if not isinstance(node, dict) or last not in node:
        return False
    del node[last]
    return True


def _value(tree: Any, key: str) -> Any:
    for name in key.split("."):
        tree = tree.get(name) if isinstance(tree, Mapping) else None
    return tree


def _unknown(key: str, known: list[str]) -> tuple[str, str]:
    """The outermost part of a key that is unknown, and what to say of it."""
    parts = key.split(".")
    above = [".".join(parts[: depth + 1]) for depth in range(len(parts))]
    wrong = next((each for each in above if not any(f"{name}.".startswith(f"{each}.") for name in known)), key)
    prefix, _, name = wrong.rpartition(".")
    names = [each.removeprefix(f"{prefix}.") for each in known if each.startswith(f"{prefix}.")]
    return wrong, f"unknown key {name!r} in {prefix}{nearest(name, names)}; {LISTED}"


def _words(kind: str) -> list[str]:
    """A type as jsonargparse writes it, or what it may be, in the user's words."""
    if match := re.fullmatch(r"typing\.Literal\[(.+)\]", kind):
        return [option.strip("' ") for option in match[1].split(",")]
    name = kind.removeprefix("<class '").removesuffix("'>").rpartition(".")[2]
    return [WORDS.get(name, name)]


def _arguments_of(class_path: Any) -> list[str]:
    """Arguments of a network."""
    try:
        return list(inspect.signature(network_class(str(class_path), "the YAML")).parameters)
    except (AframeError, AttributeError):
        return []


def _not_constructed(key: str, value: Any, told: str) -> str:
    """A key that names a class which is none, or none that fits."""
    name = str(value.get("class_path") if isinstance(value, dict) else value)
    own = sorted(set(architectures.__all__) - {"Network"})
    if match := re.search(r"callable class: (.+?)\.* Got value: ", told, re.S):
        return f"{key} = {name!r} cannot be built ({' '.join(match[1].split())}); {LISTED}"
    if key == "model.architecture":
        return f"{key} = {name!r} is no network{nearest(name, own)}: give {', '.join(own)} or a class's python path"
    return f"{key} = {name!r} cannot be used ({' '.join(told.split())})"


def _impossible(chosen: Any, config: Config) -> Iterator[tuple[str, str]]:
    """What each value says on its own is right, but not together, or not here."""
    data, search = chosen.data, config.search
    known = ["auto", "gpu", *sorted(AcceleratorRegistry.available_accelerators())]
    name = chosen.trainer.accelerator
    if isinstance(name, str) and name not in known:
        yield "trainer.accelerator", f"trainer.accelerator = {name!r} is none of {', '.join(known)}"
    elif name in ("gpu", "cuda") and not config.kubernetes.trains and not torch.accelerator.is_available():
        yield "trainer.accelerator", f"trainer.accelerator = {name!r}, but torch finds no GPU here: set auto or cpu"

    for key, (is_right, told) in LIMITS.items():
        if not is_right(chosen[key]):
            yield key, f"{key} = {chosen[key]!r} must {told}"

    def snrs() -> None:
        final = SnrDistribution(data.snr_minimum, data.snr_maximum, data.snr_index)
        SnrSchedule(final, data.initial_snr_minimum, data.snr_schedule_epochs * data.batches_per_epoch)

    def precision() -> None:
        """On a GPU the training itself looks: a run's first process must not open one."""
        device = training_device(name)
        chosen_name = chosen.trainer.precision
        if device == "cpu" and not config.kubernetes.trains and chosen_name not in (AUTO, None):
            check_trainer_supported(chosen_name, device)

    checks: dict[str, Callable[[], Any]] = {
        "trainer.precision": precision,
        "data.waveform_prob": lambda: BatchMixture(data.waveform_prob, data.swap_prob, data.mute_prob),
        "data.snr_minimum": snrs,
        "data.first_coalescence": lambda: check_coalescence(
            data.first_coalescence, data.last_coalescence, search.kernel_length
        ),
        "model.architecture": lambda: _build_network(chosen.model, search),
        **(
            {"data.waveforms": lambda: generated_signals(*signal_model(config))}
            if data.waveforms == "generated"
            else {}
        ),
    }
    for key, check in checks.items():
        try:
            check()
        except AframeError as error:
            yield key, str(error)


def _build_network(chosen: Any, search: Search) -> None:
    """Build the network once, as training will: it refuses what it cannot be."""
    parser = LightningArgumentParser(parser_mode="yaml", exit_on_error=False)
    parser.add_lightning_class_args(AframeModule, "model")
    module = parser.instantiate_classes(parser.parse_object({"model": chosen.as_dict()})).model
    with torch.random.fork_rng(devices=[]):
        network = module.architecture(len(search.ifos), search.kernel_size)
    check_network(network, search.stride_size)
