"""What a plain bank of matched filters finds in the noise and among the injections of a run, beside the network."""

import csv
import io
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float

from aframe import storage
from aframe.errors import DataError
from aframe.events.significance import Background
from aframe.sensitivity.volume import volume_against_far
from aframe.sensitivity.weighing import WeighedDraws
from aframe.storage.files import Parameters
from aframe.tables import RecoveredTable, Table
from aframe.types import Array

MONTHLY_RATES = (12.0, 120.0, 1200.0)
"""One, ten and a hundred false alarms a month, events per Julian year."""

CLOSE = 1.2
"""Ratio below which two false alarm rates are not both shown."""


class LimitTable(Table):
    """The plain bank and the network at some false alarm rates.

    Columns of shape (rates,): ``far_per_year``, ``snr_threshold`` (SNR of the plain bank), ``share_louder`` (share of
    the injections with at least that SNR) and ``found_bank`` (share that the plain bank finds). Columns of shape
    (rates, populations): ``volume_bank_gpc3`` and ``volume_bank_error``. If the network has been searched with,
    there are ``found_network``, ``volume_network_gpc3`` and ``volume_network_error`` as well, and the ratios of network
    and bank with their errors: ``found_ratio``, ``found_ratio_error``, ``volume_ratio`` and ``volume_ratio_error``.
    Attributes: ``populations``, ``num_templates`` and ``num_accepted``, the number of injections.
    """

    required_columns: ClassVar[tuple[str, ...]] = (
        "far_per_year", "snr_threshold", "share_louder", "found_bank", "volume_bank_gpc3", "volume_bank_error",
    )  # fmt: skip
    required_attributes: ClassVar[tuple[str, ...]] = ("populations", "num_templates", "num_accepted")

    @property
    def has_network(self) -> bool:
        """Whether the table compares the bank with a network."""
        return "found_network" in self.parameters

    @property
    def monthly(self) -> int:
        """Row of one false alarm a month, or of the lowest rate above it."""
        return int(np.argmax(self["far_per_year"] * CLOSE > MONTHLY_RATES[0]))


@dataclass(frozen=True, eq=False)
class Searched:
    """What a search leaves of noise and injections.

    Attributes:
        background: Events of time slides.
        injections: Injections and the events that recovered them.
        draws: Weights of all draws.
        livetime: Live time of unshifted data, s.
    """

    background: Background
    injections: RecoveredTable
    draws: WeighedDraws
    livetime: float

    def found(self, far_per_year: Float[Array, " rates"]) -> Bool[Array, "rates injections"]:
        """Whether each injection is found at each false alarm rate (events per Julian year)."""
        return self.draws.statistic >= self.background.threshold_at_far(far_per_year)[:, None]

    def volumes(self, far_per_year: Float[Array, " rates"]) -> tuple[Array, Array]:
        """Volumes and their standard errors in Gpc³, shape (rates, populations), at rates per Julian year."""
        curves = volume_against_far(self.draws, self.background, far_per_year, self.livetime).values()
        volumes = np.stack([curve.volume_gpc3 for curve in curves], axis=1)
        return volumes, np.stack([curve.standard_error for curve in curves], axis=1)


def compare(
    bank: Searched, network: Searched | None, far_per_year: Float[Array, " rates"], num_templates: int
) -> LimitTable:
    """Compare the plain bank with the network at some false alarm rates.

    Args:
        bank: Search with the plain bank. Its statistic is half the squared SNR.
        network: Search with the network, of the same injections; None without one.
        far_per_year: False alarm rates that both backgrounds can measure, events per Julian year, shape (rates,).
        num_templates: Number of templates of the bank.

    Raises:
        DataError: If the injections of the searches differ.
        ConfigurationError: If a background cannot measure a rate.
    """
    snr = np.sqrt(2 * np.maximum(bank.background.threshold_at_far(far_per_year), 0.0))
    found, (volumes, errors) = bank.found(far_per_year), bank.volumes(far_per_year)
    columns = {
        "far_per_year": far_per_year,
        "snr_threshold": snr,
        "share_louder": (bank.injections["snr"] >= snr[:, None]).mean(axis=1),
        "found_bank": found.mean(axis=1),
        "volume_bank_gpc3": volumes,
        "volume_bank_error": errors,
    }
    if network is not None:
        columns |= _beside(network, bank, found, far_per_year)
    names = list(bank.draws.targets)
    attributes = {"populations": names, "num_templates": num_templates, "num_accepted": len(bank.injections)}
    return LimitTable(columns, attributes=attributes)


