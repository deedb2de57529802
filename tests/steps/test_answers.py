import csv
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_run import run_with_populations, write_events

from aframe.candidates.table import CandidateTable
from aframe.checks.run import mistakes_of
from aframe.errors import ConfigurationError
from aframe.inference.closeup_files import read_closeups
from aframe.report.gather import gather
from aframe.sensitivity.volume import ALL_DRAWS, read_efficiencies, read_volumes
from aframe.steps.answers import build_report, estimate_sensitivity, run_signals
from aframe.steps.devices import use_one_gpu
from aframe.steps.templates import with_candidates_templates
from aframe.tables import EventTable, RecoveredTable, Table


def test_without_a_gpu_the_cpu_computes_and_says_so(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert use_one_gpu("") == "cpu"
    assert capsys.readouterr().err == ""
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    assert [use_one_gpu("3,1"), use_one_gpu("3,1")] == ["cpu", "cpu"]
    assert "there is no GPU 3 here" in capsys.readouterr().err
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"


def test_volumes_of_pairs_and_of_populations_by_python_path(tmp_path, capsys):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "my_populations.py").write_text(
        "from aframe.waveforms.priors import demo_bbh, log_normal_bbh\n"
        "def alike():\n    return log_normal_bbh(35.0, 20.0, 0.1, 1.0)\n"
        "def light():\n    return log_normal_bbh(9.0, 5.0, 0.3, 1.0)\n"
    )
    run = run_with_populations(tmp_path / "run", "my_populations.alike, my_populations.light")
    write_events(run)
    estimate_sensitivity(run)
    warnings = capsys.readouterr().err.splitlines()
    assert "has no strain any more" in warnings[0]
    assert "% of the population light lies inside the injections' prior" in warnings[1]
    assert "fewer than 100 effective injections" in warnings[2]
    assert all(line.startswith("warning: ") for line in warnings)
    curves = read_volumes(run.plot("sensitive_volume.h5"))
    assert list(curves) == ["35-35", "35-20", "20-20", "20-10", "alike", "light"]
    np.testing.assert_allclose(curves["alike"].volume_gpc3, curves["35-20"].volume_gpc3, rtol=1e-6)
    assert [name for name, curve in curves.items() if not curve.scope.is_covered] == ["light"]
    assert curves["light"].scope.livetime == 5e4
    share = read_efficiencies(run.plot("sensitive_volume.h5"))[ALL_DRAWS]["luminosity_distance"]
    assert share.edges[-1] == pytest.approx(4000, rel=0.05)
    assert gather(run.directories.results, None).efficiencies is not None
    assert "light" in Path(run.plot("sensitive_volume.html")).read_text()
    assert not Path(run.result("injection_templates.hdf5")).exists()
    assert read_closeups(run.result("closeups.hdf5")) == {}  # neither a model nor strain exists
    table = CandidateTable.read(run.result("candidates.hdf5"))
    assert table["p_astro"].max() > 0
    np.testing.assert_array_equal(table["p_bbh"], table["p_astro"])  # the injections are black holes alone
    assert not table["p_bns"].any()
    rows = list(csv.DictReader(Path(run.result("candidates.csv")).read_text().splitlines()))
    assert [row["p_bbh"] for row in rows] == [row["p_astro"] for row in rows]


def test_templates_of_events_and_injections_are_read_again(tmp_path):
    """An online search splits p_astro with what the run measured."""
    run = run_with_populations(tmp_path, "aframe.waveforms.priors.demo_bbh")
    write_events(run)
    plain = run_signals(run)
    assert plain is not None
    assert plain.sources.signals.mass_error is None
    estimate_sensitivity(run)
    recovered, path = RecoveredTable.read(run.events("foreground")), run.result("candidates.hdf5")
    known = recovered.rows(np.arange(40))
    known.parameters["injection_time"] = np.arange(40.0)  # the toy's are all 0
    recovered.parameters["injection_time"] = np.arange(float(len(recovered)))
    recovered.write(run.events("foreground"), run.event_parameters)
    columns = {name: known[name] for name in ("injection_time", "shift")}
    Table(columns | {"template_chirp_mass": 1.1 * known["chirp_mass"]}).write(run.result("injection_templates.hdf5"))
    ranked = CandidateTable.read(path)
    masses = np.full(len(ranked), np.nan)
    masses[0] = 30.0
    ranked.parameters |= {"template_mass_1": masses, "template_mass_2": masses}
    ranked.write(path)
    signals = run_signals(run)
    assert signals is not None
    error = signals.sources.signals.mass_error
    assert error is not None
    np.testing.assert_allclose(error.error, np.log(1.1))
    events = with_candidates_templates(run, EventTable.read(run.events("0lag")))
    assert np.isfinite(events["template_mass_1"]).sum() == 1
    assert events["template_mass_1"][events["detection_statistic"].argmax()] == 30.0


def test_a_population_that_cannot_be_weighed_is_refused_before_any_work(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "fixed_populations.py").write_text(
        "from bilby.core.prior import DeltaFunction\nfrom aframe.waveforms.priors import Population, demo_bbh\n"
        "def slow():\n    prior = demo_bbh().prior\n    prior['a_1'] = DeltaFunction(0.0)\n"
        "    return Population(prior, False)\n"
    )
    with pytest.raises(ConfigurationError, match=r"population slow cannot be weighed .* a_1 has one value"):
        raise mistakes_of(run_with_populations(tmp_path / "run", "fixed_populations.slow"))[0]


def test_the_report_shows_parameters_with_their_units(tmp_path):
    run = run_with_populations(tmp_path, "aframe.waveforms.priors.demo_bbh")
    write_events(run)
    build_report(run)
    assert ">1024.0 Hz</td>" in Path(run.result("report.html")).read_text()
