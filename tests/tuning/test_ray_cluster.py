"""A study on a Ray cluster of this machine."""

import csv
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install 'aframe[ray]'")

from aframe.errors import ConfigurationError
from aframe.train import model
from aframe.tuning.outcome import run_study


def listening(port_of):
    """Addresses at which processes of this user listen, as /proc has them."""
    rows = Path(f"/proc/net/{port_of}").read_text().splitlines()[1:]
    return {row.split()[1] for row in rows if row.split()[3] == "0A"}


def test_ray_trains_the_trials_of_a_study_and_listens_on_this_machine_only(study, monkeypatch):
    from ray import tune as ray_tune

    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    before = listening("tcp") | listening("tcp6")
    during = set()
    original = ray_tune.Tuner.fit

    def fit(tuner):
        during.update(listening("tcp") | listening("tcp6"))
        return original(tuner)

    monkeypatch.setattr(ray_tune.Tuner, "fit", fit)
    path, run = study(trials=1, backend="ray")
    text = run_study(str(path), run, "")
    assert "Of 1 trials (1 to the end), trial 0 is the best" in text
    directory = Path(run.directories.train_run) / "study"
    model.load(str(directory / "model.pt"))
    with (directory / "trials.csv").open() as stream:
        [row] = csv.DictReader(stream)
    assert (row["epochs"], row["model.learning_rate"]) == ("2", "0.002")
    everywhere = {address for address in during - before if address.partition(":")[0].strip("0") == ""}
    assert during - before
    assert not everywhere


def test_an_address_without_a_cluster_is_an_error_of_one_line(study):
    path, run = study(trials=1, backend="ray", ray={"address": "127.0.0.1:9"})
    with pytest.raises(ConfigurationError, match=r"ray\.address = 127\.0\.0\.1:9: no cluster answers"):
        run_study(str(path), run, "")
