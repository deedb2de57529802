import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from aframe.report.gather import gather
from aframe.report.page import build_report, sensitive_volume_html

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def page(run_directory: Path) -> str:
    where = [str(run_directory / name) for name in ("results", "train", "train", "test")]
    return build_report(gather(*where))


def test_everything_is_shown(page: str) -> None:
    for text in ("H1 · L1", "simulated noise", "35-35 M☉", "20-10 M☉", "not like for like", "2048.0 Hz"):
        assert text in page
    assert "&lt; 1 per 36.5 days" in page  # the planted event, louder than all background
    assert "Refused or not finite" in page
    assert '<td class="r">40\u202f017</td>' in page  # all draws, the unphysical included
    assert "is not there yet" not in page
    assert "<!--figure" not in page


def test_needs_no_network(page: str) -> None:
    assert not re.findall(r"<(?:script|img|iframe)[^>]*\ssrc=|<link[^>]*href=[\"']?http|@import", page)


def test_missing_parts_name_the_step_that_makes_them(tmp_path: Path) -> None:
    empty = build_report(gather(str(tmp_path), None))
    for step in ("the inference step", "the sensitivity step", "the training step", "the waveforms step"):
        assert f"is not there yet: {step} makes it" in empty
    assert "<script" not in empty


def test_text_is_escaped(run_directory: Path) -> None:
    inputs = gather(str(run_directory / "results"), None)
    mischief = "<script>alert(1)</script>"
    shown = build_report(replace(inputs, title=mischief, configuration={"data.source": mischief}))
    assert mischief not in shown


def test_volumes_have_a_page_of_their_own(run_directory: Path) -> None:
    volumes = gather(str(run_directory / "results"), None).volumes
    assert volumes is not None
    page = sensitive_volume_html(volumes, simulated=False)
    assert page.count("data-root-id") >= len(volumes) == 4


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to render with")
@pytest.mark.parametrize("width", [1280, 390])
def test_figures_are_drawn_without_errors(page: str, tmp_path: Path, width: int) -> None:
    assert CHROMIUM is not None
    catch = "<head><script>addEventListener('error', () => window.failures = (window.failures || 0) + 1)</script>"
    probe = """<script>addEventListener("load", () => setTimeout(() => {
      const places = [...document.querySelectorAll("[data-root-id]")];
      const drawn = places.filter(place => place.firstElementChild?.clientHeight > 300);
      const overflow = document.documentElement.scrollWidth - innerWidth;
      document.title = [window.failures || 0, places.length, drawn.length, overflow].join(" ");
    }, 1500))</script>"""
    path = tmp_path / "report.html"
    path.write_text(page.replace("<head>", catch, 1).replace("</body>", probe + "</body>"), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-extensions"]
    flags += ["--virtual-time-budget=6000", f"--window-size={width},2000", f"--user-data-dir={tmp_path / 'profile'}"]
    command = [CHROMIUM, *flags, "--host-resolver-rules=MAP * ~NOTFOUND", "--dump-dom", path.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    title = re.search(r"<title>([-\d]+) (\d+) (\d+) ([-\d]+)</title>", shown)
    assert title is not None
    failures, places, drawn, overflow = (int(value) for value in title.groups())
    assert failures == 0
    assert places == drawn == 18
    assert overflow <= 0
