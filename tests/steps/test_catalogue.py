from importlib import resources
from pathlib import Path

import pytest

from aframe.errors import DataError
from aframe.settings.read import load_config
from aframe.settings.sections import Config
from aframe.steps.catalogue import own_catalogue


def configuration(directory: Path, keys: str = "") -> Config:
    """The demo's configuration with more keys."""
    text = (resources.files("aframe") / "pipelines" / "sandbox" / "demo.cfg").read_text(encoding="utf-8")
    (directory / "run.cfg").write_text(text + keys)
    load_config.cache_clear()
    return load_config(str(directory / "run.cfg"))


def test_the_catalogue_is_of_the_time_of_the_data(tmp_path: Path) -> None:
    config = configuration(tmp_path, "\n[luigi_candidates]\ncatalogue = own.csv\n")
    (tmp_path / "own.csv").write_text("name,gps\nGW1,1262304300.5\n")
    catalogue = own_catalogue(config)
    assert catalogue is not None
    assert (catalogue.names.tolist(), catalogue.times.tolist()) == (["GW1"], [1262304300.5])
    (tmp_path / "own.csv").write_text("name,gps\nGW1,1578268882\n")
    with pytest.raises(DataError, match=r"^catalogue = own\.csv has the time 1578268882, .* seems to be in UNIX time"):
        own_catalogue(config)


def test_without_a_catalogue_there_is_none(tmp_path: Path) -> None:
    assert own_catalogue(configuration(tmp_path)) is None
