"""Data-quality flags: veto definers, and active segments of flags.

A veto definer (LIGO_LW, LIGO-T1300625) lists flags, each with a category, paddings and a time of validity. It contains
no segments. Segments come from DQSegDB or from files: segwizard lists, or LIGO_LW documents with segment tables.
"""

import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax import SAXParseException

from aframe import storage
from aframe.errors import DataError
from aframe.strain.channels import detectors
from aframe.strain.segments import Segment, coalesce, cut, read_segments

EMPTY_LAST_VALUE = re.compile(rb",(\s*</Stream>)")
"""End of a table whose last value is empty. Without one more delimiter, igwn_ligolw drops the row."""

NOTHING = re.compile(rb'(?<=[,\s])""(?=[,\s<])|(?<=<LIGO_LW)\s+[Vv]ersion="[^"]*"')
"""Empty values in quotes, and a version of the document. igwn_ligolw refuses both."""

TABLE = re.compile(
    rb'<Table\b[^>]*\bName="[^"]*?(?:veto_definer|segment_definer|segment)(?::table)?"[^>]*>((?:(?!</Table>).)*?)'
    rb"<Stream\b([^>]*[^/])>(.*?)</Stream>",
    re.DOTALL,
)
"""A table that is read here. Its groups are its columns, the attributes of its rows, and its rows."""

QUOTED = re.compile(rb'"(?:\\.|[^"\\])*"')
"""A value in quotes."""

DELIMITER = re.compile(rb'\bDelimiter="([^"])"')
"""Character between the values of a table, as its group."""

XML_SUFFIXES = (".xml", ".xml.gz")
"""Suffixes of LIGO_LW documents."""

FLAG_SUFFIXES = (".txt", ".txt.gz", *XML_SUFFIXES)
"""Suffixes of the files of single flags."""

ANY_VERSION = 0
"""Version of a flag of which all versions, or an unknown one, are meant."""


@dataclass(frozen=True, order=True)
class Flag:
    """A data-quality flag.

    Attributes:
        ifo: Detector.
        name: Name in DQSegDB.
        version: Version; 0 or less for any version.
    """

    ifo: str
    name: str
    version: int

    def __str__(self) -> str:
        return f"{self.ifo}:{self.name}" + (f":{self.version}" if self.version > 0 else "")

    def includes(self, other: "Flag") -> bool:
        """Whether another flag has this detector, name and version."""
        is_any = self.version < 1 or other.version < 1
        return (self.ifo, self.name) == (other.ifo, other.name) and (is_any or self.version == other.version)


@dataclass(frozen=True)
class Definition:
    """A row of a veto definer.

    Attributes:
        flag: Flag to veto.
        category: Category of the veto: 1 for unusable data, higher numbers for milder faults.
        start: Start of validity, GPS s.
        stop: End of validity, GPS s; infinite without an end.
        start_pad: Addition to the start of each segment, s. A negative value extends the veto to earlier times.
        end_pad: Addition to the end of each segment, s.
    """

    flag: Flag
    category: int
    start: float
    stop: float
    start_pad: float
    end_pad: float

    def applied(self, active: Iterable[Segment]) -> list[Segment]:
        """Vetoed segments: the flag's active segments, cut to the time of validity, then padded."""
        valid = coalesce(cut(active, self.start, self.stop))
        padded = [(segment.start + self.start_pad, segment.stop + self.end_pad) for segment in valid]
        return coalesce(Segment(start, stop) for start, stop in padded if stop > start)


def read_definer(path: str) -> list[Definition]:
    """Read a veto definer.

    Args:
        path: Local or s3 path of a LIGO_LW document. It may be compressed, and of the present or the old form
            (ilwd:char).

    Raises:
        DataError: If the file is not a veto definer.
        StorageError: If the file does not exist.
    """
    names = ("ifo", "name", "version", "category", "start_time", "end_time", "start_pad", "end_pad")
    definitions = []
    for number, row in enumerate(_rows(_document(path), "veto_definer", names, path), start=1):
        start, stop = float(row["start_time"]), float(row["end_time"]) or math.inf
        if not stop > start:
            raise DataError(
                f"{path}, row {number} of veto_definer: {row['name']} ends before it starts: mend its times"
            )
        flag = Flag(str(row["ifo"]), str(row["name"]), int(row["version"]))
        pads = float(row["start_pad"]), float(row["end_pad"])
        definitions.append(Definition(flag, int(row["category"]), start, stop, *pads))
    return definitions


