"""Lists in the forms that GWOSC, gwpy, pandas and spreadsheets write."""

import gzip
import re
from pathlib import Path

import pytest

from aframe.errors import DataError, StorageError
from aframe.strain.lists import read_events, read_listing

FORMS = {
    "a list": "# GPS s\n1262304100.5\n\n1262304200.25  # a neutron star\n",
    "times and names": "1262304100.5\tGW 1\n1262304200.25\tGW 2\n",
    "numbered rows": "0,1262304100.5\n1,1262304200.25\n",
    "a table": "name,gps\nGW1,1262304100.5\nGW2,1262304200.25\n",
    "GWOSC's table": "id,commonName,version,catalog.shortName,GPS,mass_1_source\nGW1-v3,GW1,3,GWTC-1,1262304100.5,35\n"
    "GW2-v1,GW2,1,GWTC-1,1262304200.25,\n",
    "quotes": '"name","gps","description"\n"GW1","1262304100.5","loud # 1, see note"\n"GW2",1262304200.25,""\n',
    "semicolons": "name;gps;far\r\nGW1;1262304100.5;0,1\r\nGW2;1262304200.25;\r\n",
    "tabs": "\ufeffevent name\tgps time (s)\nGW 1\t1262304100.5\nGW 2\t1262304200.25\n",
    "an index": ",name,time\n0,GW1,1262304100.5\n1,GW2,1262304200.25\n,,\n",
    "UTC": "name,gps\nGW1,2020-01-06T00:01:22.5\nGW2,2020-01-06 01:03:02.25+01:00\n",
    "JSON": '{"events": {"GW1-v1": {"commonName": "GW1", "GPS": 1262304100.5}, "GW2-v1": {"GPS": 1262304200.25}}}',
    "numbers of rows that begin anywhere": "5 1262304100.5\n17 1262304200.25\n",
    "times and SNRs": "1262304100.5 24.0\n1262304200.25 8\n",
    "times and other numbers": "1262304100.5,GW1,24.1,35.6\n1262304200.25,GW2,12.0,1.4\n",
    "a table that pandas prints": "  name           gps\n0  GW1  1262304100.50\n1  GW2  1262304200.25\n",
    "a printed table without an index": "name           gps\n GW1  1262304100.50\n GW2  1262304200.25\n",
    "a printed table with a named index": "             gps snr\nname\nGW1  1262304100.5  24\nGW2  1262304200.25  8\n",
    "a table with pandas' index": "Unnamed: 0,name,gps\n0,GW1,1262304100.5\n1,GW2,1262304200.25\n",
    "seconds and nanoseconds": "gps_time,gps_time_ns,name\n1262304100,500000000,GW1\n1262304200,250000000,GW2\n",
    "nanoseconds of another column": "event_time,name,peak_time,peak_time_ns\n"
    "1262304100.5,GW1,1262304100,400000000\n1262304200.25,GW2,1262304200,100000000\n",
    "comments": "% GPS s\n! of O3\n// by hand\n1262304100.5 GW1 // loud\n1262304200.25 GW2 % faint\n",
    "UTC with blanks": "GW1 2020-01-06 00:01:22.5\nGW2 2020-01-06 00:03:02.250 UTC\n",
    "UTC with Z before a name": "2020-01-06T00:01:22.5Z GW1\n2020-01-06 00:03:02.25Z BNS\n",
    "UTC with Z": "name gps\nGW1 2020-01-06T00:01:22.5Z\nGW2 2020-01-06 00:03:02.25Z\n",
    "offsets from UTC": "2020-01-05 16:01:22.5 -0800 GW1\n2020-01-06 01:03:02.25 +01:00 GW2\n",
    "offsets in a table": "name,gps\nGW1,2020-01-05 16:01:22.5 -0800\nGW2,2020-01-06T00:03:02.25 utc\n",
    "offsets in JSON": '[{"name": "GW1", "gps": "2020-01-05 16:01:22.5 -0800"}, {"gps": "2020-01-06 00:03:02.25 UTC"}]',
    "a cell of two lines": 'name,gps,comment\nGW1,1262304100.5,"loud\n# and clear"\nGW2,1262304200.25,"faint"\n',
    "a comma behind each row": "GW1,1262304100.5,\nGW2,1262304200.25,\n",
    "comments behind semicolons": "; GPS s\n1262304100.5,GW1\n;of O4\n1262304200.25,GW2\n",
    "Excel's first line": "sep=;\nname;gps\nGW1;1262304100.5\nGW2;1262304200.25\n",
    "blanks of web pages": "GW1\u00a01262304100.5\nGW2\u00a0 1262304200.25\n",
    "names of columns in a comment": "# by hand\n# name snr t_0\nGW1 30.5 1262304100.5\nGW2 8 1262304200.25\n",
    "a comment of other words than names": "# event time\n1262304100.5 GW1\n1262304200.25 GW2\n",
    "the table of GraceDB": "superevent_id,t_0,t_start,t_end\nGW1,1262304100.5,1262304100,1262304101\n"
    "GW2,1262304200.25,1262304200,1262304201\n",
    "the JSON of GraceDB": '{"superevents": [{"superevent_id": "GW1", "t_0": 1262304100.5, "labels": ["EM_READY"]}, '
    '{"superevent_id": "GW2", "t_0": 1262304200.25, "labels": []}]}',
    "single detectors' triggers": "event,end_time,end_time_ns\nGW1,1262304100,500000000\nGW2,1262304200,250000000\n",
    "JSON by columns": '{"name": {"0": "GW1", "1": "GW2"}, "gps": {"0": 1262304100.5, "1": 1262304200.25}}',
    "JSON of lists": '{"gps": [1262304100.5, 1262304200.25], "name": ["GW1", "GW2"]}',
    "JSON with the names apart": '{"columns": ["name", "gps"], "index": [0, 1], "data": [["GW1", 1262304100.5], '
    '["GW2", 1262304200.25]]}',
    "two columns of one time": "name,time (GPS),time (UTC)\nGW1,1262304100.5,2020-01-06T00:01:22\n"
    "GW2,1262304200.25,2020-01-06T00:03:02\n",
    "UTC in small letters": "GW1 2020-01-06t00:01:22.5z\nGW2 2020-01-06t00:03:02.25z\n",
    "a column of UTC": "name,time,tz\nGW1,2020-01-06T00:01:22.5,UTC\nGW2,2020-01-06T00:03:02.25,utc\n",
    "units behind blanks": "name gps (GPS s) snr\nGW1 1262304100.5 8\nGW2 1262304200.25 9\n",
    "rows of JSON": '{"results": [{"name": "GW1", "gps": 1262304100.5}, {"name": "GW2", "gps": 1262304200.25}]}',
}


