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


CATCH = "<head><script>addEventListener('error', () => window.failures = (window.failures || 0) + 1)</script>"
PROBE = """<script>
  const canvases = node => [...(node.shadowRoot ?? node).querySelectorAll("*")].flatMap(
    child => child.tagName === "CANVAS" ? [child] : child.shadowRoot ? canvases(child) : []);
  const coloured = canvas => {
    if (!canvas.width || !canvas.height) return 0;
    const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    return new Uint32Array(pixels.buffer).filter(pixel => pixel !== 0 && pixel !== 0xffffffff).length;
  };
  addEventListener("load", () => setTimeout(() => {
    document.querySelectorAll("details").forEach(part => part.open = true);
    setTimeout(() => {
      const places = [...document.querySelectorAll("[data-root-id]")];
      const drawn = places.filter(place => place.firstElementChild?.clientHeight > 300
        && canvases(place).some(canvas => coloured(canvas) > 1000));
      const overflow = document.documentElement.scrollWidth - innerWidth;
      parent.postMessage([window.failures || 0, places.length, drawn.length, overflow, innerWidth].join(" "), "*");
    }, 1500);
  }, 1500));
</script>"""
FRAME = """<script>addEventListener("message", event => document.title = event.data)</script>
<iframe src="report.html" style="width: {width}px; height: 2000px; border: 0"></iframe>"""
"""A page within a page is as narrow as it is told to be, which a window of Chromium's is not."""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to render with")
@pytest.mark.parametrize("width", [1280, 390])
def test_figures_are_drawn_without_errors(page: str, tmp_path: Path, width: int) -> None:
    assert CHROMIUM is not None
    probed = page.replace("<head>", CATCH, 1).replace("</body>", PROBE + "</body>")
    (tmp_path / "report.html").write_text(probed, encoding="utf-8")
    (tmp_path / "frame.html").write_text(FRAME.format(width=width), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-extensions"]
    flags += ["--virtual-time-budget=8000", "--window-size=1400,2100", f"--user-data-dir={tmp_path / 'profile'}"]
    command = [CHROMIUM, *flags, "--host-resolver-rules=MAP * ~NOTFOUND", "--dump-dom"]
    address = (tmp_path / "frame.html").as_uri()
    shown = subprocess.run([*command, address], capture_output=True, text=True, timeout=60, check=True).stdout
    title = re.search(r"<title>([-\d]+) (\d+) (\d+) ([-\d]+) (\d+)</title>", shown)
    assert title is not None
    failures, places, drawn, overflow, seen = (int(value) for value in title.groups())
    assert seen == width
    assert failures == 0
    assert places == drawn == 18 + 3 * 4  # of three candidates, all but one to be unfolded
    assert overflow <= 0
