from pathlib import Path

import pytest

from aframe.commands.runs import locate_model


@pytest.mark.parametrize("inside", ["model.pt", "train_run/model.pt"])
def test_a_directory_stands_for_the_model_in_it(tmp_path: Path, inside: str) -> None:
    assert locate_model(str(tmp_path)) == str(tmp_path)
    path = tmp_path / inside
    path.parent.mkdir(exist_ok=True)
    path.touch()
    assert locate_model(str(tmp_path)) == locate_model(str(path)) == str(path)
    assert locate_model("s3://bucket/run") == "s3://bucket/run"
