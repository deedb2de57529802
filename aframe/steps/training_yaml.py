"""Find all mistakes in a training's YAML, each with its line, without training."""

import functools
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import yaml
from jsonargparse import ArgumentError
from lightning.pytorch.accelerators import AcceleratorRegistry
from lightning.pytorch.cli import LightningArgumentParser

from aframe import storage
from aframe.constants import AUTO
from aframe.errors import AframeError, ConfigurationError, MistakesError
from aframe.machine.precision import check_trainer_supported, training_device
from aframe.preprocessing import check_coalescence, to_samples
from aframe.settings.keys import nearest
from aframe.settings.sections import Config, Search
from aframe.settings.together import farthest
from aframe.steps.training_data import RunDataModule, signal_model
from aframe.train import architectures
from aframe.train.architectures import MatchedFilterNetwork
from aframe.train.architectures.contract import check_network
from aframe.train.architectures.decimation import coincidence_over
from aframe.train.architectures.loading import network_class
from aframe.train.augmentation import BatchMixture, SnrDistribution, SnrSchedule
from aframe.train.module import AframeModule
from aframe.train.signals import generated_signals
from aframe.train.trainer import AframeTrainer

TYPE_WORDS = {
    "int": "a whole number", "float": "a number", "str": "a word", "bool": "true or false", "NoneType": "null",
    "Sequence": "a list", "list": "a list", "dict": "keys and values",
}  # fmt: skip
"""Descriptions of the types of values in messages."""

MOST_MISTAKES = 50
"""Largest number of mistakes in the message about one file."""

NUMBER_LIMITS: Mapping[str, tuple[Callable[[float], bool], str]] = {
    **dict.fromkeys(
        (
            *("model.learning_rate", "data.batch_size", "data.batches_per_epoch"),
            *("data.mined_slides", "data.mined_noise", "data.mined_signals"),
        ),
        (lambda value: value > 0, "be positive"),
    ),
    **dict.fromkeys(
        ("model.weight_decay", "model.repairings", "data.snr_schedule_epochs"),
        (lambda value: value >= 0, "not be negative"),
    ),
    "model.warmup_fraction": (lambda value: 0 <= value <= 1, "lie between 0 and 1"),
    "data.validation_fraction": (lambda value: 0 < value < 1, "lie between 0 and 1"),
}
"""Limits of single numbers: whether a value is valid, and how the message ends otherwise."""

ORIGIN = "`aframe init DIR` writes a train.yaml"
"""Where a user gets a training YAML."""

KEYS_HINT = "`aframe train fit --help` lists all keys"
"""End of a message about a wrong key."""


@dataclass(frozen=True)
class YamlKeys:
    """Keys of a YAML file.

    Attributes:
        path: The file.
        tree: Its keys and values.
        lines: Line number of each key. A key within others has their names before it, with dots.
        repeated: Repeated keys, and a message about each.
    """

    path: str
    tree: dict[str, Any]
    lines: Mapping[str, int]
    repeated: Sequence[tuple[str, str]]

    def located(self, mistakes: Iterable[tuple[str, str]]) -> list[str]:
        """Messages about keys, with file and line."""
        where = {key: f"{self.path}:{line}" for key, line in self.lines.items()}
        return [f"{where.get(key, self.path)}: {text}" for key, text in mistakes]


def read_keys(path: str, origin: str) -> YamlKeys:
    """Read a YAML file of keys and values.

    Args:
        path: The file.
        origin: Where a user gets such a file.

    Raises:
        MistakesError: If it is no YAML file, or has no keys.
        StorageError: If it does not exist.
    """
    text = storage.read_text(path)
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = path if mark is None else f"{path}:{mark.line + 1}"
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        raise MistakesError([f"{where}: this is no YAML file ({problem}): mend the line"]) from None
    lines: dict[str, int] = {}
    repeated = list(_repeated(root, "", lines))
    tree = {} if root is None else yaml.safe_load(text)
    if not isinstance(tree, dict):
        raise MistakesError([f"{path} holds no keys: {origin}"])
    return YamlKeys(path, tree, lines, repeated)


def yaml_mistakes(path: str) -> list[str]:
    """List the mistakes in a training YAML on its own.

    Raises:
        StorageError: If the file does not exist.
    """
    try:
        keys = read_keys(path, ORIGIN)
    except MistakesError as error:
        return list(error.mistakes)
    return keys.located([*keys.repeated, *_refused(_parser(), keys.tree)])


