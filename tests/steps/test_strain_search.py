"""What a search of strain refuses before it begins."""

from pathlib import Path

import numpy as np
import pytest
from live_strain import live_model

from aframe.errors import ConfigurationError
from aframe.preprocessing import MINIMUM_PHASE, PHASES, ZERO_PHASE
from aframe.settings.sections import Search
from aframe.steps.online import _check_keys
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


def test_a_runs_model_of_other_settings_than_its_own_is_not_searched_with() -> None:
    def settings(**changes: object) -> Search:
        values = {
            "ifos": ("H1", "L1"), "sample_rate": 256.0, "kernel_length": 1.0, "psd_length": 4.0, "fftlength": 1.0,
            "fduration": 1.0, "block_length": 4.0, "highpass": 20.0, "lowpass": None, "inference_sampling_rate": 4.0,
            "whitening_phase": ZERO_PHASE, "seed": 1,
        }  # fmt: skip
        return Search(**(values | changes))

    zero, minimum = live_model(), live_model(phase=MINIMUM_PHASE)
    _check_keys("model.pt", None, minimum)
    _check_keys("model.pt", settings(seed=2), zero)
    _check_keys("model.pt", settings(whitening_phase=MINIMUM_PHASE), minimum)
    with pytest.raises(ConfigurationError, match=r"trained with whitening_phase = zero, but .* now says minimum"):
        _check_keys("model.pt", settings(whitening_phase=MINIMUM_PHASE), zero)
    with pytest.raises(ConfigurationError, match=r"trained with ifos = H1, L1, but .* now says H1, V1: restore"):
        _check_keys("model.pt", settings(ifos=("H1", "V1")), zero)
    with pytest.raises(ConfigurationError, match=r"trained with highpass = 20\.0, but"):
        _check_keys("model.pt", settings(highpass=30.0), zero)
