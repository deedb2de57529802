from pathlib import Path

from aframe.settings.cfg_file import CfgFile


def test_a_heading_may_have_a_comment_with_brackets(tmp_path: Path) -> None:
    path = tmp_path / "run.cfg"
    path.write_text("[luigi_batch]  # or [luigi_ScoreSlides]\nmemory = 1\nmemory = 2\n")
    file = CfgFile.read(str(path))
    assert file.sections == {"luigi_batch": {"memory": "2"}}
    assert file.lines == {("luigi_batch", ""): 1, ("luigi_batch", "memory"): 3}
    assert [(mistake.section, mistake.key) for mistake in file.repeated] == [("batch", "memory")]
