"""Colours of the figures."""

from bokeh.palettes import Viridis256

BLUE, ORANGE, GREEN, PINK, SKY, VERMILION, BLACK = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#222222",
)  # fmt: skip
PALETTE = (BLUE, VERMILION, GREEN, PINK, ORANGE, SKY)
"""Colours of Okabe and Ito. Colour-blind readers can distinguish them."""

GREY = "#777777"
GREYS = tuple(f"#{level:02x}{level:02x}{level:02x}" for level in range(0xE0, 0x50, -1))
"""Shades of a histogram under coloured dots."""

VIRIDIS = tuple(Viridis256)
"""Colours of an image, even to the eye."""