def yaml_conflicts(path: str, config: Config) -> list[str]:
    """List the values of a correct training YAML that contradict each other, the run's ``.cfg`` or this machine.

    Args:
        path: The YAML.
        config: The run's configuration.
    """
    keys = read_keys(path, ORIGIN)
    return keys.located(_impossible(_parser().parse_object(keys.tree), config))


def understood(error: Exception, value_of: Callable[[str], Any], valid: list[str]) -> tuple[str, str]:
    """Convert an error of jsonargparse to the refused key and a one-line message.

    Args:
        error: The error.
        value_of: Returns the value of a key.
        valid: All valid keys.
    """
    refusal = str(error)
    if match := re.search(r"Group '(.+?)' does not accept option '(.+?)'", refusal):
        return _unknown(f"{match[1]}.{match[2]}", valid)
    if match := re.search(r"arguments are required: (\S+)", refusal):
        return match[1], f"the key {match[1]} is missing; {KEYS_HINT}"
    keys = re.findall(r'Parser key "([^"]+)"', refusal)
    if not keys:
        return "", f"{' '.join(refusal.split())}; {KEYS_HINT}"
    key = ".init_args.".join(keys)
    if match := re.search(r"Option '(.+?)' is not accepted", refusal):
        return _unknown(
            f"{key}.init_args.{match[1]}",
            [f"{key}.init_args.{name}" for name in _arguments_of(value_of(f"{key}.class_path"))],
        )
    value = value_of(key)
    kinds = re.findall(r"Expected an? (.+?)(?:\. Got value|$)", refusal, re.M)
    expected = dict.fromkeys(word for kind in kinds for word in _words(kind))
    if keys == ["model.architecture"] or not expected:
        return key, _not_constructed(key, value, refusal)
    *others, last = expected
    description = f"{', '.join(others)} or {last}" if others else last
    return key, f"{key} = {value!r} must be {description}"


@functools.cache  # a tenth of a second, and a study reads a YAML for each of its values
def _parser() -> LightningArgumentParser:
    parser = LightningArgumentParser(parser_mode="yaml", exit_on_error=False)
    parser.add_lightning_class_args(AframeTrainer, "trainer")
    parser.add_lightning_class_args(AframeModule, "model")
    parser.add_lightning_class_args(RunDataModule, "data")
    parser.add_argument("--ckpt_path")
    return parser


def _repeated(node: yaml.Node | None, prefix: str, lines: dict[str, int]) -> Iterator[tuple[str, str]]:
    """Repeated keys. The line of each key is added to ``lines``."""
    if not isinstance(node, yaml.MappingNode):
        return
    for name, value in node.value:
        key = f"{prefix}{name.value}"
        if key in lines:
            yield key, f"{key} stands in line {lines[key]} too: keep one of the two"
        lines[key] = name.start_mark.line + 1
        yield from _repeated(value, f"{key}.", lines)


