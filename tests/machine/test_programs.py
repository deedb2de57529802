import sys
import time
from pathlib import Path

import pytest

from aframe.machine import programs


@pytest.mark.parametrize(
    ("code", "is_fine", "text"),
    [
        ("print('one'); print('two')", True, "one\ntwo"),
        ("import sys; print('output'); sys.exit('error')", False, "error"),
        ("import sys; print('output'); sys.exit(3)", False, "output"),
        ("import sys; sys.exit(3)", False, "exit code 3"),
        ("import os; print(os.environ['NAME'])", True, "value"),
        ("", True, ""),
    ],
)
def test_a_command_answers_with_its_output_or_its_error(code: str, is_fine: bool, text: str) -> None:
    answer = programs.ask([sys.executable, "-c", code], 60.0, NAME="value")
    assert (answer.is_fine, answer.is_late, answer.text) == (is_fine, False, text)
    assert answer.last_line == text.rpartition("\n")[2]


def test_a_command_that_does_not_end_is_late() -> None:
    begun = time.monotonic()
    assert programs.ask(["sleep", "60"], 0.3) == programs.Answer(False, "no answer in 0 s", is_late=True)
    assert time.monotonic() - begun < 30


def test_a_command_that_cannot_start_has_a_reason(tmp_path: Path) -> None:
    assert programs.ask([str(tmp_path / "nothing")], 1.0) == programs.Answer(False, "No such file or directory")
