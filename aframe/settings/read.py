"""Read a ``.cfg`` into its typed sections, and find all its mistakes at once."""

import dataclasses
import functools
import os
import re
import sys
import typing
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from aframe import storage
from aframe.errors import MistakesError
from aframe.settings.cfg_file import CfgFile
from aframe.settings.jobs import BATCH_TASKS, Batch
from aframe.settings.keys import Mistake, closest, fields_of, nearest
from aframe.settings.sections import Config
from aframe.settings.together import conflicts

LAW_SECTIONS = ("core", "logging", "modules", "job", "target", "luigi_core", "luigi_worker", "luigi_scheduler",
                "luigi_logging", "luigi_retcode", "luigi_resources", "luigi_execution_summary")  # fmt: skip
"""Sections of law and luigi. They are not checked."""


@functools.cache
def load_config(path: str) -> Config:
    """Read and check a configuration file.

    Raises:
        MistakesError: One message for each unknown key (with the most similar valid one), missing key, value of a wrong
            type and contradiction.
    """
    config, mistakes = read_config(path)
    if mistakes:
        raise MistakesError([mistake.text for mistake in mistakes])
    return config


def read_config(path: str) -> tuple[Config, list[Mistake]]:
    """Read a configuration file as far as possible.

    Args:
        path: The file.

    Returns:
        The configuration, and all mistakes with file and line. Access to a missing or wrong key raises
        ``UnknownValueError``.

    Raises:
        MistakesError: If the file does not exist, or has no sections and keys.
    """
    file = CfgFile.read(path)
    kinds = _kinds()
    renamed = _unknown_sections(file, kinds)
    mistakes = [*file.repeated, *renamed]
    values = {name: dict(file.sections.get(f"luigi_{name}", {})) for name in kinds}
    mistakes += [mistake for name in values for mistake in _percents(name, values[name])]
    mistakes += [mistake for name in kinds for mistake in _cut_paths(name, kinds[name], file)]
    meant = {mistake.section for mistake in renamed}
    sections: dict[str, Any] = {
        name: fields_of(name, kinds[name], values[name], mistakes, name in meant) for name in kinds
    }
    for name in BATCH_TASKS:
        del sections[name]
    sections["batch_of"] = {
        name: fields_of(name, Batch, values["batch"] | values[name], []) for name in BATCH_TASKS if values[name]
    }
    config = Config(**sections, path=Path(path).absolute())
    folder = str(config.path.parent)
    if folder not in sys.path:
        sys.path.append(folder)  # a python path in the file can name a module in its directory
    mistakes += conflicts(config)
    return config, [file.located(mistake) for mistake in mistakes]


def key_problem(section: str, name: str, value: str) -> str:
    """Find a mistake in a key's name, or in its value alone.

    >>> key_problem("search", "highpas", "32")
    "unknown key 'highpas' in [luigi_search] (did you mean 'highpass'?)"
    >>> key_problem("search", "highpass", "low")
    "highpass = 'low' in [luigi_search] is no number"

    Args:
        section: Section, without ``luigi_``.
        name: The key.
        value: Its value, as in the file.

    Returns:
        Description of the mistake. Empty without one.
    """
    kinds = _kinds()
    if section not in kinds:
        return f"unknown section [luigi_{section}]{nearest(f'luigi_{section}', [f'luigi_{kind}' for kind in kinds])}"
    mistakes: list[Mistake] = []
    fields_of(section, kinds[section], {name: value}, mistakes, is_renamed=True)
    mistakes += _percents(section, {name: value})
    return mistakes[0].text if mistakes else ""


def choices_of(section: str, name: str) -> Collection[str]:
    """Valid words of a key. Empty if any word is valid.

    >>> choices_of("data", "source")
    ('gwosc', 'local', 'simulated')

    Args:
        section: Section, without ``luigi_``.
        name: The key.
    """
    fields = {field.name: field for field in dataclasses.fields(_kinds()[section])}
    return tuple(fields[name].metadata["choices"]) if name in fields else ()


def units() -> dict[str, str]:
    """Units of the keys that have one, as ``section.key``.

    >>> units()["search.kernel_length"]
    's'
    """
    return {
        f"{section}.{field.name}": field.metadata["unit"]
        for section, kind in _kinds().items()
        for field in dataclasses.fields(kind)
        if field.metadata["unit"] not in ("", "path")
    }


def _kinds() -> dict[str, Any]:
    """Class of each section. The section of a task has the keys of ``[luigi_batch]``."""
    kinds = {name: kind for name, kind in typing.get_type_hints(Config).items() if dataclasses.is_dataclass(kind)}
    return kinds | dict.fromkeys(BATCH_TASKS, Batch)


def _percents(name: str, values: Mapping[str, str]) -> list[Mistake]:
    """Mistakes about a section's values with a percent sign."""
    reason = "has a %: law also reads this file, and fails at the %: rename it"
    return [Mistake(name, k, f"{k} = {v!r} in [luigi_{name}] {reason}") for k, v in values.items() if "%" in v]


def _cut_paths(name: str, kind: Any, file: CfgFile) -> list[Mistake]:
    """Mistakes about a section's paths of which a part is read as a comment, although the whole path exists."""
    mistakes, section, folder = [], f"luigi_{name}", str(Path(file.path).absolute().parent)
    for spec in dataclasses.fields(kind):
        value, text = file.sections.get(section, {}).get(spec.name), file.texts.get((section, spec.name))
        if spec.metadata["unit"] != "path" or not text or value in (None, text):
            continue
        parts = re.split(r"(\s+[#;])", text)
        longer = ["".join(parts[:count]) for count in range(3, len(parts) + 1, 2)]
        for path in (name for whole in longer for name in (whole, whole.partition(":")[2]) if name):
            if path.isprintable() and not storage.is_remote(path) and os.path.exists(storage.locate(path, folder)):
                problem = (
                    f"{spec.name} = {value!r} in [{section}]: the rest of the line is a comment, but {path} exists"
                )
                mistakes.append(Mistake(name, spec.name, f"{problem}: put the path in quotes, or rename it"))
    return mistakes


def _unknown_sections(file: CfgFile, kinds: Mapping[str, Any]) -> list[Mistake]:
    """Mistakes about unknown sections. Each replaces the most similar valid section that the file lacks."""
    valid = [f"luigi_{name}" for name in kinds]
    mistakes = []
    for name in file.sections:
        if name not in valid and name not in LAW_SECTIONS:
            meant = closest(name, set(valid) - file.sections.keys()) or name
            text = f"unknown section [{name}]{nearest(name, valid)}"
            mistakes.append(Mistake(meant.removeprefix("luigi_"), "", text, name))
    return mistakes
