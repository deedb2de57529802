"""What a training leaves beside its model: an example batch, and what the last validation scored."""

from dataclasses import dataclass

from jaxtyping import Float

from aframe import storage
from aframe.events.significance import Background
from aframe.train.metrics import Validation, monthly_threshold
from aframe.types import Array

EXAMPLE_BATCH, VALIDATION = "example_batch.hdf5", "validation.hdf5"
"""Names of the files in the training's directory."""


@dataclass(frozen=True)
class ExampleBatch:
    """Windows that a network was trained with.

    Attributes:
        ifos: Detectors.
        sample_rate: Hz.
        windows: Whitened strain, shape (batch, ifos, time).
        labels: 1 for a signal, 0 for anything else, shape (batch,).
        is_noise: Whether there is no signal in any detector, shape (batch,).
    """

    ifos: tuple[str, ...]
    sample_rate: float
    windows: Float[Array, "batch ifos time"]
    labels: Float[Array, " batch"]
    is_noise: Array


@dataclass(frozen=True)
class Validated:
    """What the last validation scored.

    Attributes:
        statistic: Detection statistic of each signal, shape (signals,).
        snr: Network SNR of each.
        chirp_mass: Of each, detector frame, solar masses.
        background: Events of the time-slid background.
        threshold: Statistic at one false alarm a month; NaN where there is none.
        is_extrapolated: Whether that is the tail's model, as the background is too short to measure it.
    """

    statistic: Float[Array, " signals"]
    snr: Float[Array, " signals"]
    chirp_mass: Float[Array, " signals"]
    background: Background
    threshold: float
    is_extrapolated: bool


def write_example_batch(path: str, batch: ExampleBatch) -> None:
    """Write windows as ``windows``, with ``labels`` and ``is_noise`` beside them."""
    with storage.create_hdf5(path) as file:
        file.create_dataset("windows", data=batch.windows, compression="gzip", shuffle=True)
        file["windows"].attrs["unit"] = "standard deviations of whitened noise"
        file["labels"], file["is_noise"] = batch.labels, batch.is_noise
        file.attrs["ifos"], file.attrs["sample_rate"] = list(batch.ifos), batch.sample_rate


def read_example_batch(path: str) -> ExampleBatch:
    """Read what ``write_example_batch`` wrote."""
    with storage.open_hdf5(path) as file:
        ifos = tuple(str(ifo) for ifo in file.attrs["ifos"])
        names = ("windows", "labels", "is_noise")
        return ExampleBatch(ifos, float(file.attrs["sample_rate"]), *(file[name][:] for name in names))


def write_validation(path: str, validation: Validation) -> None:
    """Write a table of the signals (group ``signals``) and the background's events (``background``)."""
    threshold = monthly_threshold(validation.background)
    columns = {
        "detection_statistic": validation.statistics, "snr": validation.snr, "chirp_mass": validation.chirp_mass,
    }  # fmt: skip
    with storage.create_hdf5(path) as file:
        for name, column in columns.items():
            file[f"signals/{name}"] = column
        file["signals/chirp_mass"].attrs["unit"] = "M_sun"
        file["background/detection_statistic"] = validation.background.statistics
        file.attrs["Tb"] = validation.background.livetime
        file.attrs["threshold_at_one_per_month"] = threshold.statistic
        file.attrs["threshold_is_extrapolated"] = threshold.is_extrapolated


def read_validation(path: str) -> Validated:
    """Read what ``write_validation`` wrote."""
    with storage.open_hdf5(path) as file:
        statistic, snr, chirp_mass = (
            file[f"signals/{name}"][:] for name in ("detection_statistic", "snr", "chirp_mass")
        )
        background = Background(file["background/detection_statistic"][:], float(file.attrs["Tb"]))
        threshold = float(file.attrs["threshold_at_one_per_month"])
        is_extrapolated = bool(file.attrs["threshold_is_extrapolated"])
        return Validated(statistic, snr, chirp_mass, background, threshold, is_extrapolated)