def read_flags(path: str) -> dict[Flag, list[Segment]]:
    """Read flags and their active segments from a LIGO_LW document with the tables segment_definer and segment.

    Raises:
        DataError: If the file is not such a document.
        StorageError: If the file does not exist.
    """
    document = _document(path)
    flags: dict[int, list[Flag]] = {}
    for row in _rows(document, "segment_definer", ("segment_def_id", "ifos", "name", "version"), path):
        ifos = detectors(str(row["ifos"])) or str(row["ifos"]).replace(",", " ").split()
        flags[int(row["segment_def_id"])] = [Flag(ifo, str(row["name"]), int(row["version"])) for ifo in ifos]
    active: dict[Flag, list[Segment]] = {flag: [] for group in flags.values() for flag in group}
    columns = ("segment_def_id", "start_time", "start_time_ns", "end_time", "end_time_ns")
    for number, row in enumerate(_rows(document, "segment", columns, path), start=1):
        start, stop = (row[f"{edge}_time"] + 1e-9 * (row[f"{edge}_time_ns"] or 0) for edge in ("start", "end"))
        identity = int(row["segment_def_id"])
        if identity not in flags or not stop > start:
            raise DataError(
                f"{path}, row {number} of segment: from {start} to {stop}, of flag number {identity}, is no segment of "
                "one of its flags: fetch the file again"
            )
        for flag in flags[identity]:
            active[flag].append(Segment(float(start), float(stop)))
    return {flag: coalesce(segments) for flag, segments in active.items()}


def is_document(path: str) -> bool:
    """Whether a file is a LIGO_LW document, by its suffix."""
    return storage.has_suffix(path, XML_SUFFIXES)


def is_server(source: str) -> bool:
    """Whether a source of segments is a DQSegDB server. Other sources are files."""
    return source == "dqsegdb" or source.startswith(("https://", "http://"))


def active_segments(flags: Sequence[Flag], source: str, start: float, stop: float) -> dict[Flag, list[Segment]]:
    """Get the active segments of flags.

    Args:
        flags: Flags.
        source: One of four kinds: ``dqsegdb`` (IGWN's server, which requires a member's credentials), the ``https://``
            address of another DQSegDB server, a LIGO_LW document of all flags, or a directory with a file per flag. The
            file of flag ``H1:DCH-THUNDER:1`` is ``H1-DCH-THUNDER-1`` (``H1-DCH-THUNDER`` for any version) with the
            suffix .txt, .txt.gz (segwizard) or .xml, .xml.gz (LIGO_LW).
        start: Start of the query to a server, GPS s.
        stop: End of the query to a server, GPS s.

    Returns:
        Segments of each flag.

    Raises:
        DataError: If the source lacks segments of flags. The message lists all of these flags.
    """
    if is_server(source):
        host = None if source == "dqsegdb" else source.rstrip("/")
        return {flag: _ask_dqsegdb(flag, host, start, stop) for flag in flags}
    if is_document(source):
        document = read_flags(source)
        active = {flag: _in_document(flag, document) for flag in flags}
    else:
        files = {path.rpartition("/")[2].lower(): path for path in storage.files_in(source, FLAG_SUFFIXES)}
        active = {flag: _in_directory(flag, files) for flag in flags}
    missing = [str(flag) for flag, segments in active.items() if segments is None]
    if missing:
        raise DataError(
            f"{source} has no segments of {', '.join(missing)}: add files of them, for flags that were never active "
            "empty ones, or leave their category out"
        )
    return {flag: segments or [] for flag, segments in active.items()}


def _in_document(flag: Flag, document: Mapping[Flag, Sequence[Segment]]) -> list[Segment] | None:
    chosen = [segments for other, segments in document.items() if flag.includes(other)]
    return coalesce(segment for segments in chosen for segment in segments) if chosen else None


