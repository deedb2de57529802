import re
from pathlib import Path

import numpy as np
import pytest

import aframe
from aframe.errors import DataError, StorageError
from aframe.events.vetoes import Veto, reasons, union
from aframe.settings.read import load_config
from aframe.settings.sections import Config
from aframe.steps.veto_sources import asks_the_network, load_vetoes, notes
from aframe.strain.segments import Segment

IFOS = ("H1", "L1")


def configuration(directory: Path, keys: str, source: str = "source = simulated") -> Config:
    """The demo's configuration with vetoes, of the first ten minutes of GPS time."""
    text = (Path(aframe.__file__).parent / "pipelines" / "sandbox" / "demo.cfg").read_text()
    assert text.count("source = simulated") == 1
    for key, time in (("train_start", 0), ("train_stop", 50), ("test_stop", 600)):
        text = re.sub(rf"^{key} = \d+", f"{key} = {time}", text, flags=re.MULTILINE)
    path = directory / "run" / "run.cfg"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{text.replace('source = simulated', source)}\n[luigi_vetoes]\n{keys}\n")
    load_config.cache_clear()
    return load_config(str(path))


def spans(vetoes: list[Veto], ifo: str, zero_lag: bool = False) -> list[list[float]]:
    return union(vetoes, IFOS, zero_lag)[ifo].tolist()


def test_all_sources_together(tmp_path: Path) -> None:
    files = {
        "H1-gates.txt": "100 0.5 0.5\n",
        "L1-vetoes.txt": "200 210\n",
        "H1-good.txt": "0 500\n",
        "H1-more.txt": "500 600\n",
        "events.txt": "300\n",
        "flags/L1-DCH-THUNDER-1.txt": "0 20\n400 405\n",
    }
    (tmp_path / "flags").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    definer = tmp_path / "definer.xml"
    rows = ['2,"L1","DCH-THUNDER",1,10,0,-1,2', '3,"L1","DCH-RAIN",1,10,0,0,0', '2,"V1","DCH-WIND",1,10,0,0,0',
            '2,"L1","DCH-EARLIER",1,-9000,5,0,0']  # fmt: skip
    columns = {"category": "int_4s", "ifo": "lstring", "name": "lstring"}
    columns |= dict.fromkeys(("version", "start_time", "end_time", "start_pad", "end_pad"), "int_4s")
    head = "".join(f'<Column Name="veto_definer:{name}" Type="{kind}"/>' for name, kind in columns.items())
    definer.write_text(
        f'<?xml version="1.0"?><LIGO_LW><Table Name="veto_definer:table">{head}'
        f'<Stream Name="veto_definer:table" Type="Local" Delimiter=",">{",".join(rows)}</Stream></Table></LIGO_LW>'
    )
    keys = """
gates = H1:../H1-gates.txt
veto_segments = L1:../L1-vetoes.txt
good_segments = H1:../H1-good.txt, H1:../H1-more.txt
veto_definer = ../definer.xml
veto_categories = 1, 2
flag_segments = ../flags
known_events = 1980-01-06T00:05:50, ../events.txt
known_event_window = 5
veto_margin = 0.5
"""
    chosen = configuration(tmp_path, keys)
    assert not asks_the_network(chosen)
    vetoes = load_vetoes(chosen, [Segment(50.0, 550.0)])
    assert spans(vetoes, "H1") == [[-np.inf, 0.5], [98.5, 101.5], [295, 305], [345, 355], [599.5, np.inf]]
    thunder = [[8.5, 22.5], [398.5, 407.5]]
    assert spans(vetoes, "L1") == [thunder[0], [199.5, 210.5], [295, 305], [345, 355], thunder[1]]
    assert spans(vetoes, "L1", zero_lag=True) == [thunder[0], [199.5, 210.5], thunder[1]]
    time = np.array([100.0, 205.0, 402.0, 700.0, 303.0])
    assert reasons(time, np.zeros((5, 2)), IFOS, vetoes) == [
        "H1 gate", "L1 L1-vetoes.txt", "L1 DCH-THUNDER (category 2)", "H1 not in H1-good.txt, H1-more.txt",
        "H1 known event; L1 known event",
    ]  # fmt: skip
    everywhere = configuration(tmp_path, f"{keys}known_event_scope = all\n")
    assert spans(load_vetoes(everywhere, [Segment(50.0, 550.0)]), "H1", zero_lag=True)[2] == [295, 305]
    rain = configuration(tmp_path, keys.replace("= 1, 2", "= 2, 3"))
    with pytest.raises(DataError, match=r"flags has no segments of L1:DCH-RAIN:1: add files"):
        load_vetoes(rain, [Segment(50.0, 550.0)])


