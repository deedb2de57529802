"""What a search of strain refuses before it begins."""

from pathlib import Path

import numpy as np
import pytest
from live_strain import live_model

from aframe.errors import ConfigurationError
from aframe.preprocessing import MINIMUM_PHASE, PHASES, ZERO_PHASE
from aframe.steps.online import _check_phase
from aframe.steps.strain_search import SearchChoices, StrainSearch
from aframe.tables import EventTable
from aframe.train.model import save


def record_of(phase: str) -> dict[str, object]:
    """What outputs of a run record. They leave the phase out while it is zero."""
    return {"search.seed": 1} | ({} if phase == ZERO_PHASE else {"search.whitening_phase": phase})


def write_background(path: Path, phase: str) -> str:
    columns = {"detection_statistic": np.zeros(1), "detection_time": np.zeros(1), "shift": np.zeros((1, 2))}
    EventTable(columns, attributes={"Tb": 1.0}).write(str(path), record_of(phase))
    return str(path)


@pytest.mark.parametrize("of_background", PHASES)
@pytest.mark.parametrize("of_model", PHASES)
def test_a_background_of_another_phase_is_refused(tmp_path: Path, of_model: str, of_background: str) -> None:
    model, background = str(tmp_path / "model.pt"), write_background(tmp_path / "background.hdf5", of_background)
    save(live_model(phase=of_model), model, record_of(of_model))
    choices = SearchChoices(model, background)
    if of_model == of_background:
        assert StrainSearch.prepare(choices, "cpu").background is not None
        return
    with pytest.raises(ConfigurationError, match=rf"whitening_phase = '{of_background}', this one has\s+'{of_model}'"):
        StrainSearch.prepare(choices, "cpu")


def test_a_runs_model_of_another_phase_than_its_settings_is_not_searched_with() -> None:
    zero, minimum = live_model(), live_model(phase=MINIMUM_PHASE)
    for phase, model in (("", minimum), (ZERO_PHASE, zero), (MINIMUM_PHASE, minimum)):
        _check_phase("model.pt", phase, model)
    with pytest.raises(ConfigurationError, match=r"trained with whitening_phase = zero, but .* now says minimum"):
        _check_phase("model.pt", MINIMUM_PHASE, zero)
