"""The commands of a page of the documentation, as a reader types them."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(
    r"^(?:<!-- not run: (?P<reason>[^\n]+?) -->\n)?```(?P<language>[a-z]*)(?: title=\"(?P<title>[^\"]+)\")?\n"
    r"(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)

LEAVES = re.compile(r"<!-- leaves: (.*?) -->")

HEREDOC = "END_OF_FILE_OF_A_TUTORIAL"


@dataclass(frozen=True)
class Page:
    """What a page has its readers do.

    Attributes:
        script: Its commands, in order, and the files that it has them save, for bash.
        leaves: Files that there are in the end.
        left_out: Commands that are not run, by reason.
    """

    script: str
    leaves: tuple[str, ...]
    left_out: dict[str, str]


def read(path: Path) -> Page:
    """Commands of a page: blocks of ``bash`` are typed, blocks with a title are saved under it, others are shown."""
    text, parts, left_out = path.read_text(encoding="utf-8"), ["set -euo pipefail"], {}
    for block in FENCE.finditer(text):
        if block["reason"]:
            left_out[block["reason"]] = block["text"]
        elif block["title"]:
            parts.append(_saved(block["title"], block["text"]))
        elif block["language"] == "bash":
            line = text.count("\n", 0, block.start()) + 2
            parts.append(f"echo '{path.name}:{line}'\n{block['text']}")
    leaves = [name for names in LEAVES.findall(text) for name in names.split()]
    return Page("\n".join(parts) + "\n", tuple(leaves), left_out)


def _saved(name: str, text: str) -> str:
    path = shlex.quote(name)
    return f"mkdir -p \"$(dirname {path})\"\ncat > {path} <<'{HEREDOC}'\n{text}{HEREDOC}"
