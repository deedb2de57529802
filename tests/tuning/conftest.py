from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from small_training import prepared, run

from aframe.runs.artifacts import Artifacts
from aframe.runs.directories import Directories
from aframe.settings.read import load_config

__all__ = ["prepared", "run"]

SPACE = {
    "model.learning_rate": {"log_uniform": [1e-4, 1e-2]},
    "model.architecture.init_args.kernels": {"choice": [[3, 3], [5, 3]]},
}

Written = tuple[Path, Artifacts]


@pytest.fixture
def study(prepared: Path, run: Callable[[str], Path], tmp_path: Path) -> Callable[..., Written]:
    """Writes a study of very short trainings on the prepared data; returns its YAML and the run."""
    run("train_run")

    def write(**keys: object) -> Written:
        base = yaml.safe_load((prepared / "train.yaml").read_text())
        base["trainer"]["max_epochs"], base["model"]["max_fpr"] = 2, 0.5
        base["data"] |= {"batches_per_epoch": 4, "validation_background": 2000, **keys.pop("data", {})}
        (tmp_path / "base.yaml").write_text(yaml.safe_dump(base, sort_keys=False))
        content = {"train": "base.yaml", "parameters": SPACE, "trials": 3, "metric": "valid_auroc"} | keys
        path = tmp_path / "tune.yaml"
        path.write_text(
            yaml.safe_dump({key: each for key, each in content.items() if each is not None}, sort_keys=False)
        )
        return path, Artifacts(load_config(str(prepared / "sandbox.cfg")), Directories.from_environment())

    return write
