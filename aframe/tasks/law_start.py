"""Start law with the configuration of the run alone.

luigi reads ``luigi.cfg`` of the working directory and of ``/etc`` when it is imported, and law reads its ``.cfg`` then.
Neither has an option against that. So luigi is imported elsewhere, and what it read is dropped. Of a ``.cfg`` that
begins with a byte-order mark, law reads a copy without it.
"""

import codecs
import contextlib
import os
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from types import TracebackType

from aframe.machine import console
from aframe.machine.processes import postpone_collection, shed_foreign_settings

CONFIGURATION = "LAW_CONFIG_FILE"
"""Environment variable with the path of the run's ``.cfg``."""


def run() -> int:
    """Run law's command line. Returns its exit code."""
    postpone_collection()
    shed_foreign_settings()
    console.open_closed()
    if not os.environ.get("AFRAME_DEBUG"):
        sys.excepthook = tell_interruption
    with contextlib.chdir(Path(__file__).parent):
        from luigi.configuration import LuigiConfigParser

    LuigiConfigParser._config_paths.clear()
    LuigiConfigParser.instance().clear()
    path = os.environ.get(CONFIGURATION, "")
    content = Path(path).read_bytes() if Path(path).is_file() else b""
    if content.startswith(codecs.BOM_UTF8):
        with tempfile.NamedTemporaryFile(suffix=".cfg") as copy:
            copy.write(content.removeprefix(codecs.BOM_UTF8))
            copy.flush()
            os.environ[CONFIGURATION] = copy.name
            import_module("law")
            os.environ[CONFIGURATION] = path
    from law.cli import run as run_law

    return int(run_law() or 0)


def tell_interruption(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """Print an interruption by Ctrl-C in one line, and any other exception as Python does.

    Args:
        kind: Type of the exception.
        error: The exception.
        traceback: Its traceback.
    """
    if issubclass(kind, KeyboardInterrupt):
        print("interrupted: run the same command again to resume", file=sys.stderr, flush=True)
    else:
        sys.__excepthook__(kind, error, traceback)