def _refused(parser: LightningArgumentParser, tree: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Keys that the parser does not have, or whose values it refuses. They are removed from the tree."""
    valid = list(parser.get_defaults().keys())
    groups = list(dict.fromkeys(key.partition(".")[0] for key in valid))
    for name in list(tree):
        if name not in groups:
            yield name, f"unknown key {name!r}{nearest(name, groups)}; {KEYS_HINT}"
            del tree[name]
        elif not isinstance(tree[name], dict) and f"{name}." in "".join(valid):
            yield name, f"{name} = {tree[name]!r} must be keys and values"
            del tree[name]
    refused: set[str] = set()
    while len(refused) < MOST_MISTAKES:
        try:
            parser.parse_object(tree)
            return
        except ArgumentError as error:
            key, text = understood(error, lambda key: _value(tree, key), valid)
        is_missing = _value(tree, key) is None
        if not (is_missing and any(other.rpartition(".")[0] in key for other in refused)):
            yield key, text
        if key in refused or not _take_out(tree, key):
            return
        refused.add(key)


def _take_out(tree: dict[str, Any], key: str) -> bool:
    """Remove a key. Return whether it existed."""
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


def _unknown(key: str, valid: list[str]) -> tuple[str, str]:
    """Outermost unknown part of a key, and the message about it."""
    parts = key.split(".")
    above = [".".join(parts[: depth + 1]) for depth in range(len(parts))]
    wrong = next((each for each in above if not any(f"{name}.".startswith(f"{each}.") for name in valid)), key)
    prefix, _, name = wrong.rpartition(".")
    names = [each.removeprefix(f"{prefix}.") for each in valid if each.startswith(f"{prefix}.")]
    return wrong, f"unknown key {name!r} in {prefix}{nearest(name, names)}; {KEYS_HINT}"


def _words(kind: str) -> list[str]:
    """Describe a type, as jsonargparse writes it, or its values."""
    if match := re.fullmatch(r"typing\.Literal\[(.+)\]", kind):
        return [option.strip("' ") for option in match[1].split(",")]
    name = kind.removeprefix("<class '").removesuffix("'>").rpartition(".")[2]
    return [TYPE_WORDS.get(name, name)]


def _arguments_of(class_path: Any) -> list[str]:
    """Arguments of a network."""
    try:
        return list(inspect.signature(network_class(str(class_path), "the YAML")).parameters)
    except (AframeError, AttributeError):
        return []


def _not_constructed(key: str, value: Any, refusal: str) -> str:
    """Message about a key whose class does not exist, cannot be built or does not fit."""
    name = str(value.get("class_path") if isinstance(value, dict) else value)
    names = sorted(set(architectures.__all__) - {"Network"})
    if match := re.search(r"callable class: (.+?)\.* Got value: ", refusal, re.S):
        return f"{key} = {name!r} cannot be built ({' '.join(match[1].split())}); {KEYS_HINT}"
    if key == "model.architecture":
        return f"{key} = {name!r} is no network{nearest(name, names)}: give {', '.join(names)} or a class's python path"
    return f"{key} = {name!r} cannot be used ({' '.join(refusal.split())})"


def _impossible(chosen: Any, config: Config) -> Iterator[tuple[str, str]]:
    """Values that are valid alone, but contradict each other, the ``.cfg`` or this machine."""
    data, search = chosen.data, config.search
    accelerators = ["auto", "gpu", *sorted(AcceleratorRegistry.available_accelerators())]
    name = chosen.trainer.accelerator
    if isinstance(name, str) and name not in accelerators:
        yield "trainer.accelerator", f"trainer.accelerator = {name!r} is none of {', '.join(accelerators)}"
    elif name in ("gpu", "cuda") and not config.kubernetes.trains and not torch.accelerator.is_available():
        yield "trainer.accelerator", f"trainer.accelerator = {name!r}, but torch finds no GPU here: set auto or cpu"

    for key, (is_right, limit) in NUMBER_LIMITS.items():
        if not is_right(chosen[key]):
            yield key, f"{key} = {chosen[key]!r} must {limit}"

    def snrs() -> None:
        final = SnrDistribution(data.snr_minimum, data.snr_maximum, data.snr_index)
        SnrSchedule(final, data.initial_snr_minimum, data.snr_schedule_epochs * data.batches_per_epoch)

    def precision() -> None:
        """Check the CPU's precisions. Training checks those of a GPU: a run's first process must not open a GPU."""
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
        "model.architecture": lambda: _build_network(chosen.model, config),
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


def _build_network(chosen: Any, config: Config) -> None:
    """Build the network once, as training does, with noise for templates. It refuses invalid arguments."""
    search = config.search
    parser = LightningArgumentParser(parser_mode="yaml", exit_on_error=False)
    parser.add_lightning_class_args(AframeModule, "model")
    module = parser.instantiate_classes(parser.parse_object({"model": chosen.as_dict()})).model
    with torch.random.fork_rng(devices=[]):
        network = module.architecture(len(search.ifos), search.kernel_size)
        if isinstance(network, MatchedFilterNetwork):
            size = to_samples(config.bank.template_length, search.sample_rate, "template_length")
            network.set_noise(network.groups, size)
            _check_coincidence(network, search)
    check_network(network, search.stride_size)


def _check_coincidence(network: MatchedFilterNetwork, search: Search) -> None:
    """Refuse steps that do not overlap by the light travel time between the detectors."""
    travel, first, second = farthest(search.ifos)
    needed = coincidence_over(travel, search.sample_rate)
    if network.coincidence < needed:
        raise ConfigurationError(
            f"coincidence = {network.coincidence} samples are less than the light travel time between {first} and "
            f"{second} ({1000 * travel:.1f} ms): set {needed} or more"
        )
