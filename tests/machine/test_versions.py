import re
from importlib.metadata import version

from aframe.machine import versions


def test_code_says_versions_and_commit() -> None:
    assert versions.versions()["numpy"] == version("numpy")
    assert versions.code().startswith(f"aframe {version('aframe')}, torch {version('torch')}")
    assert re.fullmatch(r"([0-9a-f]{40}(-dirty)?)?", versions.commit())
