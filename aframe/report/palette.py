"""Colours, labels and ticks that the report's figures share with the figures for papers."""

BLUE, ORANGE, GREEN, PINK, SKY, VERMILION, BLACK = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#222222",
)  # fmt: skip
PALETTE = (BLUE, VERMILION, GREEN, PINK, ORANGE, SKY)
"""Colours of Okabe and Ito. Colour-blind readers can distinguish them."""

AXES = {
    "snr": "Network SNR",
    "luminosity_distance": "Luminosity distance (Mpc)",
    "chirp_mass": "Chirp mass, detector frame (M☉)",
    "chirp_mass_source": "Chirp mass, source frame (M☉)",
}
"""Labels of the parameters on the horizontal axis of an efficiency."""

SCALE_ENDS = (20.0, 100.0)
"""Smallest and largest energy at the end of the colours of a Q transform. The smallest keeps noise dark. The largest
keeps the early part of a loud signal visible."""

OCTAVES = tuple(2.0**power for power in range(2, 13))
"""Frequencies (Hz) with a tick in a Q transform."""
