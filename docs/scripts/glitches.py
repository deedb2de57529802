"""Fit the distributions of aframe/strain/glitches_o3.csv: `python docs/scripts/glitches.py FITS`.

FITS is the table of 3874 fits to glitches of O3 that antiglitch publishes (data/all_PE_v3.json of its repository, MIT
licence; Bondarescu et al. 2023, arXiv:2309.06594). Its columns amp_r, amp_i, f0 and gbw describe a glitch before
whitening, snr is Gravity Spy's. Rates are not in it: see RATES.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from scipy import optimize, stats

import aframe
from aframe.strain.glitch_models import PULSE, PULSES, Range
from aframe.strain.glitch_population import COLUMNS, HIGHEST_SNR, LOWEST_SNR
from aframe.types import Array

LABELS = dict(zip(PULSES, ("Blip", "Blip_Low_Frequency", "Tomte", "Koi_Fish"), strict=True))
"""Labels of Gravity Spy."""

CLASSES = (*PULSES, "scattered_light", "whistle")

RATES = {
    "H1": dict(zip(CLASSES, (2.0, 1.5, 0.7, 2.0, 5.0, 1.0), strict=True)),
    "L1": dict(zip(CLASSES, (4.0, 10.0, 13.0, 4.0, 8.0, 1.0), strict=True)),
    "V1": {"blip": 2.0, "tomte": 1.0, "koi_fish": 3.0, "scattered_light": 5.0, "whistle": 1.0},
}
"""Glitches per hour, round numbers. They add to some 70 % (H1) and 60 % (L1) of all triggers of O3a, 18 and 66 an hour
(arXiv:2010.14527), with blips as in arXiv:1901.05093 and the order of the classes of arXiv:2208.12849. V1 has no fits
to low-frequency blips."""

OTHERS = {
    "scattered_light": (0.8, 2.0, 0.75, 3.0, 0.5, 1.0, 0.0, 0.0, 0.0, 0.0, 2.0),
    "whistle": (0.7, 2.0, 1.0, 3.0, 0.5, 1.0, 0.0, 0.0, 0.0, 0.0, 2.0),
}
"""Distributions of classes without fits: tops of arches around 30 Hz that last for 3 s, whistles from 150 Hz that last
for half a second, and SNRs with a density that falls as SNR⁻³."""

HEADING = """\
# Glitches of O3: rates, and distributions that docs/scripts/glitches.py fits. aframe/strain/glitch_population.py
# (ClassDistribution) describes the columns. Rates are of the order of those of O3, and classes without fits
# (scattered_light, whistle) have round numbers. Change a copy: glitches = FILE in [luigi_data].
"""


def weibull(values: Array, within: Range) -> tuple[float, float]:
    """Fit the scale and power of ln(value / smallest), cut at the largest value, by maximum likelihood."""
    excess = np.log(np.clip(values / within.lowest, 1.001, within.highest / within.lowest))
    most = np.log(within.highest / within.lowest)

    def loss(logs: Array) -> float:
        scale, power = np.exp(logs)
        dist = stats.weibull_min(power, scale=scale)
        return float(-dist.logpdf(excess).sum() + len(excess) * dist.logcdf(most))

    bounds = [(-3, np.log(2 * most)), (-1, 2)]  # beyond them, the cut distribution hardly changes
    fit = optimize.minimize(loss, np.log([excess.mean(), 1.5]), method="Nelder-Mead", bounds=bounds)
    scale, power = np.exp(fit.x)
    return float(scale), float(power)


def correlations(columns: Array) -> tuple[float, float, float]:
    """Correlations of the Gaussian copula, from Spearman's rank correlations."""
    rank = 2 * np.sin(np.pi / 6 * stats.spearmanr(columns).statistic)
    return float(rank[0, 1]), float(rank[0, 2]), float(rank[1, 2])


def axis(phase: Array) -> tuple[float, float]:
    """Mean and spread of phases whose signs do not count, rad."""
    mean = np.exp(2j * phase).mean()
    return float(np.angle(mean) / 2), float(np.sqrt(-2 * np.log(abs(mean))) / 2)


def main() -> None:
    """Fit each class and detector, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("fits", type=Path)
    columns = json.loads(parser.parse_args().fits.read_text(encoding="utf-8"))
    fits = {name: np.array(list(values.values())) for name, values in columns.items()}
    snr = Range(LOWEST_SNR, HIGHEST_SNR)
    rows = []
    for ifo, rates in RATES.items():
        for name, rate in rates.items():
            numbers = OTHERS.get(name, ())
            if not numbers:
                own = (fits["ifo"] == ifo) & (fits["ml_label"] == LABELS[name]) & (fits["snr"] > LOWEST_SNR)
                values = {column: fits[column][own] for column in ("f0", "gbw", "snr", "amp_r", "amp_i")}
                numbers = (
                    *weibull(values["f0"], PULSE.frequency),
                    *weibull(values["gbw"], PULSE.width),
                    *weibull(values["snr"], snr),
                    *correlations(np.stack([values["f0"], values["gbw"], values["snr"]], axis=1)),
                    *axis(np.arctan2(values["amp_i"], values["amp_r"])),
                )
            rows.append(f"{name},{ifo},{rate:g}," + ",".join(f"{number:.3g}" for number in numbers))
    path = Path(aframe.__file__).parent / "strain" / "glitches_o3.csv"
    path.write_text("\n".join([HEADING + ",".join(COLUMNS), *rows]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
