import re
from pathlib import Path

import pytest

from aframe.errors import ConfigurationError
from aframe.settings.cfg_file import CfgFile, quoted
from aframe.settings.keys import parse


def test_a_heading_may_have_a_comment_with_brackets(tmp_path: Path) -> None:
    path = tmp_path / "run.cfg"
    path.write_text("[luigi_batch]  # or [luigi_ScoreSlides]\nmemory = 1\nmemory = 2\n")
    file = CfgFile.read(str(path))
    assert file.sections == {"luigi_batch": {"memory": "2"}}
    assert file.lines == {("luigi_batch", ""): 1, ("luigi_batch", "memory"): 3}
    assert [(mistake.section, mistake.key) for mistake in file.repeated] == [("batch", "memory")]


@pytest.mark.parametrize(
    "path",
    ["/O3", "/O3 #2", "/O3 ;2", "/it's", "/it's #2", '/say "hi"', '/say "hi" #2', "/two  blanks", "/a, b", "/é`"],
)
def test_a_path_is_read_back_as_it_was_written(path: str) -> None:
    text = f"[luigi_data]\nframes = {quoted(path)}   # the strain\n"
    assert parse(CfgFile.parse(text, "run.cfg").sections["luigi_data"]["frames"], str) == path


@pytest.mark.parametrize("path", ["/100%", "/a$HOME", "/${x}", '/it\'s "#2" #'])
def test_a_path_that_the_file_cannot_hold_is_refused(path: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{re.escape(path)} cannot stand in a .cfg, for its %, . or quotes"):
        quoted(path)


def test_quotes_keep_what_they_enclose() -> None:
    text = "gates = H1:\"my, own #1.txt\", L1:'b c.txt' # two\n  V1:it's.txt ; three\n"
    (value,) = CfgFile.parse(f"[luigi_vetoes]\n{text}", "run.cfg").sections["luigi_vetoes"].values()
    assert parse(value, tuple[str, ...]) == ("H1:my, own #1.txt", "L1:b c.txt", "V1:it's.txt")
    assert parse("f(1, 2), 'x'", tuple[str, ...]) == ("f(1, 2)", "x")
