import gzip
import json
import math
import re
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from igwn_ligolw import ligolw, lsctables
from igwn_ligolw.utils import write_filename

from aframe.errors import DataError, StorageError
from aframe.strain.flags import Definition, Flag, active_segments, read_definer, read_flags
from aframe.strain.segments import Segment

THUNDER, TRUCK = Flag("L1", "DCH-THUNDER", 2), Flag("H1", "DCH-TRUCK", 1)


def span(start: float, stop: float) -> Segment:
    return Segment(float(start), float(stop))


def definer(data_directory: Path) -> Path:
    return data_directory / "segments" / "H1L1-HOFT_C01_O3_CBC.xml"


def write_flags(path: Path, segments: dict[Flag, list[tuple[float, float]]]) -> str:
    """A LIGO_LW document with segment tables, as written by the usual tools."""
    document = ligolw.Document()
    root = document.appendChild(ligolw.LIGO_LW())
    define = root.appendChild(lsctables.SegmentDefTable.new(["segment_def_id", "ifos", "name", "version"]))
    columns = ["segment_id", "segment_definer:segment_def_id", "start_time", "start_time_ns", "end_time", "end_time_ns"]
    table = root.appendChild(lsctables.SegmentTable.new(columns))
    for identity, (flag, pairs) in enumerate(segments.items()):
        row = define.RowType()
        row.segment_def_id, row.name, row.version, row.instruments = identity, flag.name, flag.version, {flag.ifo}
        define.append(row)
        for pair in pairs:
            segment = table.RowType()
            segment.segment_id, segment.segment_def_id, segment.segment = len(table), identity, pair
            table.append(segment)
    write_filename(document, str(path))
    return str(path)


def test_flags_of_two_detectors(tmp_path: Path) -> None:
    path = Path(write_flags(tmp_path / "flags.xml", {Flag("H1", "A", 1): [(10, 20)]}))
    for both in ("H1L1", "H1,L1", "H1 L1"):
        path.write_text(path.read_text().replace('"H1"', f'"{both}"'))
        assert read_flags(str(path)) == {Flag(ifo, "A", 1): [Segment(10.0, 20.0)] for ifo in ("H1", "L1")}
        path.write_text(path.read_text().replace(f'"{both}"', '"H1"'))


def test_the_veto_definer_of_o3(data_directory: Path) -> None:
    rows = read_definer(str(definer(data_directory)))
    assert len(rows) == 43
    assert rows[2] == Definition(Flag("H1", "DMT-INJECTION_BURST", 1), 2, 1235750418.0, math.inf, -4.0, 4.0)
    assert {row.category for row in rows} == {1, 2, 3}
    gates = [row for row in rows if row.flag.name == "DCH-GATES_GT_3SEC"]
    assert [(row.flag.ifo, row.flag.version, row.stop) for row in gates] == [
        ("H1", 2, 1269363618.0),
        ("L1", 2, 1269363618.0),
    ]
    assert all(row.stop > row.start for row in rows)


def test_definitions_hold_for_their_time_and_are_padded() -> None:
    row = Definition(THUNDER, 2, 100.0, 200.0, -4.0, 8.0)
    active = [span(90, 101), span(150, 151), span(155, 160), span(200, 300)]
    assert row.applied(active) == [span(96, 109), span(146, 168)]
    shrinking = Definition(THUNDER, 2, 100.0, math.inf, 1.0, -1.0)
    assert shrinking.applied(active) == [span(156, 159), span(201, 299)]


@pytest.mark.parametrize("name", ["flags.xml", "flags.xml.gz", "FLAGS.XML", "Flags.XML.GZ"])
def test_segments_in_a_ligolw_document(tmp_path: Path, name: str) -> None:
    path = write_flags(tmp_path / name.lower(), {THUNDER: [(10, 20.5), (15, 30)], TRUCK: []})
    path = str(Path(path).rename(tmp_path / name))
    assert read_flags(path) == {THUNDER: [span(10, 30)], TRUCK: []}
    assert active_segments([THUNDER], path, 0.0, 1.0) == {THUNDER: [span(10, 30)]}
    any_version = Flag("L1", "DCH-THUNDER", 0)
    assert active_segments([any_version], path, 0.0, 1.0) == {any_version: [span(10, 30)]}
    with pytest.raises(DataError, match=r"no segments of L1:DCH-THUNDER:1, H1:DCH-THUNDER:2: add files"):
        active_segments([TRUCK, Flag("L1", "DCH-THUNDER", 1), Flag("H1", "DCH-THUNDER", 2)], path, 0.0, 1.0)


def test_flags_without_a_version(tmp_path: Path) -> None:
    """PyCBC leaves the version empty."""
    path = write_flags(tmp_path / "flags.xml", {THUNDER: [(10, 20)], TRUCK: [(30, 40)]})
    text = Path(path).read_text()
    thunder, truck = (Flag(flag.ifo, flag.name, 0) for flag in (THUNDER, TRUCK))
    for nothing in ("", " ", '""'):
        Path(path).write_text(
            re.sub(r'("DCH-\w+",)\d', rf"\1{nothing}", text).replace("<LIGO_LW>", '<LIGO_LW version="">')
        )
        assert read_flags(path) == {thunder: [span(10, 20)], truck: [span(30, 40)]}
    assert active_segments([THUNDER], path, 0.0, 1.0) == {THUNDER: [span(10, 20)]}


