import multiprocessing
import re
from collections.abc import Callable

import pytest

from aframe.progress.ledger import Ledger
from aframe.progress.lines import Progress

LINE = (
    r"(\w+ \d/3): (\d+) of (\d+) \(\d+ %\) s of background, \d+ windows/s, \d+ s left; "
    r"all 3 jobs: (\d+) of (\d+) \((\d+) %\) s, \d+ s left"
)


def in_a_fork(work: Callable[[], None]) -> None:
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join()
    assert process.exitcode == 0


def test_a_job_tells_its_own_background_and_that_of_all_workers(capfd: pytest.CaptureFixture[str]) -> None:
    ledger = Ledger([1000.0, 3000.0, 4000.0], 4.0, lambda index: index == 0, interval=0.0)

    def at_work(index: int, name: str, done: float, total: float) -> None:
        report = ledger.job(index, name).background
        report(done - 500.0, total)
        report(done, total)

    in_a_fork(lambda: at_work(1, "ScoreSlides 2/3", 1500.0, 3000.0))
    in_a_fork(lambda: at_work(2, "ScoreSlides 3/3", 1000.0, 4000.0))
    in_a_fork(lambda: at_work(1, "ScoreSlides 2/3", 3000.0, 3000.0))
    matches = [re.fullmatch(LINE, line) for line in capfd.readouterr().out.splitlines()]
    assert [match and match.groups() for match in matches] == [
        ("ScoreSlides 2/3", "1500", "3000", "2500", "8000", "31"),
        ("ScoreSlides 3/3", "1000", "4000", "3500", "8000", "44"),
        ("ScoreSlides 2/3", "3000", "3000", "5000", "8000", "62"),
    ]


@pytest.fixture
def report_at(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Calls a function of a job at some times, each with what is done then."""
    clock = [1.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])

    def call(report: Callable[[float, float], None], total: float, *moments: tuple[float, float]) -> None:
        for now, done in moments:
            clock[0] = now
            report(done, total)

    return call


def test_the_time_left_follows_from_the_last_line(
    capsys: pytest.CaptureFixture[str], report_at: Callable[..., None]
) -> None:
    """Encoding and injections take a minute, and the slides then a second each."""
    job = Ledger([300.0], 4.0, lambda _: False).job(0, "Job 1/1")
    report_at(job.background, 300.0, (61.0, 1.0), (70.0, 10.0), (80.0, 20.0))
    left = [
        re.findall(r"(\d+) windows/s, (\S+ \S+) left; .* (\S+ \S+) left", line)
        for line in capsys.readouterr().out.splitlines()
    ]
    assert left == [[("4", "290 s", "290 s")], [("4", "280 s", "280 s")]]


def test_injections_have_lines_of_their_own(capsys: pytest.CaptureFixture[str], report_at: Callable[..., None]) -> None:
    job = Ledger([300.0], 4.0, lambda _: False).job(0, "Job 1/1")
    report_at(job.injections, 400, (61.0, 0), (71.0, 100), (81.0, 200))
    assert capsys.readouterr().out.splitlines() == [
        "Job 1/1: 100 of 400 (25 %) injections, 30 s left",
        "Job 1/1: 200 of 400 (50 %) injections, 20 s left",
    ]


def test_lines_are_few(capsys: pytest.CaptureFixture[str]) -> None:
    report = Ledger([9.0] * 3, 4.0, lambda _: False).job(0, "Job 1/3").background
    for done in range(1, 10):
        report(float(done), 9.0)
    assert capsys.readouterr().out == ""


def test_no_background_and_nothing_done_is_no_progress(capsys: pytest.CaptureFixture[str]) -> None:
    Ledger([0.0], 4.0, lambda _: False, interval=0.0).job(0, "Job 1/1").background(0.0, 0.0)
    Progress("strain", " s", interval=0.0)(0, 10)
    assert capsys.readouterr().out == ""
    Progress("strain", " s", interval=0.0)(5, 10)
    assert re.fullmatch(r"strain: 5 of 10 \(50 %\) s, \d+ s left\n", capsys.readouterr().out)
