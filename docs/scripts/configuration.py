"""Writes ``docs/configuration.md`` from the keys that ``aframe.config`` declares: run it after changing a key."""

import dataclasses
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aframe.settings.jobs import BATCH_TASKS
from aframe.settings.keys import shown
from aframe.settings.sections import Config

PAGE = Path(__file__).parent.parent / "configuration.md"

HEAD = """# Configuration

A run has two files: `sandbox.cfg`, which holds every number that is not training's own, once each, and `train.yaml`,
which holds training's ([Training](training.md)). A third, `.env`, says where things go. `aframe init` writes all three,
with the unit of every key; `--set SECTION.KEY=VALUE` changes some on the way.

- `#` and `;` begin a comment. `none` is no value, lists are separated by commas, a pair of masses is `35-20`.
- Relative paths start at the file's own directory; `$NAME` in a value is an environment variable. Most paths may be
  `s3://bucket/key`.
- A key without a default is needed. A key that does not exist is refused, with the nearest one that does.
- `.env` is read as a shell reads it: `NAME="value"`, quoted either way or not, `$OTHER`, `export` and comments.
  What only a command can find out, `$(…)`, is set in the shell instead.
- A `%` is refused: law, which reads the file too, stops at it.

`aframe run DIR --check` tells all that is wrong with the files, the environment and what they name, one line each with
file and line, and runs nothing; every run does the same at its start.

```text
error: 3 mistakes, and nothing was run:
  runs/bbh/sandbox.cfg:21: unknown key 'highpas' in [luigi_search] (did you mean 'highpass'?)
  runs/bbh/train.yaml:17: model.learning_rate = 'quick' must be a number
  AFRAME_RESULTS_DIR = /data/x cannot be written (there is no permission to write in /data): mend that, or choose …
```

Together, values must be possible: `kernel_length` no longer than `waveform_duration`, `highpass` below the Nyquist
frequency, `min_duration` long enough for the PSD and a window, `shifts` longer than light takes between detectors
and whole multiples of the windows' distance, `Tb` and `num_injections` no more than the data have room for.
"""

TITLES = {
    "batch": "the same keys in a section named after one task (" + ", ".join(f"`[luigi_{n}]`" for n in BATCH_TASKS)
    + ") go before those here, for that task",
}  # fmt: skip
"""What the sections' own descriptions do not say."""


def page() -> str:
    """The page."""
    kinds = {name: kind for name, kind in typing.get_type_hints(Config).items() if dataclasses.is_dataclass(kind)}
    return HEAD + "".join(f"\n{section}\n" for section in (chr(10).join(lines(*item)) for item in kinds.items()))


def lines(name: str, kind: Any) -> Iterator[str]:
    """The heading and the table of a section."""
    yield from (f"## `[luigi_{name}]`", "", kind.__doc__ + (f" Here, {TITLES[name]}." if name in TITLES else ""), "")
    yield from ("| key | meaning | unit | default |", "|---|---|---|---|")
    for field in dataclasses.fields(kind):
        text, unit = (field.metadata[each].replace("|", r"\|") for each in ("description", "unit"))
        yield f"| `{field.name}` | {text} | {unit} | {default_of(field)} |"


def default_of(field: "dataclasses.Field[Any]") -> str:
    """The value of a key that the file does not have, as one would write it."""
    if field.default is dataclasses.MISSING:
        return "needed"
    if field.default is None or field.default == ():
        return "none"
    value = str(field.default).lower() if isinstance(field.default, bool) else shown(field.default).strip("'")
    return f"`{value}`"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
