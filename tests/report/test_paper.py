import re
import shutil
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.image import imread

from aframe import storage
from aframe.report import paper
from aframe.report.gather import gather
from aframe.report.inputs import ReportInputs
from aframe.report.page import build_report
from aframe.report.palette import PALETTE
from aframe.report.paper import draw_figures, write_figures

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")

AXES = {
    "sensitive_volume": (r"(yr$^{-1}$)", r"(Gpc$^3$)"),
    "background": ("(dimensionless)", r"(yr$^{-1}$)"),
    "candidates": ("(yr)", "(number)"),
    "found_and_missed": ("(dimensionless)", r"$\mathrm{M}_{\!\odot}$"),
    "found_and_missed-detectors": ("(dimensionless)", "(dimensionless)"),
    "efficiency-snr": ("(dimensionless)", "Share"),
    "efficiency-luminosity_distance": ("(Mpc)", "Share"),
    "efficiency-chirp_mass": (r"$\mathrm{M}_{\!\odot}$", "Share"),
    "efficiency-chirp_mass_source": (r"$\mathrm{M}_{\!\odot}$", "Share"),
    "draws-masses": (r"$\mathrm{M}_{\!\odot}$", r"$\mathrm{M}_{\!\odot}$"),
    "draws-redshift": ("(dimensionless)", "(number in a bin)"),
    "draws-snr": ("(dimensionless)", "(number in a bin)"),
    "bank-match": (r"$\mathrm{M}_{\!\odot}$", "(dimensionless)"),
    "bank-masses": (r"$\mathrm{M}_{\!\odot}$", r"$\mathrm{M}_{\!\odot}$"),
    "training": ("(number)", r"nat|dimensionless"),
    "noise": ("(Hz)", r"(Hz$^{-1/2}$)"),
}
"""Units of each figure's axes."""

POPULATIONS = ("35-35", "20-10")
NAMES = {*AXES}


@pytest.fixture(scope="module")
def inputs(run_directory: Path) -> ReportInputs:
    whole = gather(*(str(run_directory / name) for name in ("results", "train", "train", "test")))
    return replace(whole, volumes={name: (whole.volumes or {})[name] for name in POPULATIONS})


@pytest.fixture(scope="module")
def figures(inputs: ReportInputs) -> dict[str, Figure]:
    return dict(draw_figures(inputs))


@pytest.fixture(scope="module")
def written(inputs: ReportInputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("report & more") / "figures"
    assert set(write_figures(inputs, str(directory))) == NAMES
    return directory


def shown(figure: Figure) -> Iterator[Axes]:
    """Panels of a figure, without bars of colour."""
    return (axes for axes in figure.axes if axes.get_label() != "<colorbar>")


def test_every_axis_says_its_unit(figures: dict[str, Figure]) -> None:
    assert set(figures) == NAMES
    for name, figure in figures.items():
        units = AXES[name]
        for axes in shown(figure):
            for label, unit in zip((axes.get_xlabel(), axes.get_ylabel()), units, strict=True):
                assert any(part in label for part in unit.split("|")), (name, label)
    bars = [axes.get_ylabel() for axes in figures["draws-masses"].axes if axes not in shown(figures["draws-masses"])]
    assert bars == ["All draws (number in a bin)"]


def test_nothing_is_cut_off_or_hidden_by_a_legend(figures: dict[str, Figure]) -> None:
    for name, figure in figures.items():
        figure.draw_without_rendering()
        page = figure.bbox.padded(0.5)
        texts = [text for axes in figure.axes for text in (axes.xaxis.label, axes.yaxis.label)]
        for artist in (*texts, *figure.legends):
            box = artist.get_window_extent()
            assert page.xmin <= box.xmin, (name, artist)
            assert page.ymin <= box.ymin, (name, artist)
            assert box.xmax <= page.xmax, (name, artist)
            assert box.ymax <= page.ymax, (name, artist)
        for legend in figure.legends:
            assert not any(legend.get_window_extent().overlaps(axes.bbox) for axes in figure.axes), name
    for axes in figures["training"].axes:
        legend = axes.get_legend()
        assert legend is not None
        assert legend.get_window_extent().ymin > axes.bbox.ymax


def test_colours_are_those_of_the_palette(figures: dict[str, Figure]) -> None:
    for name, figure in figures.items():
        for axes in shown(figure):
            lines = [line.get_color() for line in axes.lines]
            faces = [color for made in axes.collections if made.get_array() is None for color in made.get_facecolor()]
            used = {to_hex(color).upper() for color in (*lines, *faces, *(p.get_facecolor() for p in axes.patches))}
            colored = {color for color in used if not color[1:3] == color[3:5] == color[5:7]}
            assert colored <= {color.upper() for color in PALETTE}, name
            assert len(colored) > 0, name


def test_curves_and_bands_are_the_measured_ones(inputs: ReportInputs, figures: dict[str, Figure]) -> None:
    curve = (inputs.volumes or {})["35-35"]
    axes = figures["sensitive_volume"].axes[0]
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), curve.volume_gpc3)
    interval, sigma, _ = (band.get_datalim(axes.transData).intervaly for band in axes.collections)
    ends = curve.interval_gpc3
    np.testing.assert_allclose(interval, [ends[0].min(), ends[1].max()])
    error = curve.standard_error
    np.testing.assert_allclose(sigma, [(curve.volume_gpc3 - error).min(), (curve.volume_gpc3 + error).max()])
    labels = [text.get_text() for text in figures["sensitive_volume"].legends[0].texts]
    assert labels[0] == "this search (simulated noise)"
    published = {"GstLAL (O3)", "PyCBC-BBH (O3)", "cWB (O3)", "MBTA (O3)"}
    assert {"95 % interval", "± 1σ", "plain bank of templates", *published} == set(labels[1:])


