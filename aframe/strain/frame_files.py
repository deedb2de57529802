"""Check GWF frame files for completeness."""

import struct
from pathlib import Path

END_OF_FRAME_FILE_LENGTHS = (42, 46)
"""Length in bytes of the structure FrEndOfFile, the last of a frame file, in versions 6 and 8 of the format."""


def is_whole_frame_file(path: str) -> bool:
    """Whether a file has the head, the end structure and the length of LIGO-T970130 (versions 6 to 8)."""
    size = Path(path).stat().st_size
    with open(path, "rb") as stream:
        magic = stream.read(5)
        stream.seek(max(0, size - max(END_OF_FRAME_FILE_LENGTHS)))
        tail = stream.read()
    ends = (tail[-length:] for length in END_OF_FRAME_FILE_LENGTHS if length <= len(tail))
    fields = ((*struct.unpack(order + "Q10xQ", end[:26]), len(end)) for end in ends for order in "<>")
    return magic == b"IGWD\0" and any(length == stated and total == size for stated, total, length in fields)
