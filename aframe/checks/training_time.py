"""Check, before a run, that its training time is long enough to train with."""

from aframe.costs.amounts import network, training_numbers
from aframe.errors import AframeError
from aframe.runs.artifacts import Artifacts
from aframe.steps.strain import strain_source
from aframe.steps.training_data import training_inputs
from aframe.steps.training_yaml import yaml_mistakes
from aframe.strain.segments import analysable
from aframe.train.architectures import MatchedFilterNetwork
from aframe.train.data import split
from aframe.train.mining import check_steps


def check_training_time(run: Artifacts) -> None:
    """Refuse training time that cannot be trained with, if its times are known in advance.

    Raises:
        DataError: If the time does not suffice for training and validation, or its longest stretch for time slides.
    """
    data, path = run.config.data, run.training_yaml
    if (data.source == "gwosc" and data.segments is None) or yaml_mistakes(path):
        return
    try:
        segments = analysable(strain_source(run.config), *run.interval("train"))
    except AframeError:  # the check of the plans reports it
        return
    inputs, keys = training_inputs(run), training_numbers(run)
    sizes = [round(segment.duration * inputs.sample_rate) for segment in segments]
    parts, _ = split(sizes, keys["data.validation_fraction"], inputs)
    if run.needs_bank:
        try:
            built = network(run)
        except AframeError:  # the check of the training YAML reports it
            return
        lost = inputs.whitening.psd_size + inputs.whitening.after_size
        if isinstance(built, MatchedFilterNetwork):
            check_steps(built, built.steps(max(part.stop - part.start for part in parts) - lost))