def _beside(network: Searched, bank: Searched, found: Array, far_per_year: Array) -> dict[str, Array]:
    """Columns of the network, and ratios of network and bank."""
    time, time_of_bank = (search.injections["injection_time"] for search in (network, bank))
    if not np.array_equal(time, time_of_bank):
        raise DataError(
            f"the {len(time)} injections of the network's search are not the {len(time_of_bank)} of the plain bank's: "
            "delete the results of the older search, and run it again"
        )
    found_by_network = network.found(far_per_year)
    volumes, errors = network.volumes(far_per_year)
    weights = [np.ones(found.shape[1]), *(target.weight for target in bank.draws.targets.values())]
    ratios = [ratio(weight, found_by_network, found) for weight in weights]
    return {
        "found_network": found_by_network.mean(axis=1),
        "found_ratio": ratios[0][0],
        "found_ratio_error": ratios[0][1],
        "volume_network_gpc3": volumes,
        "volume_network_error": errors,
        "volume_ratio": np.stack([value for value, _ in ratios[1:]], axis=1),
        "volume_ratio_error": np.stack([error for _, error in ratios[1:]], axis=1),
    }


def ratio(
    weight: Float[Array, " injections"],
    found: Bool[Array, "rates injections"],
    found_by_other: Bool[Array, "rates injections"],
) -> tuple[Float[Array, " rates"], Float[Array, " rates"]]:
    """Ratio of what two searches find of the same injections, and its standard error.

    With A = Σ w f and B = Σ w g, where f and g are 1 for found injections, the ratio is r = A / B and
    var(r) = r² Σ w² (f / A − g / B)² (delta method). Injections that both find add little, as both searches have them.

    Args:
        weight: Weight of each injection.
        found: Whether the one search finds each injection.
        found_by_other: Whether the other does.

    Returns:
        Ratios and errors. They are not numbers where a search finds nothing.
    """
    ours, theirs = found @ weight, found_by_other @ weight
    with np.errstate(divide="ignore", invalid="ignore"):
        value = ours / theirs
        difference = found / ours[:, None] - found_by_other / theirs[:, None]
        return value, value * np.sqrt(difference**2 @ weight**2)


def rates_to_compare(lowest: float, rates: list[float]) -> Float[Array, " rates"]:
    """Rates of a table: one, ten and a hundred false alarms a month, and a run's own, as far as they can be measured.

    Args:
        lowest: Lowest rate that all backgrounds measure, events per Julian year.
        rates: The run's own rates, events per Julian year.

    >>> rates_to_compare(5.0, [4.9, 365.25]).tolist()
    [5.0, 12.0, 120.0, 365.25, 1200.0]
    """
    chosen: list[float] = []
    for rate in sorted(max(rate, lowest) for rate in (*rates, *MONTHLY_RATES)):
        if not chosen or rate > CLOSE * chosen[-1]:
            chosen.append(rate)
    return np.array(chosen)


def write_limit(table: LimitTable, directory: str, made_with: Parameters | None = None) -> None:
    """Write ``limit.csv``, then ``limit.hdf5``. Each file appears only when complete.

    Args:
        table: The table.
        directory: Local or s3 directory.
        made_with: Parameters of the table.
    """
    storage.write_text(storage.join(directory, "limit.csv"), to_csv(table))
    table.write(storage.join(directory, "limit.hdf5"), made_with)


def to_csv(table: LimitTable) -> str:
    """Format a table as comma-separated values with a header. Columns of volumes end with the population's name."""
    fields: dict[str, Array] = {}
    for name, column in table.parameters.items():
        if column.ndim == 1:
            fields[name] = column
        else:
            names = table.attributes["populations"]
            fields |= {f"{name}_{each}": values for each, values in zip(names, column.T, strict=True)}
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(fields)
    for row in zip(*fields.values(), strict=True):
        writer.writerow(["" if np.isnan(value) else f"{value:.6g}" for value in row])
    return stream.getvalue()