def test_a_directory_with_a_file_for_each_flag(tmp_path: Path) -> None:
    (tmp_path / "L1-DCH-THUNDER-2.txt").write_text("10 20\n15 30\n")
    (tmp_path / "L1-DCH-THUNDER.TXT").write_text("0 1\n")
    write_flags(tmp_path / "H1-DCH-TRUCK.xml", {TRUCK: [(1, 2)], THUNDER: [(7, 8)]})
    empty = Flag("H1", "DCH-NEVER", 1)
    (tmp_path / "H1-DCH-NEVER-1.txt").write_text("# never active\n")
    active = active_segments([THUNDER, TRUCK, empty], str(tmp_path), 0.0, 1.0)
    assert active == {THUNDER: [span(10, 30)], TRUCK: [span(1, 2)], empty: []}
    with pytest.raises(DataError, match=rf"{tmp_path} has no segments of V1:DCH-THUNDER:2, H1:DCH-TRUCK:2: add files"):
        active_segments([Flag("V1", "DCH-THUNDER", 2), TRUCK, Flag("H1", "DCH-TRUCK", 2)], str(tmp_path), 0.0, 1.0)


@pytest.fixture
def server() -> Iterator[str]:
    """A DQSegDB server (LIGO-T1300625) with one flag."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            address = urlsplit(self.path)
            assert address.path == "/dq/L1/DCH-THUNDER/2"
            asked = parse_qs(address.query)
            span = [[int(asked["s"][0]), int(asked["e"][0])]]
            answer = {"ifo": "L1", "name": "DCH-THUNDER", "version": 2, "known": span}
            answer |= {"active": [[900, 1010], [1020, 1030], [2000, 2100]]}
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def test_segments_from_a_server(server: str) -> None:
    active = active_segments([THUNDER], server, 1000.5, 1999.5)
    assert active == {THUNDER: [span(1000, 1010), span(1020, 1030)]}


def test_a_server_that_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(DataError, match=r"did not give the segments of H1:DCH-TRUCK:1 \(.*refused.*\): check") as error:
        active_segments([TRUCK], address, 1000.0, 2000.0)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("</LIGO_LW>", "", r"line 56\d: no element found: this is no complete LIGO_LW document"),
        ('1,"Stochastic', 'one,"Stochastic', "line 522: .*'one'"),
        (
            'veto_definer:category" Type="int_4s',
            'veto_definer:category" Type="colour',
            "line 511: invalid type 'colour'",
        ),
        ('"process:process_id:1",0,1235750418', '"process:process_id:1",0,', "row 1 of veto_definer lacks start_time"),
        ("1239554617", "1239554134", "row 15 of veto_definer: DCH-FORKLIFT ends before it starts"),
        ("veto_definer", "veto_definition", "has no table veto_definer"),
    ],
)
def test_damaged_definers_are_refused_in_one_line(
    tmp_path: Path, data_directory: Path, old: str, new: str, message: str
) -> None:
    text = definer(data_directory).read_text()
    assert old in text
    path = tmp_path / "definer.xml"
    path.write_text(text.replace(old, new))
    with pytest.raises(DataError, match=message) as error:
        read_definer(str(path))
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_other_files_are_refused(tmp_path: Path, data_directory: Path) -> None:
    with pytest.raises(StorageError, match=r"nowhere.xml does not exist"):
        read_definer(str(tmp_path / "nowhere.xml"))
    with pytest.raises(DataError, match=r"line 1: .*no complete LIGO_LW document"):
        read_flags(str(data_directory / "segments" / "S6-H1segments-cat1.txt"))
    with pytest.raises(DataError, match="has no table segment_definer"):
        read_flags(str(definer(data_directory)))
    whole = gzip.compress(definer(data_directory).read_bytes())
    cut = tmp_path / "cut.xml.gz"
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StorageError, match=r"cut\.xml\.gz is damaged \(.*\): fetch it again"):
        read_definer(str(cut))


def test_rows_that_lack_values_are_refused_by_their_line(tmp_path: Path) -> None:
    path = tmp_path / "flags.xml"
    write_flags(path, {THUNDER: [(10, 20), (30, 40), (50, 60)]})
    text = path.read_text()
    lines = text.splitlines()
    for value in ("10", "30", "50"):
        number = next(k for k, line in enumerate(lines, 1) if f",{value}," in line)
        path.write_text(text.replace(f"{value},", "", 1))
        with pytest.raises(DataError, match=rf"flags\.xml, line {number}: a row has not all of its 6 values: fetch"):
            read_flags(str(path))
    path.write_text(text.replace("50,0,60,0", "50,0,60"))
    with pytest.raises(DataError, match=rf"flags\.xml, line {number}: a row has not all of its 6 values: fetch"):
        read_flags(str(path))
    for whole in ("50,0,60,", "50,0,60,0,", "50,\n0,60,0"):
        path.write_text(text.replace("50,0,60,0", whole))
        assert read_flags(str(path)) == {THUNDER: [span(10, 20), span(30, 40), span(50, 60)]}


def test_segments_without_their_flag_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "flags.xml"
    write_flags(path, {THUNDER: [(10, 20)]})
    text = path.read_text()
    assert "0,0,10,0,20,0" in "".join(text.split())
    path.write_text(text.replace("0,0,10,0,20,0", "0,7,10,0,20,0"))
    with pytest.raises(DataError, match=r"row 1 of segment: .*flag number 7"):
        read_flags(str(path))
