import csv
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from aframe.errors import ConfigurationError, ParameterMismatchError
from aframe.train import cli, model


def rows(path):
    with path.open() as stream:
        return list(csv.DictReader(stream))


def kill_after_first_epoch(yaml, directory):
    """Start training in a process of its own and kill it, without warning, once it has a checkpoint."""
    command = [sys.executable, "-m", "aframe.cli", "train", "fit", "--config", yaml]
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}  # sums depend on it in the last bit
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment) as process:
        while not (directory / "checkpoints" / "last.ckpt").exists():
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)


def test_a_training_that_was_killed_continues_as_if_it_had_not_been(prepared, run):
    yaml = str(prepared / "train.yaml")
    whole = run("whole")
    cli.main(["fit", "--config", yaml])
    killed = run("killed")
    kill_after_first_epoch(yaml, killed)
    assert not (killed / "model.pt").exists()
    cli.main(["fit", "--config", yaml])
    expected, found = (model.load(str(d / "model.pt")) for d in (whole, killed))
    assert expected.preprocessing == found.preprocessing
    for name, tensor in expected.network.state_dict().items():
        assert torch.equal(found.network.state_dict()[name], tensor), name
    table = rows(whole / "metrics.csv")
    assert rows(killed / "metrics.csv") == table
    assert [row["epoch"] for row in table] == ["0", "1", "2", "3"]
    assert [row["step"] for row in table] == ["12", "24", "36", "48"]
    assert {"epoch", "step", "learning_rate", "train_loss", "valid_auroc", "valid_efficiency"} <= set(table[0])
    assert all(float(row["train_loss"]) > 0 for row in table)
    assert 0.4 < float(table[-1]["valid_auroc"]) <= 1
    assert float(table[-1]["learning_rate"]) < 0.01 * max(float(row["learning_rate"]) for row in table)

    # complete: training again changes nothing; other parameters are refused
    before = (whole / "model.pt").read_bytes()
    run("whole")
    cli.main(["fit", "--config", yaml])
    assert model.load(str(whole / "model.pt")).network.state_dict().keys() == expected.network.state_dict().keys()
    assert rows(whole / "metrics.csv") == table
    assert len((whole / "model.pt").read_bytes()) == len(before)
    other = prepared / "other.yaml"
    other.write_text((prepared / "train.yaml").read_text().replace("weight_decay: 0.02", "weight_decay: 0.03"))
    with pytest.raises(ParameterMismatchError, match=r"train\.model\.weight_decay = 0\.02"):
        cli.main(["fit", "--config", str(other)])


def test_an_unknown_key_is_an_error(prepared, run, capsys):
    run("unknown")
    path = prepared / "unknown.yaml"
    path.write_text((prepared / "train.yaml").read_text().replace("batch_size:", "batchsize:"))
    with pytest.raises(SystemExit):
        cli.main(["fit", "--config", str(path)])
    assert "batchsize" in capsys.readouterr().err


def test_a_training_without_yaml_is_an_error(run):
    run("none")
    with pytest.raises(ConfigurationError, match="needs --config FILE"):
        cli.main(["fit"])
