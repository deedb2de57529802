"""Whitened strain of a background file with an injection in it."""

import numpy as np
import torch
from jaxtyping import Float

from aframe.errors import DataError
from aframe.inference.engine import injection_start
from aframe.preprocessing import Preprocessing
from aframe.strain.files import open_background
from aframe.strain.times import format_gps
from aframe.tables import InjectionTable
from aframe.types import Array
from aframe.whitening import whiten_stream


def injected_window(
    path: str, preprocessing: Preprocessing, signal: InjectionTable, span: tuple[float, float]
) -> Float[Array, "ifos time"]:
    """Whitened strain of a slide with an injection.

    The PSD is that of the ``psd_length`` before the span. The blocks of the search may start at other times.

    Args:
        path: Background file.
        preprocessing: Preprocessing of the model.
        signal: One injection with its responses.
        span: Start and end, slide time in GPS s. Slide time t has detector k's strain from t + shift[k].

    Raises:
        DataError: If the file lacks strain that the span needs.
    """
    whitening, streams = preprocessing.whitening, []
    rate = whitening.sample_rate
    size, needed = round((span[1] - span[0]) * rate), whitening.psd_size + whitening.after_size
    with open_background(path) as file:
        for ifo, shift in zip(preprocessing.ifos, signal["shift"][0].tolist(), strict=True):
            first = round((span[0] + shift - file.start) * rate) - whitening.psd_size
            if first < 0 or first + size + needed > round(file.duration * rate):
                raise DataError(f"{path} lacks strain around {format_gps(span[0] + shift)}: choose another injection")
            low = file.start + first / rate
            strain = np.array(file.read(ifo, low, low + (size + needed) / rate), dtype=np.float64)
            response = np.asarray(signal.waveforms[ifo.lower()][0], dtype=np.float64)
            time, right_pad = float(signal["injection_time"][0]), float(signal.attributes["right_pad"])
            start = injection_start(time + shift, low, rate, len(response), right_pad)
            begin, end = max(start, 0), min(start + len(response), len(strain))
            strain[begin:end] += response[begin - start : end - start]
            streams.append(whiten_stream(torch.from_numpy(strain), whitening).data.numpy())
    return np.stack(streams)
