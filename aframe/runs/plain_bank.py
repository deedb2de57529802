"""The search of a run's strain with a plain bank of templates: a run of its own among the run's results."""

from dataclasses import dataclass, replace
from typing import Any

from aframe.runs.artifacts import Artifacts

SEARCHED_LENGTH = 0.5
"""Time within a window at which a template may begin, s, unless two strides are longer."""


@dataclass(frozen=True)
class PlainBankSearch(Artifacts):
    """Files and parameters of a search with the plain bank. Strain, slides and injections are those of another run."""

    @classmethod
    def of(cls, run: Artifacts) -> "PlainBankSearch":
        """Search the strain of a run.

        A window is longer than a template, whatever the window of the run's network. The statistic is the score of one
        window, because a matched filter is loud for some milliseconds only.

        Args:
            run: The run.
        """
        config, directory = run.config, run.result("limit")
        stride = 1 / config.search.inference_sampling_rate
        search = replace(config.search, kernel_length=config.bank.template_length + max(SEARCHED_LENGTH, 2 * stride))
        inference = replace(
            config.inference,
            integration_window_length=stride,
            engine="torch",
            precision="float32",
            return_timeseries=False,
            embeddings_cache=0.0,
        )
        directories = replace(run.directories, train_run=directory, results=directory)
        return cls(replace(config, search=search, inference=inference), directories)

    @property
    def model_parameters(self) -> dict[str, Any]:
        """Parameters of the plain bank: those of its templates."""
        return self.bank_parameters