def _in_directory(flag: Flag, files: Mapping[str, str]) -> list[Segment] | None:
    """Segments of a flag in its file.

    Args:
        flag: The flag.
        files: Paths by their names in small letters.
    """
    stems = [f"{flag.ifo}-{flag.name}-{flag.version}", f"{flag.ifo}-{flag.name}"]
    names = [(stem + suffix).lower() for stem in stems for suffix in FLAG_SUFFIXES]
    path = next((files[name] for name in names if name in files), None)
    if path is None:
        return None
    return _in_document(flag, read_flags(path)) if is_document(path) else coalesce(read_segments(path))


def _ask_dqsegdb(flag: Flag, host: str | None, start: float, stop: float) -> list[Segment]:
    from dqsegdb2.query import query_segments

    try:
        answer: Any = query_segments(str(flag), math.floor(start), math.ceil(stop), host=host)
        rows = answer["active"]
    except Exception as error:  # transport and authentication raise many kinds of errors
        raise DataError(
            f"{host or 'DQSegDB'} did not give the segments of {flag} ({' '.join(str(error).split())}): check network "
            "and credentials, or give flag_segments = DIRECTORY in [luigi_vetoes]"
        ) from error
    return coalesce(Segment(float(a), float(b)) for a, b in rows)


def _document(path: str) -> Any:
    """Load a LIGO_LW document. Identifiers of the old form become whole numbers."""
    from gwpy.io.ligolw import default_content_handler
    from igwn_ligolw.ligolw import ElementError
    from igwn_ligolw.utils import load_fileobj

    content = storage.read_bytes(path)
    _check_rows(path, content)
    try:
        whole = EMPTY_LAST_VALUE.sub(rb",,\1", NOTHING.sub(b"", content))
        return load_fileobj(io.BytesIO(whole), contenthandler=default_content_handler())
    except SAXParseException as error:
        reason = f", line {error.getLineNumber()}: {error.getMessage()}"
    except (ElementError, ValueError, TypeError, KeyError) as error:
        text = " ".join(str(error).split())
        reason = f", {text}" if text.startswith("line ") else f": {text}"
    raise DataError(f"{path}{reason}: this is no complete LIGO_LW document; fetch it again")


def _check_rows(path: str, content: bytes) -> None:
    """Refuse a table with a row that lacks values. igwn_ligolw drops the last such row, and shifts others.

    A row ends where a line does.

    Raises:
        DataError: With the line of the row.
    """
    for table in TABLE.finditer(content):
        size, match = table[1].count(b"<Column"), DELIMITER.search(table[2])
        delimiter = match[1] if match else b","
        rows = QUOTED.sub(lambda value: b"x" * len(value[0]), table[3]).rstrip()
        has_empty_last = rows.endswith(delimiter) and (rows.count(delimiter) + 1) % size == 0
        rows += delimiter if rows and (has_empty_last or not rows.endswith(delimiter)) else b""
        end, values, begin = table.start(3), 0, 0
        for line in rows.splitlines(keepends=True):
            begin, end = begin if values else end, end + len(line)
            values += line.count(delimiter)
            if values % size == 0:
                values = 0
            elif values > size:
                break
        if values:
            number = content.count(b"\n", 0, begin) + 1
            raise DataError(f"{path}, line {number}: a row has not all of its {size} values: fetch the file again")


def _rows(document: Any, table: str, columns: Sequence[str], path: str) -> list[dict[str, Any]]:
    """Columns of the only table of a name in a document."""
    from igwn_ligolw.lsctables import TableByName

    try:
        entries = TableByName[table].get_table(document)
    except ValueError:
        raise DataError(f"{path} has no table {table}, or several: give another LIGO_LW document") from None
    rows = [{name: getattr(row, name, None) for name in columns} for row in entries]
    for number, row in enumerate(rows, start=1):
        if row.get("version", 0) is None:  # as PyCBC writes it
            row["version"] = ANY_VERSION
        missing = [name for name, value in row.items() if value is None and not name.endswith("_ns")]
        if missing:
            raise DataError(f"{path}, row {number} of {table} lacks {', '.join(missing)}: fetch the file again")
    return rows
