"""Apply a model to recorded strain: zero lag alone, of any length that holds a window."""

from collections.abc import Sequence

import numpy as np
import torch

from aframe.errors import DataError
from aframe.events.cluster import Clustering, cluster
from aframe.inference.engine import Engine
from aframe.inference.scorers import TorchScorer
from aframe.inference.slides import Grid, Slide
from aframe.spectral import WhitenedStream, whiten_stream, whiten_whole
from aframe.strain.recordings import Coincident, coincident, read_strain
from aframe.tables import EventTable
from aframe.train.model import Model, Preprocessing


def search_recorded(
    model: Model, paths: Sequence[str], integration_window_length: float, cluster_window_length: float, device: str
) -> EventTable:
    """Events in recorded strain.

    Args:
        model: Network and preprocessing.
        paths: HDF5 or GWF files, one or more per detector.
        integration_window_length: Seconds over which scores are averaged.
        cluster_window_length: Seconds within which only the loudest event is kept.
        device: cpu or cuda.

    Returns:
        Events, loudest first; ``Tb`` is the time that was searched, s.

    Raises:
        DataError: If a detector is missing or not the model's, or nothing is long enough to search.
        StorageError: If a file is missing or damaged.
    """
    ifos = model.preprocessing.ifos
    strain = read_strain(paths, None, model.preprocessing.whitening.sample_rate)
    if set(strain) != set(ifos):
        raise DataError(
            f"the model searches {', '.join(ifos)} together, the files hold {', '.join(sorted(strain)) or 'none'}: "
            "give files of each of the model's detectors and of no other"
        )
    clustering = Clustering(
        model.preprocessing.inference_sampling_rate,
        integration_window_length,
        cluster_window_length,
        model.preprocessing.coalescence_offset,
    )
    shortest = shortest_duration(model, clustering)
    pieces = [piece for piece in coincident({ifo: strain[ifo] for ifo in ifos}) if piece.duration >= shortest]
    if not pieces:
        raise DataError(
            f"no stretch of {', '.join(ifos)} without gaps is {shortest:g} s long, which this model needs: "
            f"the files have {', '.join(paths)}; give longer ones"
        )
    tables = [_search(model, piece, clustering, device) for piece in pieces]
    events = EventTable.concatenate(tables)
    events.attributes["Tb"] = sum(float(table.attributes["Tb"]) for table in tables)
    return events.rows(np.argsort(-events["detection_statistic"], kind="stable"))


def shortest_duration(model: Model, clustering: Clustering) -> float:
    """Seconds of strain that give a single average of scores."""
    preprocessing = model.preprocessing
    return preprocessing.kernel_length + preprocessing.whitening.fduration + clustering.integration_window_length


def whitened_streams(piece: Coincident, preprocessing: Preprocessing) -> list[WhitenedStream]:
    """Whitened strain of one stretch: as in a search where it can give ``psd_length`` away, else by its own PSD."""
    whitening = preprocessing.whitening
    whiten = whiten_stream if piece.duration >= 2 * whitening.psd_length else whiten_whole
    return [whiten(torch.from_numpy(piece.strain[ifo]), whitening) for ifo in preprocessing.ifos]


def _search(model: Model, piece: Coincident, clustering: Clustering, device: str) -> EventTable:
    """Events of one stretch."""
    streams = whitened_streams(piece, model.preprocessing)
    grid = Grid(model.preprocessing, (0.0,) * len(streams))
    engine = Engine(TorchScorer(model, torch.float32, device), streams, grid)
    slide = Slide(0, 0, grid.shifts, grid.windows(streams[0].data.shape[-1]))
    start = piece.start + streams[0].offset / model.preprocessing.whitening.sample_rate
    statistic, time = cluster(engine.scores(slide), start, clustering)
    shift = np.zeros((len(time), len(streams)))
    columns = {"detection_statistic": statistic, "detection_time": time, "shift": shift}
    return EventTable(columns, attributes={"Tb": grid.livetime([slide])})