def test_the_definer_of_o3_names_only_flags_that_matter(tmp_path: Path, data_directory: Path) -> None:
    definer = data_directory / "segments" / "H1L1-HOFT_C01_O3_CBC.xml"
    keys = f"veto_definer = {definer}\nveto_categories = 1\nflag_segments = ../flags\n"
    (tmp_path / "flags").mkdir()
    forklift = Segment(1239554200.0, 1239554600.0)
    chosen = configuration(tmp_path, keys)
    with pytest.raises(
        DataError, match="no segments of H1:DCH-ANY_PI_HIGH_RMS:1, H1:DCH-FORKLIFT:1, H1:DCS-MISS"
    ) as error:
        load_vetoes(chosen, [forklift])
    flags = str(error.value).partition("segments of ")[2].partition(": add files")[0].split(", ")
    assert len(flags) == 11
    assert "L1:DCH-WHISTLES:1" not in flags  # of category 2
    for flag in flags:
        (tmp_path / "flags" / f"{flag.replace(':', '-')}.txt").write_text("")
    (tmp_path / "flags" / "H1-DCH-FORKLIFT-1.txt").write_text("1239554000 1239554300\n")
    vetoes = load_vetoes(chosen, [forklift])
    assert spans(vetoes, "H1") == [[1239554135, 1239554300]]  # the definition is valid from here on
    assert spans(vetoes, "L1") == []


def test_bits_of_local_strain(tmp_path: Path, data_directory: Path) -> None:
    local = f"source = local\nframes = {data_directory / 'strain'}"
    chosen = configuration(tmp_path, "dq_bits = CBC_CAT2, NO_CBC_HW_INJ\n", local)
    assert not asks_the_network(chosen)
    vetoes = load_vetoes(chosen, [Segment(1264316101.0, 1264316133.0)])
    assert spans(vetoes, "L1", zero_lag=True) == [[1264316116, 1264316124], [1264316126, 1264316127]]
    assert spans(vetoes, "H1") == []
    assert reasons(np.array([1264316116.4]), np.zeros((1, 2)), IFOS, vetoes) == ["L1 not CBC_CAT2"]
    with pytest.raises(DataError, match="no HDF5 file with bit CBC_CAT2 of H1 from 1264316133 to 1264316140"):
        load_vetoes(chosen, [Segment(1264316120.0, 1264316140.0)])


def test_sources_on_servers_need_the_network(tmp_path: Path) -> None:
    definer = "veto_definer = d.xml\nveto_categories = 1\nflag_segments = "
    assert asks_the_network(configuration(tmp_path, f"{definer}dqsegdb\n"))
    assert asks_the_network(configuration(tmp_path, f"{definer}https://segments.example.org\n"))
    assert asks_the_network(configuration(tmp_path, "dq_bits = CBC_CAT2\n", "source = gwosc"))
    assert not asks_the_network(configuration(tmp_path, "dq_bits = CBC_CAT2\ndq_files = bits\n", "source = gwosc"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"run/nowhere\.txt does not exist"):
        load_vetoes(configuration(tmp_path, "gates = H1:nowhere.txt\n"), [Segment(0.0, 1.0)])


def test_notes_tell_empty_lists_and_shares(tmp_path: Path) -> None:
    files = {
        "gates.txt": "100 0.5 0.5\n101 0.5 0\n700 1 1\n",
        "none.txt": "# start stop\n",
        "bad.txt": "0 500\n520 600\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    chosen = configuration(
        tmp_path,
        "gates = H1:../gates.txt\nveto_segments = H1:../none.txt, L1:../bad.txt\nknown_events = ../none.txt, 300\n"
        "known_event_window = 5\n",
    )
    segments = [Segment(90.0, 110.0), Segment(500.0, 580.0)]
    assert list(notes(chosen, load_vetoes(chosen, segments), segments)) == [
        "veto_segments = H1:../none.txt is empty: it vetoes nothing",
        "known_events = ../none.txt is empty: it vetoes nothing",
        "vetoes take 2.5 of 100 s of H1, 2.50% (gate 2.50%, none.txt 0.00%, known event 0.00%)",
        "vetoes take 80 of 100 s of L1, 80.00% (bad.txt 80.00%, known event 0.00%)",
    ]
