"""What measures speed: the scripts can be imported, and the table says of each what came of it."""

import ast
import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"
SCRIPTS = sorted(path for folder in ("benchmarks", "docs/scripts", "models") for path in (ROOT / folder).glob("*.py"))

SHARED = [
    BENCHMARKS / f"{name}.py" for name in ("_clocks", "_network_scores", "_network_tables", "_precision", "_rows")
]
"""Modules that the scripts import. They are no scripts."""

HARMLESS = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)
"""Statements without effect when a script is imported, in addition to texts."""

ROW = """
import sys
sys.path.insert(0, {folder!r})
from _rows import at_least, at_most, sized, tell
"""


def loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"script_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def own_modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The scripts' shared modules are found as Python finds them when it runs a script, and forgotten afterwards."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.delenv("AFRAME_BENCHMARKS", raising=False)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name in {path.stem for path in SHARED} or name.startswith("script_"):
            del sys.modules[name]


@pytest.fixture
def table(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """Runs scripts of the given texts: the table's rows, by the first word, and how it ended."""
    runner = loaded(BENCHMARKS / "__main__.py")

    def run(*options: str, **texts: str) -> tuple[dict[str, str], object]:
        for name, text in texts.items():
            (tmp_path / f"{name}.py").write_text(ROW.format(folder=str(BENCHMARKS)) + text, encoding="utf-8")
        ended: object = 0
        try:
            runner.main(options, tmp_path)
        except SystemExit as error:
            ended = error.code
        rows = capfd.readouterr().out.rpartition("\n\n")[2].splitlines()
        return {row.split()[0]: " ".join(row.split()[1:]) for row in rows}, ended

    run.runner = runner  # type: ignore[attr-defined]
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_scripts_can_be_imported(path, capfd):
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    module = loaded(path)
    assert path in SHARED or callable(module.main)
    assert capfd.readouterr() == ("", "")
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_scripts_do_nothing_but_in_main(path):
    *statements, last = ast.parse(path.read_text(encoding="utf-8")).body
    assert path in SHARED or ast.unparse(last) == "if __name__ == '__main__':\n    main()"
    texts = [each for each in statements if isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant)]
    assert not [ast.unparse(each) for each in statements if not isinstance(each, HARMLESS) and each not in texts]


def test_values_are_judged_in_one_place():
    """No script says itself whether a value is good enough."""
    judges = {path.name for path in BENCHMARKS.glob("*.py") if '"ok"' in path.read_text(encoding="utf-8")}
    assert judges == {"__main__.py", "_rows.py"}
    assert not [path.name for path in BENCHMARKS.glob("[a-z]*.py") if "tell(" not in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize(
    ("value", "target", "ok"),
    [
        (0.9, "at_least(0.9)", True),
        (0.8999999, "at_least(0.9)", False),
        (1.1, "at_most(1.1)", True),
        (1.1000001, "at_most(1.1)", False),
        (float("nan"), "at_least(0.9)", False),
        (float("nan"), "at_most(0.9)", False),
        (None, "at_least(0.9)", None),
        (1.0, "None", None),
    ],
)
def test_a_value_reaches_its_target_or_does_not(value, target, ok, capsys):
    import _rows

    _rows.tell("speed", value, "1/s", eval(target, vars(_rows)), 0.5)
    row = json.loads(capsys.readouterr().out)
    assert row["ok"] is ok
    assert row["error"] == 0.5


def test_the_table_says_what_was_reached(table):
    text = 'tell("fast", 250.0, "1/s", at_least(120.0), 3.21)\n'
    text += 'tell("cheap", 2, "GB", at_most(4.0))\ntell("free", 7, "s")\n'
    text += 'tell("elsewhere", None, "1/s", at_least(1.0), note="no GPU")\n'
    rows, ended = table(one=text)
    assert ended == 0
    assert rows["benchmark"] == "value unit target reached seconds note"
    assert rows["fast"].startswith("250 ± 3.2 1/s ≥ 120 yes")
    assert rows["cheap"] == "2 GB ≤ 4 yes"
    assert rows["free"] == "7 s - -"
    assert rows["elsewhere"] == "- 1/s ≥ 1 not run no GPU"


def test_a_missed_target_is_reported(table):
    rows, ended = table(one='tell("slow", 119.99, "1/s", at_least(120.0), 50.0)', two='tell("fast", 1, "s")')
    assert rows["slow"].startswith("120 ± 50 1/s ≥ 120 NO")
    assert ended == "missed their targets: slow"
    assert "fast" in rows


def test_a_script_that_fails_is_a_row_and_the_others_go_on(table):
    fails = 'tell("before", 1, "s")\nfrom _rows import gone'
    rows, ended = table(a=fails, b="raise SystemExit('the events differ')", c='tell("after", 2, "s")')
    assert rows["before"].startswith("1 s - -")
    assert "FAILED exit code 1: ImportError: cannot import name 'gone'" in rows["a"]
    assert rows["b"].endswith("exit code 1: the events differ")
    assert rows["after"].startswith("2 s")
    assert ended == "failed: a, b"


def test_a_script_without_results_fails(table):
    rows, ended = table(silent='print("nothing to tell")', quick='tell("some", 1, "s")')
    assert "FAILED" in rows["silent"]
    assert rows["silent"].endswith("it printed no result")
    assert ended == "failed: silent"


def test_a_script_that_takes_too_long_is_ended_with_what_it_started(table, monkeypatch):
    """What it has started holds its output open, so that it would keep the others waiting."""
    monkeypatch.setattr(table.runner, "TIME_LIMITS", {"slow": 2.0})
    text = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"
    rows, ended = table(slow=text, then='tell("after", 2, "s")')
    assert rows["slow"].endswith("not done after 2 s")
    assert ended == "failed: slow"
    assert "after" in rows


def test_quick_is_less_work_whose_time_is_not_judged(table):
    text = 'tell("year", sized(60.0, 1.0), "min", at_most(30.0, of_full_amount=True))\n'
    text += 'tell("rate", sized(10.0, 9.0), "1/s", at_least(9.5))'
    full, told = table(one=text)
    assert (full["year"].startswith("60 min ≤ 30 NO"), told) == (True, "missed their targets: year")
    quick, told = table("--quick")
    assert quick["year"].startswith("1 min - -")
    assert quick["year"].endswith("quick: not judged")
    assert quick["rate"] == "9 1/s ≥ 9.5 NO"
    assert told == "missed their targets: rate"


def test_scripts_are_chosen_by_name(table, capfd):
    rows, _ = table("two", one='tell("first", 1, "s")', two='tell("second", 1, "s")')
    assert "first" not in rows
    assert "second" in rows
    assert table("three")[1] == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_the_table_so_far(number, tmp_path):
    (tmp_path / "__main__.py").write_text((BENCHMARKS / "__main__.py").read_text(encoding="utf-8"), encoding="utf-8")
    text = ROW.format(folder=str(BENCHMARKS))
    (tmp_path / "a.py").write_text(f'{text}tell("before", 1, "s")', encoding="utf-8")
    (tmp_path / "b.py").write_text(f'{text}tell("begun", 2, "s")\nimport time\ntime.sleep(600)', encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": f"{BENCHMARKS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    command = [sys.executable, str(tmp_path)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        seen = ""
        while '"begun"' not in seen:
            seen = process.stdout.readline()
            assert seen
        process.send_signal(number)
        rest, errors = process.communicate(timeout=60)
    rows = rest.strip().splitlines()
    assert [row.split()[0] for row in rows] == ["benchmark", "before", "begun", "b"]
    assert rows[-1].endswith("interrupted")
    assert (process.returncode, errors) == (130, "")
