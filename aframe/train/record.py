"""Records of a training beside its model: an example batch, and the results of the last validation."""

from dataclasses import dataclass

from jaxtyping import Bool, Float

from aframe import storage
from aframe.events.significance import Background
from aframe.train.metrics import Validation, monthly_threshold
from aframe.types import Array

EXAMPLE_BATCH, VALIDATION = "example_batch.hdf5", "validation.hdf5"
"""Names of the files in the training's directory."""


@dataclass(frozen=True)
class ExampleBatch:
    """Windows from the training of a network.

    Attributes:
        ifos: Detectors.
        sample_rate: Sample rate, Hz.
        windows: Whitened strain, in standard deviations of the noise.
        labels: 1 for a signal, 0 for all other windows.
        is_noise: Whether no detector sees a signal.
    """

    ifos: tuple[str, ...]
    sample_rate: float
    windows: Float[Array, "batch ifos time"]
    labels: Float[Array, " batch"]
    is_noise: Bool[Array, " batch"]


@dataclass(frozen=True)
class LastValidation:
    """Results of the last validation.

    Attributes:
        statistic: Detection statistic of each signal.
        snr: Network SNR of each signal.
        chirp_mass: Detector-frame chirp mass of each signal, solar masses.
        background: Events of the time-slid background.
        threshold: Statistic at one false alarm a month; NaN if there is none.
        is_extrapolated: Whether the threshold is extrapolated, as the background is too short to measure it.
    """

    statistic: Float[Array, " signals"]
    snr: Float[Array, " signals"]
    chirp_mass: Float[Array, " signals"]
    background: Background
    threshold: float
    is_extrapolated: bool


def write_example_batch(path: str, batch: ExampleBatch) -> None:
    """Write an example batch: datasets ``windows``, ``labels`` and ``is_noise``.

    Args:
        path: Local or s3 path.
        batch: The batch.
    """
    with storage.create_hdf5(path) as file:
        file.create_dataset("windows", data=batch.windows, compression="gzip", shuffle=True)
        file["windows"].attrs["unit"] = "standard deviations of whitened noise"
        file["labels"], file["is_noise"] = batch.labels, batch.is_noise
        file.attrs["ifos"], file.attrs["sample_rate"] = list(batch.ifos), batch.sample_rate


def read_example_batch(path: str) -> ExampleBatch:
    """Read an example batch that ``write_example_batch`` wrote."""
    with storage.open_hdf5(path) as file:
        ifos = tuple(str(ifo) for ifo in file.attrs["ifos"])
        names = ("windows", "labels", "is_noise")
        return ExampleBatch(ifos, float(file.attrs["sample_rate"]), *(file[name][:] for name in names))


def write_validation(path: str, validation: Validation) -> None:
    """Write a table of the signals (group ``signals``) and one of the background's events (``background``).

    Args:
        path: Local or s3 path.
        validation: The last validation.
    """
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


def read_validation(path: str) -> LastValidation:
    """Read a validation that ``write_validation`` wrote."""
    with storage.open_hdf5(path) as file:
        statistic, snr, chirp_mass = (
            file[f"signals/{name}"][:] for name in ("detection_statistic", "snr", "chirp_mass")
        )
        background = Background(file["background/detection_statistic"][:], float(file.attrs["Tb"]))
        threshold = float(file.attrs["threshold_at_one_per_month"])
        is_extrapolated = bool(file.attrs["threshold_is_extrapolated"])
        return LastValidation(statistic, snr, chirp_mass, background, threshold, is_extrapolated)
