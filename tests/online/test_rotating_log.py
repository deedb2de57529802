import logging
import re
from pathlib import Path

import pytest

from aframe.errors import StorageError
from aframe.online.rotating_log import start_log, stop_log


def test_logs_rotate_and_the_oldest_goes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logger = start_log(str(tmp_path / "online"), largest_bytes=2000, kept=2)
    try:
        for number in range(200):
            logging.getLogger("aframe.online").info("event %d", number)
        logger.warning("gracedb does not answer")
    finally:
        stop_log()
    logs = sorted((tmp_path / "online").iterdir())
    assert [path.name for path in logs] == ["log.txt", "log.txt.1", "log.txt.2"]
    assert all(path.stat().st_size <= 2000 for path in logs)
    last = logs[0].read_text().splitlines()[-1]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ WARNING gracedb does not answer", last)
    assert capsys.readouterr().err == "gracedb does not answer\n"


def test_a_log_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "online").write_text("a file")
    with pytest.raises(StorageError, match=r"log\.txt cannot be written"):
        start_log(str(tmp_path / "online"))
    assert not logging.getLogger("aframe.online").handlers
