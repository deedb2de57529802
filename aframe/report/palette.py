"""Colours, labels and ticks that the report's figures and those for papers have in common."""

BLUE, ORANGE, GREEN, PINK, SKY, VERMILION, BLACK = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#222222",
)  # fmt: skip
PALETTE = (BLUE, VERMILION, GREEN, PINK, ORANGE, SKY)
"""Okabe and Ito's colours, which colour-blind readers tell apart."""

AXES = {
    "snr": "Network SNR",
    "luminosity_distance": "Luminosity distance (Mpc)",
    "chirp_mass": "Chirp mass, detector frame (M☉)",
    "chirp_mass_source": "Chirp mass, source frame (M☉)",
}
"""Labels of the axes that an efficiency is given against."""

SCALE_ENDS = (20.0, 100.0)
"""Energies at which the colours of a Q transform end, at least and at most: noise shall look like noise, and a loud
event shall not hide its own beginning."""

OCTAVES = tuple(2.0**power for power in range(2, 13))
"""Frequencies (Hz) marked at a Q transform."""
