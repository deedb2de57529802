"""Simulated noise of a source: coloured Gaussian noise, and glitches."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from aframe.strain.curve_pool import CurvePool, read_pools
from aframe.strain.drift import DriftingCurve
from aframe.strain.glitch_models import MODELS
from aframe.strain.glitch_population import GlitchPopulation, read_population
from aframe.strain.glitches import REACH, glitch_strain, glitches_between, optimal_snr
from aframe.strain.noise_curves import FLATTEN_FREQUENCY, NoiseCurve
from aframe.strain.segments import Segment
from aframe.strain.simulate import KNOT_DURATION, sample_index, simulate, simulate_changing
from aframe.strain.source import StrainSource
from aframe.tables import GlitchTable
from aframe.types import Array


@dataclass(frozen=True)
class SimulatedNoise:
    """What a source's simulated noise is made from.

    Attributes:
        source: The source.
        pools: Its noise curves, by detector.
        population: Its glitches. None without any.
    """

    source: StrainSource
    pools: Mapping[str, CurvePool]
    population: GlitchPopulation | None

    @classmethod
    def of(cls, source: StrainSource) -> "SimulatedNoise":
        """Read the files that a source names.

        Raises:
            ConfigurationError: If a curve does not exist.
            DataError: If curves or a table of glitches are unusable.
            StorageError: If the table of glitches does not exist.
        """
        pools = read_pools(source.asd, source.ifos, source.band)
        return cls(source, pools, None if source.glitches is None else read_population(source.glitches))

    def curve_at(self, ifo: str, segment: Segment) -> Callable[[float], NoiseCurve]:
        """Noise curve of a detector at the times (GPS s) of a segment.

        Args:
            ifo: Detector.
            segment: The segment.
        """
        if self.source.drift is not None:
            return DriftingCurve(self.pools[ifo], self.source.drift, self.source.seed).at
        curve = self.pools[ifo].curve_of(segment.start, self.source.seed)
        return lambda time: curve

    def strain(self, ifo: str, segment: Segment) -> Float[Array, " time"]:
        """Simulate the strain of a detector in a segment.

        The mean of a detector's curves sets the strain of its glitches. A glitch at the border of two segments is thus
        the same in both.

        Args:
            ifo: Detector.
            segment: The segment.
        """
        rate, seed = self.source.sample_rate, self.source.seed
        span, curve_at = (segment.start, segment.stop), self.curve_at(ifo, segment)
        if self.source.drift is None:
            noise = simulate(curve_at(segment.start), ifo, *span, rate, seed=seed)
        else:
            noise = simulate_changing(curve_at, ifo, *span, rate, seed=seed)
        if self.population is None:
            return noise
        around = glitches_between(self.population, ifo, segment.start - REACH, segment.stop + REACH, seed=seed)
        return noise + glitch_strain(around, self.pools[ifo].mean, sample_index(segment.start, rate), len(noise), rate)

    def glitches(self, segments: Sequence[Segment]) -> GlitchTable:
        """List the glitches of all detectors that reach into segments, in order of time.

        The table has the SNRs in the noise of the nearest segment, and one more column, ``snr_in_band``: those in the
        source's band.

        Args:
            segments: Segments in order of time, at least one.
        """
        tables = [
            self._glitches(ifo, around, within) for ifo in self.source.ifos for around, within in _spans(segments)
        ]
        table = GlitchTable.concatenate(tables)
        return table.rows(np.argsort(table["glitch_time"], kind="stable"))

    def _glitches(self, ifo: str, around: Segment, within: Segment) -> GlitchTable:
        """Glitches whose middle is in a span around a segment, and which reach into the segment."""
        assert self.population is not None
        table = glitches_between(self.population, ifo, around.start, around.stop, seed=self.source.seed)
        reach = np.array([MODELS[name].reach for name in table["glitch_class"].tolist()])
        time = table["glitch_time"]
        table = table.rows((time + reach > within.start) & (time - reach < within.stop))
        mean, curve_at, rate = self.pools[ifo].mean, self.curve_at(ifo, within), self.source.sample_rate
        snrs = np.zeros((2, len(table)))
        number = table["glitch_time"] // KNOT_DURATION * (self.source.drift is not None)
        for each in np.unique(number).tolist():
            rows = number == each
            curve = curve_at((each + 0.5) * KNOT_DURATION)
            for band, snr in zip(((FLATTEN_FREQUENCY, rate / 2), self.source.band), snrs, strict=True):
                snr[rows] = optimal_snr(table.rows(rows), mean, curve, band, rate)
        table.parameters |= {"snr": snrs[0], "snr_in_band": snrs[1]}
        return table


def _spans(segments: Sequence[Segment]) -> list[tuple[Segment, Segment]]:
    """Disjoint spans around segments, as far as glitches reach, each with its segment."""
    later = [segment.start for segment in segments[1:]] + [np.inf]
    stops = [min(segment.stop + REACH, start) for segment, start in zip(segments, later, strict=True)]
    starts = [max(segment.start - REACH, stop) for segment, stop in zip(segments, [-np.inf, *stops], strict=False)]
    return [(Segment(*span), segment) for *span, segment in zip(starts, stops, segments, strict=True)]
