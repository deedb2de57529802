import re
from importlib.metadata import version

from aframe import provenance


def test_code_says_versions_and_commit() -> None:
    assert provenance.versions()["numpy"] == version("numpy")
    assert provenance.code().startswith(f"aframe {version('aframe')}, torch {version('torch')}")
    assert re.fullmatch(r"([0-9a-f]{40}(-dirty)?)?", provenance.commit())
