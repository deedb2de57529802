"""Read a ``.cfg`` file: its sections and keys, and the line of each."""

import configparser
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from aframe.errors import ConfigurationError, MistakesError
from aframe.settings.keys import Mistake, hidden, parse, plain

SECTION = re.compile(r"^\[([^]]+)\]")

VARIABLE = re.compile(r"\$[\w{]")
"""Beginning of an environment variable in a value."""

KEY = re.compile(r"^([^\s=:#;\[][^=:]*?)\s*[=:]")
"""Start of a line with a key. Lines that continue a value are indented."""


@dataclass(frozen=True)
class CfgFile:
    """Sections and keys of a file.

    Attributes:
        path: Path of the file.
        sections: Keys and values of each section. For a repeated key, the last value.
        lines: Line number of each section, and of each key in it.
        texts: What stands behind each key in its line, with a comment.
        repeated: Mistakes about repeated keys.
    """

    path: str
    sections: Mapping[str, Mapping[str, str]]
    lines: Mapping[tuple[str, str], int]
    texts: Mapping[tuple[str, str], str]
    repeated: list[Mistake]

    @classmethod
    def read(cls, path: str) -> "CfgFile":
        """Read a file.

        Raises:
            MistakesError: If the file does not exist, or has no sections and keys.
        """
        try:
            return cls.parse(Path(path).read_text(encoding="utf-8-sig"), path)
        except FileNotFoundError:
            raise MistakesError([f"{path} does not exist: `aframe init DIR` writes a configuration"]) from None
        except IsADirectoryError:
            raise MistakesError([f"{path} is a directory: give the .cfg file in it"]) from None
        except OSError as error:
            raise MistakesError([f"{path} cannot be read ({error.strerror}): mend its permissions"]) from None
        except UnicodeDecodeError as error:
            raise _no_configuration(path, error) from None

    @classmethod
    def parse(cls, text: str, path: str) -> "CfgFile":
        """Read the text of a file.

        Args:
            text: Content of the file.
            path: Path of the file, for messages.

        Raises:
            MistakesError: If it has no sections and keys.
        """
        parser = configparser.ConfigParser(interpolation=None, inline_comment_prefixes=("#", ";"), strict=False)
        parser.optionxform = str  # type: ignore[assignment,method-assign] # keys are case-sensitive: Tb
        try:
            parser.read_string(hidden(text), path)
        except configparser.MissingSectionHeaderError as error:
            raise _no_configuration(path, error) from None
        except configparser.ParsingError as error:
            messages = [f"{path}:{number}: {line} is no `key = value`: mend the line" for number, line in error.errors]
            raise MistakesError(messages) from None
        lines, texts, repeated = _numbered(text)
        sections = {name: {key: plain(value) for key, value in parser[name].items()} for name in parser.sections()}
        return cls(path, sections, lines, texts, repeated)

    def located(self, mistake: Mistake) -> Mistake:
        """Add file and line to the text of a mistake. The line is the key's, or else the section's."""
        section, key = f"luigi_{mistake.section}", mistake.written or mistake.key
        line = self.lines.get((section, key)) or self.lines.get((key, "")) or self.lines.get((section, ""))
        where = self.path if line is None else f"{self.path}:{line}"
        return replace(mistake, text=f"{where}: {mistake.text}")

    def located_text(self, text: str) -> str:
        """Add file and line to a text that begins with a key of the file. Return others unchanged."""
        match = re.match(r"(\w+) = ", text)
        lines = [line for (_, key), line in self.lines.items() if match and key == match[1]]
        return f"{self.path}:{lines[0]}: {text}" if lines else text


def quoted(path: str) -> str:
    """Write a path as the value of a key, in quotes where it needs them.

    >>> quoted("/data/O3"), quoted("/data/O3 #2")
    ('/data/O3', '"/data/O3 #2"')

    Raises:
        ConfigurationError: If the file cannot hold it.
    """
    if "%" not in path and not VARIABLE.search(path):
        for text in (path, f'"{path}"', f"'{path}'"):
            sections = CfgFile.parse(f"[section]\nkey = {text}\n", "").sections
            if parse(sections["section"]["key"], str) == path:
                return text
    raise ConfigurationError(
        f"{path} cannot stand in a .cfg, for its %, $ or quotes: rename it, or make a link with another name"
    )


def _no_configuration(path: str, error: Exception) -> MistakesError:
    reason = plain(" ".join(str(error).split()))
    return MistakesError([f"{path} is no configuration file ({reason}): `aframe init DIR` writes one"])


def _numbered(text: str) -> tuple[dict[tuple[str, str], int], dict[tuple[str, str], str], list[Mistake]]:
    """Lines of sections and keys, what stands behind each key, and mistakes about repeated keys."""
    lines: dict[tuple[str, str], int] = {}
    texts: dict[tuple[str, str], str] = {}
    repeated, section = [], ""
    for number, line in enumerate(text.splitlines(), start=1):
        if match := SECTION.match(line):
            section = match[1]
            lines.setdefault((section, ""), number)
        elif match := KEY.match(line):
            first = lines.setdefault((section, match[1]), number)
            texts[section, match[1]] = line[match.end() :].strip()
            if first != number:
                message = f"{match[1]} in [{section}] stands in line {first} too: keep one of the two"
                repeated.append(Mistake(section.removeprefix("luigi_"), match[1], message))
                lines[section, match[1]] = number
    return lines, texts, repeated
