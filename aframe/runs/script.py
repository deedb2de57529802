"""``run.sh``, the script that starts a run."""

import hashlib
from pathlib import Path

from aframe import storage
from aframe.batch.job import RUN_LAW

RUN_SCRIPT = f"""#!/usr/bin/env bash
# Runs the whole pipeline, and resumes it where it was interrupted. Options go to law: --gpus 0,1 --workers 5
set -euo pipefail
here="$(cd "$(dirname "${{BASH_SOURCE[0]}}")" && pwd)"
set -a
eval "$(sed $'1s/^\\xef\\xbb\\xbf//; s/\\r$//' "$here/.env")"  # also as other systems' editors write it
set +a
if [ -n "${{AFRAME_RUN_DIR:-}}" ] && ! [ "$AFRAME_RUN_DIR" -ef "$here" ]; then
    echo "error: AFRAME_RUN_DIR in $here/.env is $AFRAME_RUN_DIR: if the run was moved or copied, set it to $here" >&2
    exit 1
fi
export LAW_CONFIG_FILE="$here/sandbox.cfg"
exec python -P -c '{RUN_LAW}' run aframe.pipelines.sandbox.Sandbox "$@"
"""
"""Text of ``run.sh``. It runs law with Python, since law's own script cannot start from a path with spaces."""

EARLIER_SCRIPTS = frozenset(
    {
        "de8becf804a2fc0da1842f3f6286bbb861aa8ca50afd64c9ad91decb770792a7",
        "df0fd6683a4b349fae132c7d0f44f238a64b51f15fdfd27ec89961ab7ec1d8cb",
        "95dab2bf956891f14bace0ec34b4500949e44bb0932a322c61c682e130a5e149",
    }
)
"""SHA-256 of the texts that earlier versions wrote."""


def renew_script(directory: Path) -> str:
    """Write a ``run.sh`` that is missing, or that an earlier version wrote, as this version does.

    Args:
        directory: Directory of the run.

    Returns:
        A sentence about it. Empty if the script is as it should be.

    Raises:
        StorageError: If it cannot be written.
    """
    path = directory / "run.sh"
    text = storage.read_text(str(path)) if path.exists() else ""
    if text == RUN_SCRIPT:
        return ""
    if text and hashlib.sha256(text.encode()).hexdigest() not in EARLIER_SCRIPTS:
        return f"{path} is not as this version writes it: if you did not change it, delete it and run again"
    storage.write_text(str(path), RUN_SCRIPT)
    path.chmod(0o755)
    return f"{path} is written anew, since {'an earlier version wrote it' if text else 'it was missing'}"
