"""The artifacts of a whole run, made by a toy search whose statistic is the SNR in Gaussian noise."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from aframe import storage
from aframe.bank.template_bank import TemplateBank
from aframe.candidates.rank import loudest_closeups
from aframe.candidates.removal import Removal
from aframe.candidates.table import candidates, write_candidates
from aframe.constants import SECONDS_PER_YEAR
from aframe.events.cluster import Clustering
from aframe.events.significance import Background
from aframe.inference.closeup_files import write_closeups
from aframe.preprocessing import Preprocessing, Whitening
from aframe.sensitivity.limit import Searched, compare, write_limit
from aframe.sensitivity.volume import default_far_grid, efficiencies, volume_against_far, write_volumes
from aframe.sensitivity.weighing import Draws, WeighedDraws, weigh
from aframe.sensitivity.weights import mass_targets
from aframe.strain.files import background_path, write_background
from aframe.strain.segments import Segment, write_segments
from aframe.tables import EventTable, InjectionTable, RecoveredTable, RejectedTable
from aframe.train.architectures import FactorisedNetwork
from aframe.train.model import Model
from aframe.waveforms.priors import demo_bbh, draw

CONFIGURATION = {
    "search.ifos": ["H1", "L1"],
    "search.sample_rate": 2048.0,
    "search.kernel_length": 1.5,
    "search.fftlength": 1.0,
    "search.seed": 7,
    "train.trainer.precision": "bf16-mixed",
    "inference.precision": "float32",
    "data.source": "simulated",
    "inference.Tb": 0.1 * SECONDS_PER_YEAR,
    "inference.shifts": [0.0, 1.0],
    "waveforms.prior": "aframe.waveforms.priors.demo_bbh",
}
LIVETIME = 40_000.0


def noise_events(count: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {
        "detection_statistic": rng.exponential(size=count).astype(np.float32) * 1.5 - 8,
        "detection_time": 1.26e9 + np.sort(rng.uniform(0, LIVETIME, count)),
        "shift": np.zeros((count, 2)),
    }


def _write_candidates(results: str, zero_lag: EventTable, background: Background) -> None:
    """What ranking leaves: the loudest removed from the background of the others, and an event in vetoed time."""
    vetoed = zero_lag.rows(slice(0, 3))
    vetoed.parameters["vetoes"] = np.array(["L1 gate", "L1 gate", "H1 not CBC_CAT2"])
    vetoed.attributes["Tb"] = 300.0
    vetoed.write(storage.join(results, "clean", "vetoed.hdf5"), CONFIGURATION)
    count = np.searchsorted(background.statistics, np.sort(zero_lag["detection_statistic"])[::-1])
    count = np.maximum(len(background.statistics) - count - 5, 0)
    removed = np.arange(len(zero_lag)) == 0
    cleaned = Background(background.statistics[5:], 0.9 * background.livetime)
    livetime = np.where(removed, background.livetime, cleaned.livetime)
    table = candidates(zero_lag, background, Removal(cleaned, removed, count, livetime))
    table.parameters["p_astro"] = 1 / (1 + np.exp(-table["detection_statistic"].astype(np.float64)))
    shares = np.tile([0.01, 0.0, 0.99], (len(table), 1)) * table["p_astro"][:, None]
    table.parameters |= dict(zip(("p_bns", "p_nsbh", "p_bbh"), shares.T, strict=True))
    table.parameters["catalogue_event"] = np.array(["GW150914", *[""] * (len(table) - 1)])
    table.parameters["vetoes"] = np.array(["H1 known event; L1 known event", *[""] * (len(table) - 1)])
    late = np.full((len(table), 2), np.nan)
    late[:50] = np.random.default_rng(1).uniform(-0.01, 0.01, (50, 2))
    table.parameters["detector_time"] = table["detection_time"][:, None] + late
    table.attributes |= {
        "ifos": ["H1", "L1"],
        "rate_prior": "lognormal",
        "expected_signals": 1.3,
        "statistic_floor": -2.0,
        "expected_of_classes": np.array([0.012, 0.0, 1.25]),
        "merger_rate_gpc3_yr": np.array([17.0, 28.0, 45.0]),
        "Tb_before_vetoes": 1.1 * background.livetime,
        "T0_before_vetoes": LIVETIME + 300,
    }
    write_candidates(table, results, CONFIGURATION)


def _write_plain_bank(results: str, draws: WeighedDraws, recovered: RecoveredTable, network: Searched) -> None:
    """A search with a plain bank: half the squared SNR, nearly."""
    rng = np.random.default_rng(2)
    statistic = (recovered["snr"] + 0.5 * rng.normal(size=len(recovered))) ** 2 / 2
    noise = EventTable(noise_events(100_000, rng), attributes={"Tb": 0.1 * SECONDS_PER_YEAR})
    noise.parameters["detection_statistic"] = 15 + rng.exponential(2.0, 100_000)
    found = RecoveredTable(recovered.parameters | {"detection_statistic": statistic}, attributes=recovered.attributes)
    noise.write(storage.join(results, "limit", "background.hdf5"))
    found.write(storage.join(results, "limit", "foreground.hdf5"))
    background = Background(noise["detection_statistic"], noise.livetime)
    bank = Searched(background, found, replace(draws, statistic=statistic), LIVETIME)
    curves = volume_against_far(bank.draws, background, default_far_grid(background), LIVETIME)
    write_volumes(storage.join(results, "limit", "plots", "sensitive_volume.h5"), curves, {})
    table = compare(bank, network, np.array([12.0, 120.0, 1200.0]), 3)
    write_limit(table, storage.join(results, "limit"), CONFIGURATION)


def _write_bank(path: str) -> None:
    rng = np.random.default_rng(3)
    chirp_mass, series = np.array([10.0, 20.0, 30.0]), torch.zeros(3, 64, dtype=torch.complex64)
    columns = {"mass_1": 1.5 * chirp_mass, "mass_2": chirp_mass, "chi_1": np.zeros(3), "chi_2": np.zeros(3)}
    match = 1 - 0.05 * rng.exponential(size=500)
    masses, psds = rng.uniform(8, 40, 500), np.ones((2, 1025))
    bank = TemplateBank(
        series, columns, chirp_mass, 2048.0, 0.25, match, masses, psds, series[:1, :16], series[:1, :16]
    )
    bank.write(path, CONFIGURATION)


def searcher() -> tuple[Model, Clustering]:
    """A network that has learnt nothing, and how its scores become events."""
    whitening = Whitening(2048.0, 16.0, 1.0, 1.0, 16.0, 32.0, None)
    preprocessing = Preprocessing(("H1", "L1"), 1.5, 8.0, (0.5, 1.0), whitening)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = FactorisedNetwork(2, preprocessing.kernel_size, (4, 6), (1, 1), (3, 3), embedding_size=4, head_size=4)
    return Model(network.eval().requires_grad_(False), preprocessing), Clustering(8.0, 1.0, 8.0, 0.75)


@pytest.fixture(scope="session")
def run_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory, rng = tmp_path_factory.mktemp("run"), np.random.default_rng(0)
    results = str(directory / "results")
    events = EventTable(noise_events(100_000, rng), attributes={"Tb": 0.1 * SECONDS_PER_YEAR})
    events.write(storage.join(results, "background.hdf5"), CONFIGURATION)
    zero_lag = EventTable(noise_events(1268, rng), attributes={"Tb": LIVETIME})
    zero_lag.parameters["detection_statistic"][400:403] = 11.5, 6.0, 5.0
    zero_lag.parameters["detection_time"][400:403] = 1.26e9 + np.array([300.0, 340.0, 380.0])
    zero_lag.write(storage.join(results, "0lag.hdf5"), CONFIGURATION)
    _write_candidates(results, zero_lag, Background(events["detection_statistic"], events.livetime))
    population = demo_bbh()
    columns = draw(population, 40_000, rng)
    snr = 9e3 * (columns["chirp_mass"] / 30) ** (5 / 6) / columns["luminosity_distance"] * rng.uniform(0.1, 1.0, 40_000)
    accepted = snr >= 4
    count = int(accepted.sum())
    accepted_columns = {name: column[accepted] for name, column in columns.items()}
    accepted_columns |= {"snr": snr[accepted], "injection_time": np.zeros(count), "shift": np.zeros((count, 2))}
    accepted_columns |= {
        "detection_statistic": 2 * (snr[accepted] + rng.normal(size=count)) - 12,
        "detection_time": np.zeros(count),
    }
    accepted_columns["detection_statistic"][snr[accepted] < 4.5] = -np.inf
    accepted_columns["ifo_snrs"] = np.stack([0.6 * accepted_columns["snr"], 0.8 * accepted_columns["snr"]], axis=1)
    recovered = RecoveredTable(accepted_columns, attributes={"num_injections": 40_000, "ifos": ["H1", "L1"]})
    recovered.write(storage.join(results, "foreground.hdf5"), CONFIGURATION)
    counts = {"num_injections": 40_000, "num_waveforms": 12_000, "num_not_finite": 17, "num_too_loud": 0}
    made_by = {"sample_rate": 2048.0, "duration": 8.0, "right_pad": 2.0, "ifos": ["H1", "L1"], **counts}
    InjectionTable(accepted_columns, attributes=made_by).write(storage.join(str(directory / "test"), "waveforms.hdf5"))
    columns["snr"] = np.where(snr > 2, snr, np.nan)
    rejected = RejectedTable({name: column[~accepted] for name, column in columns.items()})
    rejected.write(storage.join(str(directory / "test"), "rejected-parameters.hdf5"))
    background = Background(events["detection_statistic"], events.livetime)
    targets = mass_targets([(35.0, 35.0), (35.0, 20.0), (20.0, 20.0), (20.0, 10.0)], 0.1, population.redshift_range)
    draws = weigh(Draws(recovered, [rejected], population), targets)
    curves = volume_against_far(draws, background, default_far_grid(background), LIVETIME)
    _write_plain_bank(results, draws, recovered, Searched(background, recovered, draws, LIVETIME))
    _write_bank(str(directory / "train" / "bank.hdf5"))
    shares_found = efficiencies(draws, background, np.array([10.0, 365.25]))
    write_volumes(storage.join(results, "plots", "sensitive_volume.h5"), curves, shares_found, CONFIGURATION)
    test = str(directory / "test")
    write_segments(storage.join(test, "segments.txt"), [Segment(1.26e9, 1.26e9 + 600)], CONFIGURATION)
    strain = {ifo: rng.normal(scale=1e-23 * np.sqrt(1024), size=600 * 2048) for ifo in ("H1", "L1")}
    write_background(background_path(test, 1.26e9, 600.0), strain, 1.26e9, 2048.0)
    shown = loudest_closeups(candidates(zero_lag, background), [background_path(test, 1.26e9, 600.0)], *searcher(), 3)
    write_closeups(storage.join(results, "closeups.hdf5"), shown, CONFIGURATION)
    for number in (1, 2):
        record = {"task": "ScoreSlides", "seconds": 30.0 * number, "ended": f"2026-01-0{number} 00:00:00"}
        storage.write_text(storage.join(results, "times", f"ScoreSlides-{number}-of-2.json"), json.dumps(record))
    lines = ["epoch,step,train_loss,valid_loss,valid_auroc,valid_efficiency"]
    for epoch in range(20):
        decay = np.exp(-epoch / 5)
        lines.append(f"{epoch},{epoch * 100},{0.2 + 0.5 * decay},,,")
        lines.append(f"{epoch},{epoch * 100},,{0.25 + 0.45 * decay},{0.95 - 0.4 * decay},{0.8 - 0.7 * decay}")
    storage.write_text(str(directory / "train" / "metrics.csv"), "\n".join(lines) + "\n")
    return directory
