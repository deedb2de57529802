import json
import re
import shutil
import subprocess
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pytest

from aframe.events.significance import Background
from aframe.report.gather import gather
from aframe.report.page import build_report, sensitive_volume_html
from aframe.report.text import number

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def page(run_directory: Path) -> str:
    where = [str(run_directory / name) for name in ("results", "train", "train", "test")]
    return build_report(gather(*where, units={"search.sample_rate": "Hz"}))


@pytest.fixture(scope="module")
def results_page(run_directory: Path) -> str:
    """The page of a run of which there are results alone."""
    return build_report(gather(str(run_directory / "results"), None))


def test_everything_is_shown(page: str) -> None:
    for text in ("H1 · L1", "simulated noise", "35-35 M☉", "20-10 M☉", "not like for like", "2048.0 Hz"):
        assert text in page
    assert "&lt; 1 per 36.5 days" in page  # the planted event, louder than all background
    assert "≈ 1 per " in page  # its extrapolated rate
    assert "H1 not CBC_CAT2" in page
    for text in ("vetoed time included", "without the loudest candidates", "28 (17 to 45) mergers", "At L1 (ms)"):
        assert text in page
    assert "The search expects 0.012 BNS, 0 NSBH, 1.25 BBH in that time." in page
    assert "Refused or not finite" in page
    assert '<td class="r">40\u202f017</td>' in page  # all draws, the unphysical included
    assert "is not there yet" not in page
    assert "<!--figure" not in page


def test_a_measured_rate_is_no_upper_limit(run_directory: Path, results_page: str) -> None:
    inputs = gather(str(run_directory / "results"), None)
    assert inputs.background is not None
    once = Background(np.append(inputs.background.statistics, 12.0), inputs.background.livetime)
    page = build_report(replace(inputs, background=once))
    assert "&lt; 1 per 36.5 days" in results_page
    assert "<b>1 per 36.5 days</b>" in page
    assert page.count("&lt; 1 per 36.5 days") == 1  # of the cleaned background, in which nothing is as loud


def test_a_missing_p_astro_is_explained(run_directory: Path, results_page: str) -> None:
    inputs = gather(str(run_directory / "results"), None)
    assert inputs.candidates is not None
    attributes = {k: v for k, v in inputs.candidates.attributes.items() if k != "merger_rate_gpc3_yr"}
    page = build_report(replace(inputs, candidates=replace(inputs.candidates, attributes=attributes)))
    assert "It is not estimated, as it needs 250 background events" in page
    assert "It is not estimated" not in results_page


def test_where_nothing_is_found_a_limit_is_shown(run_directory: Path) -> None:
    inputs = gather(str(run_directory / "results"), None)
    assert inputs.volumes is not None
    curve = inputs.volumes["35-35"]
    names = ("volume_gpc3", "standard_error", "volume_at_low_threshold_gpc3", "volume_at_high_threshold_gpc3")
    nothing = replace(curve, **{name: 0 * curve.volume_gpc3 for name in names})
    page = build_report(replace(inputs, volumes={"alone": nothing}))
    limit = number(3.689 * curve.scope.v0_gpc3 / curve.scope.effective_draws)
    assert f"&lt; {limit} Gpc³ (95 %)" in page
    assert ">0 ± 0" not in page
    assert "Broken lines" not in page  # no other search published this population


def test_needs_no_network(page: str) -> None:
    assert not re.findall(r"<(?:script|img|iframe)[^>]*\ssrc=|<link[^>]*href=[\"']?http|@import", page)


def test_missing_parts_name_the_step_that_makes_them(tmp_path: Path) -> None:
    empty = build_report(gather(str(tmp_path), None))
    for step in ("the inference step", "the sensitivity step", "the training step", "the waveforms step"):
        assert f"is not there yet: {step} makes it" in empty
    assert "<script" not in empty


def test_text_is_escaped(tmp_path: Path) -> None:
    inputs = gather(str(tmp_path), None)
    mischief = "<script>alert(1)</script>"
    shown = build_report(replace(inputs, title=mischief, configuration={"data.source": mischief}))
    assert mischief not in shown
    assert shown.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 3  # title of the page, heading, parameter


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
      const answers = (() => { SCRIPT })();
      parent.postMessage(JSON.stringify([window.failures || 0, innerWidth, ...answers]), "*");
    }, 1500);
  }, 1500));
