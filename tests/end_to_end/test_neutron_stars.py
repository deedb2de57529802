"""The search for neutron stars, whole and small: templates of a minute, in slices."""

from pathlib import Path

import numpy as np
from terminal import aframe, environment_of, run_in

from aframe import cli, storage
from aframe.bank.slices import SlicedTemplates
from aframe.bank.template_bank import TemplateBank
from aframe.tables import RecoveredTable
from aframe.train.architectures import MatchedFilterNetwork
from aframe.train.model import load

CHANGES = ("search.sample_rate=512", "data.source=simulated", "data.asd=aLIGO_O4_high_asd.txt",
           "data.train_start=1262304000", "data.train_stop=1262305280", "data.test_stop=1262305920",
           "data.max_duration=640", "bank.size=64", "bank.minimum_match=0.8", "waveforms.num_training_waveforms=64",
           "waveforms.num_validation_waveforms=16", "injections.num_injections=12", "injections.snr_threshold=12",
           "inference.Tb=1500", "inference.shifts=0, 8", "train.trainer.max_epochs=1", "train.data.mined_signals=64",
           "train.data.mined_slides=4", "train.data.mined_noise=200", "train.data.validation_background=500",
           "train.data.batches_per_epoch=10", "train.model.architecture.init_args.groups=8")  # fmt: skip


def test_a_whole_run_finds_neutron_stars_in_slices_of_templates(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    cli.main(["init", str(directory), "--config", "bns", *[word for each in CHANGES for word in ("--set", each)]])
    done = aframe("run", str(directory), variables=environment_of(directory))
    assert done.returncode == 0, done.stderr
    run = run_in(directory)
    assert isinstance(TemplateBank.read(run.bank).templates, SlicedTemplates)
    network = load(run.model).network
    assert isinstance(network, MatchedFilterNetwork)
    assert len(network.slices) == 3
    table = RecoveredTable.read(run.clean("foreground"))
    loud = table["snr"] > 16
    assert loud.sum() > 1
    found = np.abs(table["detection_time"] - table["injection_time"]) < 0.3
    assert found[loud].mean() > 0.7
    assert not storage.exists(run.served_model)
    assert storage.exists(run.result("report.html"))