@pytest.mark.parametrize("form", FORMS)
def test_times_of_events(form: str, tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text(FORMS[form], encoding="utf-8", newline="")
    events = read_events(str(path))
    assert [time for _, time in events] == [1262304100.5, 1262304200.25]
    is_nameless = form == "a list" or "numbers of rows" in form or form in ("numbered rows", "times and SNRs")
    assert events[0][0] in ({""} if is_nameless else {"GW1", "GW 1"})


def test_the_table_of_gwosc(data_directory: Path) -> None:
    events = read_events(str(data_directory / "catalog/gwosc_event_versions.csv"))
    assert ("GW150914", 1126259462.4) in events
    assert len(events) > 90


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("1126259462.4\nGW170817\n", "line 2: 'GW170817'"),
        ("name,gps\nGW1,1\nGW2\n", "line 3: 'GW2'"),
        ("name,gps\nGW1,1\nGW2,\n", "line 3: 'GW2 '"),
        ("name;gps\nGW1;1262304100,4\n", "line 2: 'GW1 1262304100,4'"),
        ("1262304100,4\n", "line 1: '1262304100 4'"),
        ("GW1 2020-01-06 GW2 2020-01-07\n", "line 1: 'GW1 2020-01-06 GW2 2020-01-07'"),
        ("1126259462 391000000\n", "line 1: '1126259462 391000000'"),
        ("2020-01-06T00:01:22,5\n", "line 1: '2020-01-06T00:01:22 5'"),
        ("gps=1126259462.4\n", "line 1: 'gps=1126259462.4'"),
        ("1126259462.4 1187008882.4\n", "line 1: '1126259462.4 1187008882.4'"),
        ("name,when\nGW1,1\n", "line 1: 'name when'"),
        ("inf\n", "line 1"),
        ("gps\n2020-13-06T00:01:22\n", "line 2"),
        ('{"events": {"GW1": {"snr": 8}}}', "row 0: 'snr'"),
    ],
)
def test_malformed_times_are_named_by_file_and_line(text: str, place: str, tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text(text)
    with pytest.raises(
        DataError, match=f"^{path}, {re.escape(place)}.* (has no|does not say which number is the) GPS time: ex"
    ):
        read_events(str(path))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('name,gps\n"GW1,1\n', "line 2: a quote is not closed"),
        ('{"segments": [[1, 2]', "is no JSON"),
        ('{"strain": 3}', "has no segments and no events, as GWOSC's JSON has"),
    ],
)
def test_other_texts_are_refused(text: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(DataError, match=reason):
        read_listing(str(tmp_path / "list.csv"))
    with pytest.raises(StorageError, match="is no text file"):
        read_listing(str(tmp_path))


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("gps\n1.126259e+09\n", "line 2: '1.126259e+09': 1.126259e+09 is rounded to 1000 s"),
        ("  name           gps\n0  GW1  1.126259e+09\n", "line 2: .*: 1.126259e+09 is rounded to 1000 s"),
        ("1.12625946e+09 GW1\n", "line 1: .*: 1.12625946e+09 is rounded to 10 s: write all digits of the time"),
        (
            "1126259462400 24.1\n",
            r"line 1: .* \(1126259462400 seems to be in milliseconds\) does not say which number is",
        ),
        ("time (PST),name\n1262304100.4,GW1\n", "line 1: .*: a column is in 'PST', and seconds are needed: convert"),
        ("gps,gps_ns\n1262304100.4,400000000\n", "line 2: .*: 400000000 ns do not continue 1262304100.4 s: give whole"),
        ("gps,gps_ns\n1262304100,1262304100400000000\n", "line 2: .*: 1262304100400000000 ns do not continue 12623"),
        ("gps,gps_ns\n1262304100,\n", "line 2: .* has no GPS time"),
        ("event_time,peak_time_ns\n1262304100,400000000\n", "line 1: .*: 'peak_time_ns' continues no column: name it"),
        ("name,gps,ns\nGW1,1262304100,400000000\n", "line 1: .*: 'ns' continues no column: name it as the column of"),
        (
            "gps,name,GPS\n1262304100.5,GW1,1262304200.5\n",
            r"line 1: .*: the columns 1 \('gps'\) and 3 \('GPS'\) have one",
        ),
        ("start_time,end_time\n1262304100,1262304200\n", "line 1: .* has no GPS time: expected"),
        ('<?xml version="1.0"?><LIGO_LW/>', "is XML or a page of the web: give a list in text, CSV or JSON"),
    ],
)
def test_what_is_wrong_with_times_is_said(text: str, seen: str, tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=f"^{path}.*{seen}".replace("+", r"\+")):
        read_events(str(path))
    path.write_text("1.2623041005e+09\n1.26230420025e9\n")
    assert [time for _, time in read_events(str(path))] == [1262304100.5, 1262304200.25]


