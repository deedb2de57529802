"""What is said about series of files that are no strain."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from aframe.strain import frame_files
from aframe.strain.channels import GWOSC_MASKS, NAMELESS, Choice

MOST_NAMED = 5
"""Largest number of names in a message."""


def no_strain(path: str, choice: Choice) -> str:
    """Error about a file without strain."""
    if not choice.left_out:
        return (
            f"{path} holds no strain in a known layout: GWOSC's (strain/Strain), or datasets with attributes x0 and dx "
            "(gwpy) or start_time and delta_t (PyCBC)"
        )
    nameless = [name for name, reason in choice.left_out.items() if reason == NAMELESS]
    if nameless:
        kind, example = ("channel", "H1:STRAIN") if frame_files.is_frame_file(path) else ("dataset", "H1")
        return (
            f"{path} does not name the detector of {nameless[0]!r}: name the file as "
            f"H-H1_ANYTHING-START-DURATION{Path(path).suffix}, or the {kind} as {example}, with its detector"
        )
    names = [f"{name!r} {reason}" for name, reason in choice.left_out.items()]
    return f"{path} holds no strain: {abridged(names, '; ')}; give another file, or choose with --channel DETECTOR:NAME"


def sentences(contents: Mapping[str, Choice]) -> list[str]:
    """Sentences about what is left out: one for each kind of files, and one for each file without strain."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for path, choice in contents.items():
        texts = [f"{name} {reason}" for name, reason in choice.left_out.items() if not name.endswith(GWOSC_MASKS)]
        if not choice.recordings:
            texts = texts or ["it holds no time series"]
        if texts:
            alike.setdefault(tuple(texts), []).append(path)
    return [f"left out of {abridged(paths)}: {abridged(texts, '; ')}" for texts, paths in alike.items()]


def abridged(words: Sequence[str], separator: str = ", ") -> str:
    """Some words, and how many more there are."""
    more = [f"and {len(words) - MOST_NAMED} more"] if len(words) > MOST_NAMED else []
    return separator.join([*words[:MOST_NAMED], *more])
