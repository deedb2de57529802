"""Banks of templates for matched filters: their waveforms, their placement, and their file."""
