import json
from pathlib import Path

import pytest

from aframe.errors import StorageError
from aframe.runs.precision_record import record_first, recorded

NAMES = ("float32", "bfloat16")


def test_the_record_of_the_first_machine_stays(tmp_path: Path) -> None:
    path = str(tmp_path / "precision.json")
    assert recorded(path, NAMES) is None
    assert record_first(path, "float32", {"device": "x86_64"}, NAMES) == "float32"
    assert record_first(path, "bfloat16", {"device": "other"}, NAMES) == "float32"
    assert recorded(path, NAMES) == "float32"
    assert json.loads(Path(path).read_text()) == {"precision": "float32", "device": "x86_64"}


@pytest.mark.parametrize("text", ['{"prec', "", "[]", '"float32"', "{}", '{"precision": "32-true"}'])
def test_a_damaged_record_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "precision.json"
    path.write_text(text)
    line = r"precision\.json is no record of a precision \(float32 or bfloat16\): delete it to choose anew"
    with pytest.raises(StorageError, match=line):
        recorded(str(path), NAMES)
    with pytest.raises(StorageError, match=line):
        record_first(str(path), "float32", {}, NAMES)
    assert path.read_text() == text
