from pathlib import Path

import pytest
import torch

from aframe.errors import StorageError
from aframe.train.checkpoints import WholeCheckpoints, check_whole, resumable


def damage(path: Path, kind: str) -> None:
    """Damage a file as full disks and lost machines do, or one bit of it."""
    whole = path.read_bytes()
    half = whole[: len(whole) // 2]
    bit = half[:-1] + bytes([half[-1] ^ 1]) + whole[len(half) :]
    path.write_bytes({"half": half, "empty": b"", "garbage": b"\x93" * len(whole), "bit": bit}[kind])


@pytest.mark.parametrize("kind", ["half", "empty", "garbage", "bit"])
def test_the_checkpoint_before_a_damaged_one_continues(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    last, before = tmp_path / "last.ckpt", tmp_path / "before.ckpt"
    assert resumable(str(tmp_path), is_told=True) is None
    for step in (1, 2, 3):
        WholeCheckpoints().save_checkpoint({"global_step": step, "weights": torch.ones(2000)}, last)
    assert [torch.load(path, weights_only=True)["global_step"] for path in (last, before)] == [3, 2]
    assert resumable(str(tmp_path), is_told=True) == str(last)
    assert not capsys.readouterr().err
    check_whole(str(last))
    damage(last, kind)
    with pytest.raises(StorageError, match=r"last\.ckpt is no whole checkpoint \(\w+: .*\): give another one"):
        check_whole(str(last))
    assert resumable(str(tmp_path), is_told=True) == str(before)
    assert capsys.readouterr().err.startswith(f"note: {last} is damaged (")
    damage(before, kind)
    assert resumable(str(tmp_path), is_told=False) is None
    assert not capsys.readouterr().err
    assert resumable(str(tmp_path), is_told=True) is None
    assert capsys.readouterr().err.endswith("): training starts at the beginning\n")
