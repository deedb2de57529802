"""Shipped models find signals in noise when they merge, and as loud as they should be, and real events."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from planted import HIGHPASS, IFOS, RATE, noise_with_signals
from scipy import signal
from shipped import BANK, MODEL

from aframe import cli
from aframe.strain.files import write_background
from aframe.tables import EventTable
from aframe.train import model
from aframe.types import Array

SEED, START = 7, 1_300_000_000.0
PSD_LENGTH, LENGTH = 64.0, 600.0  # s of strain before the first window, and that are searched
SNRS = np.array([8.0, 12.0, 20.0, 9.0, 14.0, 8.0, 16.0, 10.0, 18.0, 8.5, 11.0, 9.5])
TIMES = START + PSD_LENGTH + 30.0 + 48.0 * np.arange(len(SNRS)) + np.arange(len(SNRS)) / 16


@dataclass(frozen=True)
class Found:
    """What a search gives.

    Attributes:
        path: The strain's file.
        strain: Of each detector, signals included, double precision.
        events: All events.
        nearest: Row of the event that is nearest to each signal.
    """

    path: str
    strain: dict[str, Array]
    events: EventTable
    nearest: Array


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """Noise and signals, searched by ``aframe infer``."""
    directory = tmp_path_factory.mktemp("planted")
    strain = noise_with_signals(START, PSD_LENGTH + LENGTH, TIMES, SNRS, SEED)
    write_background(str(directory / "strain.hdf5"), strain, START, RATE)
    path = str(directory / "strain.hdf5")
    events = searched(MODEL, [path], directory)
    away = np.abs(events["detection_time"][:, None] - TIMES)
    return Found(path, strain, events, away.argmin(axis=0))


def searched(path: str, strain: list[str], directory: Path) -> EventTable:
    """Events that a model gives in files of strain."""
    output = str(directory / "events.hdf5")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        cli.main(["infer", "--model", path, "--precision", "float32", "--strain", *strain, "--output", output])
    return EventTable.read(output)


def whiten(strain: Array) -> Array:
    """Whitened from ``PSD_LENGTH`` on, in blocks of 64 s, each by the PSD of the 64 s before: scipy's, not ours."""
    second, block = round(RATE), round(PSD_LENGTH * RATE)
    pieces = []
    for low in range(block, len(strain) - second // 2, block):
        psd = signal.welch(strain[low - block : low], RATE, nperseg=second, average="median", detrend="constant")[1]
        wide = np.maximum(psd, np.maximum(np.append(psd[1:], 0), np.insert(psd[:-1], 0, 0)) / 2)
        inverse = np.where(np.arange(len(psd)) < HIGHPASS, 0.0, 1 / np.sqrt(wide * RATE / 2))
        taps = np.fft.fftshift(np.fft.irfft(inverse)) * signal.windows.hann(second, sym=False)
        part = strain[low - second // 2 : min(low + block, len(strain) - second // 2) + second // 2]
        pieces.append(signal.oaconvolve(part, taps, mode="full")[second : len(part)])
    return np.concatenate(pieces)


def averages(strain: dict[str, Array]) -> tuple[Array, Array]:
    """Averages over a second of what the network says of each window alone, and the time that each tells (GPS s)."""
    known = model.load(MODEL)
    made = known.preprocessing
    stream = np.stack([whiten(strain[ifo]) for ifo in IFOS]).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(stream, made.kernel_size, axis=-1)[:, :: made.stride_size]
    batches = np.array_split(windows.swapaxes(0, 1), windows.shape[1] // 256)
    with torch.no_grad():
        scores = np.concatenate([known.network.score(torch.tensor(batch)).numpy() for batch in batches])
    size = round(made.inference_sampling_rate)
    average = np.convolve(scores, np.full(size, 1 / size), "valid")
    middle = (np.arange(len(average)) + (size - 1) / 2) / made.inference_sampling_rate
    return average, START + PSD_LENGTH + middle + made.coalescence_offset


def test_each_signal_is_an_event_when_it_merges(found: Found) -> None:
    late = found.events["detection_time"][found.nearest] - TIMES
    assert (np.abs(late) < 0.15).all(), late  # the model's windows lie 0.125 s apart
    assert len(set(found.nearest.tolist())) == len(SNRS)


def test_signals_of_snr_10_and_more_are_louder_than_all_noise(found: Found) -> None:
    statistic = found.events["detection_statistic"]
    noise = np.delete(statistic, found.nearest).max()
    assert statistic[found.nearest][SNRS >= 10].min() > noise + 2
    assert (statistic[found.nearest] > noise).sum() >= len(SNRS) - 1


def test_the_statistic_is_what_the_network_says_of_the_windows_one_by_one(found: Found) -> None:
    average, time = averages(found.strain)
    for event in found.nearest:
        near = np.abs(time - found.events["detection_time"][event]) < 2
        assert found.events["detection_statistic"][event] == pytest.approx(average[near].max(), abs=1e-3)


def test_the_statistic_is_what_it_was_when_the_model_was_made(found: Found) -> None:
    known = [6.484, 6.657, 7.734, 4.370, 6.186, 0.773, 5.929, 5.979, 6.292, 3.834, 8.136, 6.530]
    assert found.events["detection_statistic"][found.nearest] == pytest.approx(known, rel=0.03, abs=0.05)


def test_the_bank_finds_each_signal_and_loud_ones_far_above_noise(found: Found, tmp_path: Path) -> None:
    """Of a heavy binary's |z|²/2, more is taken for what a glitch could be. So the order is not quite that of SNR."""
    events = searched(BANK, [found.path], tmp_path)
    away = np.abs(events["detection_time"][:, None] - TIMES)
    nearest = away.argmin(axis=0)
    assert (away.min(axis=0) < 0.1).all()
    statistic = events["detection_statistic"]
    noise = np.delete(statistic, nearest).max()
    assert (statistic[nearest][SNRS >= 9] > noise).all()
    assert (statistic[nearest] > noise).sum() >= len(SNRS) - 1
    assert (statistic[nearest][SNRS >= 14] > 10 + noise).all()
    assert np.corrcoef(statistic[nearest], SNRS)[0, 1] > 0.85


@pytest.mark.parametrize(
    ("files", "merger"),
    [
        ("[HL]-[HL]1_LOSC_4_V2-1126259446-32.hdf5", 1126259462.42),  # GW150914
        ("[HL]-[HL]1_LOSC_4_V2-1128678884-32.hdf5", 1128678900.44),  # GW151012
        ("[HL]-[HL]1_GWOSC_16KHZ_R1-1186741846-32.hdf5", 1186741861.53),  # GW170814, with a glitch of SNR 16 in L1
        ("[HL]-[HL]1_GWOSC_4KHZ_R1-1264316101-32.hdf5", 1264316116.43),  # GW200129
    ],
)
def test_real_events_are_the_loudest_of_their_strain(
    files: str, merger: float, data_directory: Path, tmp_path: Path
) -> None:
    events = searched(BANK, [str(path) for path in sorted((data_directory / "strain").glob(files))], tmp_path)
    loudest = events["detection_statistic"].argmax()
    assert events["detection_time"][loudest] == pytest.approx(merger, abs=0.1)
    assert np.sort(events["detection_statistic"])[-2] < 10  # the glitch's, or noise
    assert events["detection_statistic"][loudest] > 3.5