def test_an_extrapolation_is_called_one_and_dashed(inputs: ReportInputs, figures: dict[str, Figure]) -> None:
    assert inputs.background is not None
    lines = {line.get_label(): line for line in figures["background"].axes[0].lines}
    measured, model = lines["time slides"], lines["extrapolation: Pareto tail, 95 %"]
    assert model.get_linestyle() == "--"
    assert measured.get_ydata().min() == pytest.approx(inputs.background.lowest_far_per_year)
    assert model.get_ydata().min() < 0.1 * inputs.background.lowest_far_per_year


def test_files_meet_the_rules_of_journals(written: Path) -> None:
    assert {path.name for path in written.iterdir()} == {f"{name}.{end}" for name in NAMES for end in ("png", "pdf")}
    for name in NAMES:
        png, pdf = ((written / f"{name}.{end}").read_bytes() for end in ("png", "pdf"))
        assert png.startswith(b"\x89PNG\r\n\x1a\n")
        width = struct.unpack(">I", png[16:20])[0]
        assert width == (2100 if name == "sensitive_volume" else 1020)  # 7.0 and 3.4 inches at 300 dots
        pixels = imread(written / f"{name}.png")
        assert pixels.shape[1] == width
        assert pixels[..., :3].std() > 0.03
        assert pdf.startswith(b"%PDF-1.")
        assert pdf.rstrip().endswith(b"%%EOF")
        box = [float(value) for value in re.findall(rb"/MediaBox \[ ([^]]+) \]", pdf)[0].split()]
        assert box[2] / 72 == pytest.approx(width / 300, abs=0.01)
        assert b"/FontFile2" in pdf  # TrueType, embedded
        assert b"/Type3" not in pdf
        assert b"CreationDate" not in pdf


def test_equal_runs_have_equal_bytes_whatever_the_users_settings(
    inputs: ReportInputs, written: Path, tmp_path: Path
) -> None:
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "pdf.fonttype": 3, "savefig.dpi": 50}):
        before = dict(mpl.rcParams)
        write_figures(inputs, str(tmp_path))
        assert dict(mpl.rcParams) == before
    for path in written.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


def test_a_partial_run_has_what_there_is_and_keeps_nothing_outdated(inputs: ReportInputs, tmp_path: Path) -> None:
    empty = gather(str(tmp_path / "nothing"), None)
    assert write_figures(empty, str(tmp_path)) == []
    trained = replace(empty, training=inputs.training, noise=inputs.noise)
    assert write_figures(trained, str(tmp_path)) == ["training", "noise"]
    (tmp_path / "my own.pdf").write_text("precious")
    assert write_figures(replace(empty, noise=inputs.noise), str(tmp_path)) == ["noise"]
    assert {path.name for path in tmp_path.iterdir()} == {"noise.png", "noise.pdf", "my own.pdf"}
    assert [name for name, _ in draw_figures(replace(empty, background=inputs.background))] == ["background"]


def test_populations_that_fit_no_page_have_files_of_their_own(
    inputs: ReportInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paper, "MOST_PANELS", 1)
    curve = (inputs.volumes or {})["35-35"]
    odd = replace(gather("nowhere", None), volumes={"my/prior $5": curve, "my prior $5": curve})
    names = [name for name, _ in draw_figures(odd)]
    assert names == ["sensitive_volume-my_prior_5", "sensitive_volume-my_prior_5_"]


def test_figures_go_to_remote_directories(inputs: ReportInputs) -> None:
    noise = replace(gather("nowhere", None), noise=inputs.noise)
    write_figures(noise, "memory://bucket/results/figures")
    assert storage.exists("memory://bucket/results/figures/noise.pdf")
    assert storage.exists("memory://bucket/results/figures/noise.png")


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to follow links with")
def test_links_of_the_report_lead_to_the_figures(written: Path, tmp_path: Path) -> None:
    assert CHROMIUM is not None
    names = sorted(path.stem for path in written.glob("*.png"))
    page = build_report(gather("nowhere", None), [f"figures/{name}" for name in names])
    probe = (
        '<script>document.title = [...document.querySelectorAll("#paper-figures a")].map(a => a.href).join()</script>'
    )
    path = written.parent / "report.html"
    path.write_text(page.replace("</body>", f"{probe}</body>"), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}", "--virtual-time-budget=2000"]
    command = [CHROMIUM, *flags, "--host-resolver-rules=MAP * ~NOTFOUND", "--dump-dom", path.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    title = re.search(r"<title>([^<]+)</title>", dom)
    assert title is not None
    links = [unquote(urlsplit(link).path) for link in title[1].split(",")]
    assert sorted(links) == sorted(map(str, written.iterdir()))