</script>"""
FRAME = """<script>addEventListener("message", event => document.title = event.data)</script>
<iframe src="report.html" style="width: {width}px; height: 2000px; border: 0"></iframe>"""
"""A page in a frame has the width of the frame, while Chromium's window has a smallest width."""

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to render with")


def in_browser(page: str, directory: Path, width: int, script: str) -> list[str]:
    """What a script returns that is run when the page is drawn and all its details are open; no script may fail."""
    assert CHROMIUM is not None
    probed = page.replace("<head>", CATCH, 1).replace("</body>", PROBE.replace("SCRIPT", script) + "</body>")
    (directory / "report.html").write_text(probed, encoding="utf-8")
    (directory / "frame.html").write_text(FRAME.format(width=width), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-extensions"]
    flags += ["--virtual-time-budget=8000", "--window-size=1400,2100", f"--user-data-dir={directory / 'profile'}"]
    command = [CHROMIUM, *flags, "--host-resolver-rules=MAP * ~NOTFOUND", "--dump-dom"]
    address = (directory / "frame.html").as_uri()
    shown = subprocess.run([*command, address], capture_output=True, text=True, timeout=60, check=True).stdout
    title = re.search(r"<title>(\[.*?\])</title>", shown)
    assert title is not None
    failures, seen, *answers = (str(word) for word in json.loads(unescape(title[1])))
    assert (failures, seen) == ("0", str(width))
    return answers


@needs_browser
@pytest.mark.parametrize("width", [1280, 390])
def test_figures_are_drawn_without_errors(page: str, tmp_path: Path, width: int) -> None:
    script = """
      const places = [...document.querySelectorAll("[data-root-id]")];
      const drawn = places.filter(place => place.firstElementChild?.clientHeight > 300
        && canvases(place).some(canvas => coloured(canvas) > 1000));
      return [places.length, drawn.length, document.documentElement.scrollWidth - innerWidth];
    """
    places, drawn, overflow = map(int, in_browser(page, tmp_path, width, script))
    assert places == drawn == 20 + 3 * 4  # of three candidates, all but one to be unfolded
    assert overflow <= 0


@needs_browser
def test_candidates_sort_by_value_and_filter_by_text(page: str, tmp_path: Path) -> None:
    script = """
      const box = document.querySelector("#loudest"), body = box.querySelector("tbody");
      const heads = [...box.querySelectorAll("th button")];
      const column = name => heads.findIndex(head => head.textContent === name);
      const first = name => body.rows[0].cells[column(name)].textContent;
      const answers = [first("Statistic")];
      heads[column("Statistic")].click();
      answers.push(first("Statistic"));
      heads[column("GPS (s)")].click();
      const times = [...body.rows].map(row => +row.cells[column("GPS (s)")].dataset.value);
      answers.push(times.every((time, k) => !k || time >= times[k - 1]));
      const field = box.querySelector("input");
      field.value = "gw1509";
      field.dispatchEvent(new Event("input"));
      answers.push([...body.rows].filter(row => !row.hidden).length, box.querySelector("[role=status]").textContent);
      field.value = "";
      field.dispatchEvent(new Event("input"));
      answers.push([...body.rows].filter(row => !row.hidden).length);
      return answers;
    """
    loudest, quietest, ordered, matches, status, shown = in_browser(page, tmp_path, 1280, script)
    assert loudest == "11.500"
    assert float(quietest) < 11.5
    assert ordered == "True"
    assert (matches, status, shown) == ("1", "1 of 200 rows", "200")


@needs_browser
def test_links_lead_to_their_sections_and_to_known_events(page: str, tmp_path: Path) -> None:
    script = """
      const inside = [...document.querySelectorAll('a[href^="#"]')];
      const lost = inside.filter(link => !document.querySelector(link.getAttribute("href")));
      inside.at(-1).click();
      const there = document.querySelector(inside.at(-1).getAttribute("href")).getBoundingClientRect();
      const known = [...document.querySelectorAll("#loudest a")].map(link => link.href);
      return [inside.length, lost.length, there.top < innerHeight, ...known];
    """
    inside, lost, reached, *links = in_browser(page, tmp_path, 1280, script)
    assert int(inside) == page.count("<section")
    assert (lost, reached) == ("0", "True")
    assert links == ["https://gwosc.org/eventapi/html/GWTC-1-confident/GW150914/v3/"]
