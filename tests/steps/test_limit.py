import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from small_training import set_environment, write_small_run
from terminal import aframe_here, run_in

from aframe import cli, storage
from aframe.events.recover import SHIFT_RESOLUTION
from aframe.runs.artifacts import Artifacts
from aframe.runs.plain_bank import PlainBankSearch
from aframe.sensitivity.limit import LimitTable
from aframe.sensitivity.volume import read_volumes
from aframe.steps import limit as steps
from aframe.tables import EventTable, RecoveredTable

CHANGES = {
    "data.test_stop": "1262304768", "inference.Tb": "1200", "inference.background_per_job": "700",
    "injections.num_injections": "8", "sensitivity.mass_combos": "35-35",
}  # fmt: skip

BANK = "\n[luigi_bank]\nsize = 32\ntemplate_length = 1\nafter = 0.125\n"


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run with strain and injections, and without a network."""
    directory = write_small_run(tmp_path_factory.mktemp("limit") / "run", CHANGES)
    with pytest.MonkeyPatch.context() as patch:
        (directory / "sandbox.cfg").write_text((directory / "sandbox.cfg").read_text() + BANK)
        set_environment(patch, directory)
        for name in ("aframe.waveforms.source.PROBES", "aframe.steps.bank.MATCHED_SIGNALS"):
            patch.setattr(name, 32)
        patch.setattr("aframe.bank.placement.DRAWS_AT_ONCE", 32)
        cli.main(["data"])
        refused = aframe_here("limit", str(directory))
        assert refused.returncode == 1
        assert refused.stderr == (
            f"error: {directory}/test_data/waveforms.hdf5 does not exist: make the run's injections first, with "
            "`aframe run`\n"
        )
        cli.main(["waveforms", "--stage", "test"])
        yield directory


@pytest.fixture(scope="module")
def measured(searched: Path) -> tuple[Artifacts, str]:
    """That run with the plain bank's results, and what the command printed."""
    result = aframe_here("limit", str(searched))
    assert result.returncode == 0, result.stderr
    return run_in(searched), result.stdout


def test_loud_injections_are_those_that_the_bank_finds(measured: tuple[Artifacts, str]) -> None:
    run, _ = measured
    search = PlainBankSearch.of(run)
    found = RecoveredTable.read(search.events("foreground"))
    loud = found["snr"] > 12
    assert loud.any()
    ratio = np.sqrt(2 * found["detection_statistic"][loud]) / found["snr"][loud]
    assert ((ratio > 0.6) & (ratio < 1.3)).all()  # noise adds, and so small a bank loses a third
    np.testing.assert_allclose(found["detection_time"][loud], found["injection_time"][loud], atol=0.25)
    background = EventTable.read(search.events("background"))
    assert background.livetime >= 1200
    assert (np.abs(background["shift"][:, 0] - background["shift"][:, 1]) > SHIFT_RESOLUTION).all()


def test_the_bank_alone_is_told_where_no_network_has_scores(measured: tuple[Artifacts, str]) -> None:
    run, printed = measured
    table = LimitTable.read(run.result("limit/limit.hdf5"))
    assert not table.has_network
    assert list(table.attributes["populations"]) == ["35-35"]
    assert (table.attributes["num_templates"], table.attributes["num_accepted"]) == (32, 8)
    assert "A plain bank of 32 matched filters finds" in printed
    assert "the run's network has no scores yet" in printed
    assert read_volumes(run.result("limit/plots/sensitive_volume.h5")).keys() == {"35-35"}
    assert storage.exists(run.result("limit/limit.csv"))


def test_what_is_scored_is_not_scored_again(measured: tuple[Artifacts, str], monkeypatch: pytest.MonkeyPatch) -> None:
    run, _ = measured
    before = EventTable.read(PlainBankSearch.of(run).events("background"))
    units, scored = sorted(Path(run.result("limit/units")).glob("background-*")), []
    assert len(units) >= 2
    real = steps.score_unit
    monkeypatch.setattr(steps, "score_unit", lambda *args, **keys: (scored.append(args[1]), real(*args, **keys)))
    steps.measure_limit(run, "cpu")
    assert scored == []
    units[0].unlink()
    Path(PlainBankSearch.of(run).events("background")).unlink()
    steps.measure_limit(run, "cpu")
    assert len(scored) == 1
    after = EventTable.read(PlainBankSearch.of(run).events("background"))
    np.testing.assert_allclose(after["detection_statistic"], before["detection_statistic"], rtol=1e-5)


def test_a_network_that_ranks_as_the_bank_finds_as_much(measured: tuple[Artifacts, str]) -> None:
    run, _ = measured
    for kind in ("background", "foreground", "0lag"):
        shutil.copy(PlainBankSearch.of(run).events(kind), run.events(kind))
    table = steps.measure_limit(run, "cpu")
    assert table.has_network
    np.testing.assert_array_equal(table["found_network"], table["found_bank"])
    np.testing.assert_array_equal(table["volume_network_gpc3"], table["volume_bank_gpc3"])
    for kind in ("background", "foreground", "0lag"):
        storage.remove(run.events(kind))


def test_results_of_another_bank_are_refused(searched: Path, measured: tuple[Artifacts, str]) -> None:
    configuration = searched / "sandbox.cfg"
    text = configuration.read_text()
    configuration.write_text(text.replace("minimum_match", "# minimum_match").replace("size = 32", "size = 31"))
    bank = Path(measured[0].bank)
    kept = bank.rename(bank.with_suffix(".kept"))
    try:
        refused = aframe_here("limit", str(searched))
    finally:
        configuration.write_text(text)
        kept.rename(bank)
    assert refused.returncode == 1
    assert "results/limit/model.pt was made with bank.size = 32" in refused.stderr
