"""The shape of the house, kept by reading its source."""

import ast
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import get_type_hints

import jaxtyping
import pytest
import torch
import yaml

import aframe
from aframe.settings.read import load_config
from aframe.settings.sections import Config
from aframe.train.architectures import FactorisedNetwork

PACKAGE = Path(aframe.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))

LAYERS = (
    ("constants", "errors", "types", "tensors", "seeding"),
    ("machine", "preprocessing"),
    ("storage", "whitening", "progress"),
    ("settings", "tables"),
    ("strain", "waveforms", "bank"),
    ("events",),
    ("train",),
    ("export", "serving"),
    ("inference", "sensitivity"),
    ("candidates", "challenge"),
    ("report",),
    ("online",),
    ("batch", "runs"),
    ("kubernetes", "steps"),
    ("notebook", "checks", "costs", "tuning"),
    ("tasks", "pipelines"),
    ("commands", "cli"),
)
"""Rooms from the ground up: each imports from its own layer and those before it."""

WIRING = {"tasks", "pipelines", "commands", "cli"}
"""What may know law and luigi."""

DOMAIN = {"strain", "bank", "events", "train", "export", "serving", "inference", "sensitivity", "report", "challenge"}
"""What gets its numbers as arguments, and knows no configuration. The layers keep it from the run."""

VAGUE_NAMES = {"utils", "util", "common", "helpers", "misc", "legacy", "v2", "lib", "tools"}


def home(path: Path) -> str:
    """The module or package directly under ``aframe`` that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """Full names of all that a file imports, in functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def functions() -> Iterator[tuple[Path, ast.FunctionDef]]:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield path, node


def sections() -> dict[str, set[str]]:
    """Keys of each section of the configuration."""
    kinds = {name: kind for name, kind in get_type_hints(Config).items() if dataclasses.is_dataclass(kind)}
    return {name: {field.name for field in dataclasses.fields(kind)} for name, kind in kinds.items()}


def test_shapes_are_checked_in_the_tests():
    with pytest.raises(jaxtyping.TypeCheckError, match="windows"):
        FactorisedNetwork(2, 1536)(torch.zeros(3, 1536))


def test_only_the_wiring_knows_law():
    offenders = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in SOURCES
        if home(path) not in WIRING
        for name in imports(path)
        if name.split(".")[0] in ("law", "luigi")
    ]
    assert not offenders


def test_the_domain_knows_no_configuration():
    offenders = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in SOURCES
        if home(path) in DOMAIN
        for name in imports(path)
        if name.startswith("aframe.settings.") and name != "aframe.settings.keys.nearest"
    ]
    assert not offenders


def test_imports_go_one_way():
    level = {name: number for number, layer in enumerate(LAYERS) for name in layer}
    offenders = []
    for path in SOURCES:
        here = home(path)
        if here == "__init__":
            continue
        assert here in level, f"aframe/{here} has no layer: give it one in LAYERS"
        for name in imports(path):
            parts = name.split(".")
            if parts[0] == "aframe" and parts[1:] and parts[1] in level and level[parts[1]] > level[here]:
                offenders.append(f"{path.relative_to(PACKAGE)} imports {name}")
    assert not offenders


def internal(path: Path) -> set[str]:
    """Modules of this package that a file imports."""
    modules = {module(each) for each in SOURCES}
    found = set()
    for name in imports(path):
        parts = name.split(".")
        names = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
        found.add(next((each for each in names if each in modules), ""))
    return found - {"", "aframe", module(path)}


def module(path: Path) -> str:
    return ".".join(("aframe", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")


def cycles(graph: dict[str, set[str]]) -> list[str]:
    """A description of each cycle that a walk along the imports meets."""
    found, done = [], set()

    def visit(name: str, path: list[str]) -> None:
        if name in path:
            found.append(" imports ".join([*path[path.index(name) :], name]))
        elif name not in done:
            for other in sorted(graph.get(name, ())):
                visit(other, [*path, name])
            done.add(name)

    for name in sorted(graph):
        visit(name, [])
    return found


def test_no_modules_and_no_rooms_import_each_other():
    modules = {module(path): internal(path) for path in SOURCES}
    rooms: dict[str, set[str]] = {}
    for name, imported in modules.items():
        room = name.split(".")[1] if "." in name else name
        rooms.setdefault(room, set()).update({other.split(".")[1] for other in imported} - {room})
    assert not cycles(rooms)
    assert not cycles(modules)


def test_cycles_are_found():
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b imports c imports b"]
    assert not cycles({"a": {"b", "c"}, "b": {"c"}})


def test_no_key_is_declared_twice():
    seen: dict[str, str] = {}
    for section, keys in sections().items():
        for key in keys:
            assert key not in seen, f"{key} stands in {section} and in {seen[key]}"
            seen[key] = section


def yaml_keys(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield key
            yield from yaml_keys(value)
    elif isinstance(node, list):
        for value in node:
            yield from yaml_keys(value)


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("pipelines/*/*.yaml")), ids=lambda path: path.name)
def test_training_files_repeat_no_shared_parameter(path):
    shared = sections()["search"] | sections()["waveforms"] | sections()["data"]
    assert not shared & set(yaml_keys(yaml.safe_load(path.read_text(encoding="utf-8"))))


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("pipelines/*/*.cfg")), ids=lambda path: path.name)
def test_shipped_configurations_are_valid(path):
    assert len(load_config(str(path)).search.ifos) >= 2


def test_every_module_has_a_name_that_says_something():
    names = {part.removesuffix(".py") for path in SOURCES for part in path.relative_to(PACKAGE).parts}
    assert not names & VAGUE_NAMES
    assert not [path for path in SOURCES if path.stem == path.parent.name]


def test_functions_are_short():
    long = [
        f"{path.relative_to(PACKAGE)}: {node.name} has {node.end_lineno - node.lineno + 1} lines"
        for path, node in functions()
        if node.end_lineno is not None and node.end_lineno - node.lineno >= 70
    ]
    assert not long


def test_files_are_short():
    assert not [path.name for path in SOURCES if len(path.read_text(encoding="utf-8").splitlines()) > 400]


def test_tests_mirror_the_tree():
    tests = Path(__file__).parent
    stray = [
        str(path.relative_to(tests))
        for path in tests.glob("*/test_*.py")
        if (PACKAGE / path.parent.name).is_dir()
        and not list((PACKAGE / path.parent.name).rglob(path.name.removeprefix("test_")))
        and not (PACKAGE / path.parent.name / path.stem.removeprefix("test_")).is_dir()
    ]
    assert not stray