@pytest.mark.parametrize(
    "text",
    [
        '[{"id": "H1_DATA", "segments": [[1, 2]]}, {"id": "L1_DATA", "segments": [[3, 4]]}]',
        '{"H1_DATA": [[1, 2]], "L1_DATA": []}',
        '{"segments": {"H1_DATA": [[1, 2]], "L1_DATA": [[3, 4]]}}',
        '{"results": [{"ifo": "H1", "name": "DATA", "active": [[1, 2]]}, {"ifo": "L1", "name": "DATA", "active": []}]}',
    ],
)
def test_of_several_flags_that_of_the_detector_is_read(text: str, tmp_path: Path) -> None:
    path = tmp_path / "flags.json"
    path.write_text(text)
    assert [row.values for row in read_listing(str(path), "H1").rows] == [("1", "2")]
    with pytest.raises(
        DataError, match=r"flags\.json has several flags \(H1.DATA, L1.DATA\): write the segments of one"
    ):
        read_listing(str(path))
    with pytest.raises(DataError, match=r"flags\.json has no flag of V1 \(H1.DATA, L1.DATA\): write"):
        read_listing(str(path), "V1")


@pytest.mark.parametrize(
    "zone",
    [
        "PST",
        "CET",
        "(JST)",
        "Europe/Rome",
        "UTC-8",
        "PM",
        "pst",
        "Pst",
        "p.m.",
        "pm",
        "local",
        "US/Pacific",
        "Etc/GMT+8",
    ],
)
def test_names_of_time_zones_are_refused(zone: str, tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    time = f"2020-01-06 00:01:22 {zone}"
    for text in (f"{time}\n", f"GW1 {time}\n", f"{time} GW1\n", f"name,gps\nGW1,{time}\n", f'[{{"gps": "{time}"}}]'):
        path.write_text(text)
        with pytest.raises(DataError, match=rf" ends in {re.escape(zone)}, which is not UTC: give the time in UTC, or"):
            read_events(str(path))


@pytest.mark.parametrize("title", ["tz", "timezone", "time zone", "UTC offset"])
def test_a_column_of_time_zones_is_refused(title: str, tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text(f"name,time,{title}\nGW1,2020-01-06T00:01:22,-0800\n")
    with pytest.raises(
        DataError, match=r"line 2: .* has the time zone '-0800': give times in UTC, and leave the column"
    ):
        read_events(str(path))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
def test_text_of_two_bytes_has_a_mark(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "events.txt"
    path.write_text("name\tgps\r\nGW1\t1262304100.5\r\n", encoding=encoding, newline="")
    if encoding == "utf-16":
        assert read_events(str(path)) == [("GW1", 1262304100.5)]
    else:
        with pytest.raises(StorageError, match=r"events\.txt is no text file in UTF-8: save it so"):
            read_events(str(path))


def test_a_list_compressed_with_gzip(tmp_path: Path) -> None:
    path = tmp_path / "events.csv.gz"
    path.write_bytes(gzip.compress(b"name,gps\nGW1,1262304100.5\n"))
    assert read_events(str(path)) == [("GW1", 1262304100.5)]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(StorageError, match=r"events\.csv\.gz is damaged \(.*\): fetch it again"):
        read_events(str(path))


def test_an_empty_list_has_no_rows(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("# seg start stop duration\n\n")
    assert read_listing(str(tmp_path / "list.csv")).rows == read_events(str(tmp_path / "list.csv")) == []
