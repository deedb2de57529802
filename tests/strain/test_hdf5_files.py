import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from gwpy.frequencyseries import FrequencySeries
from gwpy.timeseries import TimeSeries

from aframe.errors import DataError, StorageError
from aframe.strain import hdf5_files
from aframe.strain.hdf5_files import check, read, series_in
from aframe.strain.recordings import inventory, of_files

START, RATE = 1000000000.0, 1024
NOISE = np.random.default_rng(0).normal(0, 1e-21, 8 * RATE)


def listed(path):
    return [(r.ifo, r.channel, r.start, r.sample_rate, r.size) for r in inventory(str(path))]


def put(group, name, data=NOISE, start=START, rate=RATE, **options):
    dataset = group.create_dataset(name, data=data, **options)
    dataset.attrs.update({"x0": start, "dx": 1 / rate})
    return dataset


def test_a_group_for_each_detector_as_gwpy_writes_it(tmp_path):
    for ifo in ("H1", "L1"):
        strain = TimeSeries(NOISE, t0=START, sample_rate=RATE, name=f"{ifo}:STRAIN", channel=f"{ifo}:STRAIN")
        strain.write(str(tmp_path / "two.h5"), format="hdf5", path=f"{ifo}/strain", append=True)
    assert listed(tmp_path / "two.h5") == [(ifo, f"/{ifo}/strain", START, RATE, len(NOISE)) for ifo in ("H1", "L1")]
    np.testing.assert_array_equal(read(inventory(str(tmp_path / "two.h5"))[0], 10, 20), NOISE[10:20])


def test_a_group_for_each_detector_with_a_dataset_for_each_time(tmp_path):
    """The layout of the mock data challenge."""
    with h5py.File(tmp_path / "challenge.hdf", "w") as file:
        for ifo in ("H1", "L1"):
            for start in (1000000000, 1000000008):
                dataset = file.create_dataset(f"{ifo}/{start}", data=NOISE)
                dataset.attrs.update({"start_time": start, "delta_t": 1 / RATE})
    assert [(r[0], r[2]) for r in listed(tmp_path / "challenge.hdf")] == [
        (ifo, start) for ifo in ("H1", "L1") for start in (1000000000, 1000000008)
    ]


def test_links(tmp_path):
    with h5py.File(tmp_path / "data.h5", "w") as file:
        put(file, "raw")
    with h5py.File(tmp_path / "links.h5", "w") as file:
        file["H1"] = h5py.ExternalLink("data.h5", "/raw")
        file["again"] = h5py.SoftLink("/H1")
        file["whole"] = h5py.SoftLink("/")
    assert listed(tmp_path / "links.h5") == [("H1", "/H1", START, RATE, len(NOISE))]
    (tmp_path / "data.h5").unlink()
    with pytest.raises(DataError, match=r"holds no strain: 'H1' is a link to data\.h5, which cannot be opened"):
        listed(tmp_path / "links.h5")


def test_links_to_one_dataset_are_one_strain(tmp_path):
    with h5py.File(tmp_path / "data.h5", "w") as file:
        put(file, "raw")
    with h5py.File(tmp_path / "links.h5", "w") as file:
        put(file, "L1")
        file["H1"], file["H1_again"] = h5py.ExternalLink("data.h5", "/raw"), h5py.ExternalLink("./data.h5", "/raw")
        file["L1_again"] = file["L1"]
    assert [r[1] for r in listed(tmp_path / "links.h5")] == ["/H1", "/L1"]


def test_a_virtual_dataset_without_its_source_names_it(tmp_path):
    with h5py.File(tmp_path / "data.h5", "w") as file:
        put(file, "raw")
    layout = h5py.VirtualLayout(NOISE.shape, NOISE.dtype)
    layout[:] = h5py.VirtualSource("data.h5", "raw", NOISE.shape)
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        file.create_virtual_dataset("H1", layout).attrs.update({"x0": START, "dx": 1 / RATE})
    np.testing.assert_array_equal(read(inventory(str(tmp_path / "virtual.h5"))[0], 10, 20), NOISE[10:20])
    (tmp_path / "data.h5").unlink()
    with pytest.raises(DataError, match=r"'H1' is virtual, and its source data\.h5 does not exist: put it there"):
        inventory(str(tmp_path / "virtual.h5"))


def test_samples_in_another_file_that_is_missing(tmp_path):
    NOISE.tofile(tmp_path / "raw.bin")
    with h5py.File(tmp_path / "data.h5", "w") as file:
        raw = [(str(tmp_path / "raw.bin"), 0, h5py.h5f.UNLIMITED)]
        file.create_dataset("H1", NOISE.shape, NOISE.dtype, external=raw).attrs.update({"x0": START, "dx": 1 / RATE})
    np.testing.assert_array_equal(read(inventory(str(tmp_path / "data.h5"))[0], 10, 20), NOISE[10:20])
    (tmp_path / "raw.bin").unlink()
    with pytest.raises(DataError, match=r"'H1' has its samples in \S+raw\.bin, which does not exist: put it there"):
        inventory(str(tmp_path / "data.h5"))


def test_a_file_whose_writer_did_not_close_it(tmp_path):
    code = "import h5py, os, sys; f = h5py.File(sys.argv[1], 'w', libver='latest'); f.swmr_mode = True; os._exit(0)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "open.h5")], check=True)
    with pytest.raises(StorageError, match=r"open\.h5 is open in a program that writes it, or one ended before .*h5cl"):
        inventory(str(tmp_path / "open.h5"))


@pytest.mark.parametrize(
    ("place", "labels"),
    [("H1", {"name": "L1:STRAIN"}), ("Hanford/strain", {"channel": "L1:STRAIN"}),
     ("strain", {"name": "H1:STRAIN", "channel": "L1:STRAIN"}), ("H1/livingston", {})],
)  # fmt: skip
def test_a_series_of_two_detectors_is_refused(tmp_path, place, labels):
    with h5py.File(tmp_path / "both.h5", "w") as file:
        put(file, place).attrs.update(labels)
    with pytest.raises(DataError, match=r"both\.h5 contradicts itself: the .* is of [HL]1, and the .* of [HL]1: mend"):
        inventory(str(tmp_path / "both.h5"))


@pytest.mark.parametrize("place", ["h", "g/l", "v1/strain"])
def test_letters_and_versions_contradict_no_name(tmp_path, place):
    with h5py.File(tmp_path / "one.h5", "w") as file:
        put(file, place).attrs["channel"] = "L1:STRAIN"
    assert [r.ifo for r in inventory(str(tmp_path / "one.h5"))] == ["L1"]


def test_a_link_to_itself_is_left_out(tmp_path):
    with h5py.File(tmp_path / "links.h5", "w") as file:
        put(file, "H1")
        file["loop"] = h5py.SoftLink("/loop")
    assert [r[1] for r in listed(tmp_path / "links.h5")] == ["/H1"]


def test_a_start_in_single_precision_is_refused(tmp_path):
    with h5py.File(tmp_path / "rough.h5", "w") as file:
        put(file, "H1", start=np.float32(1126259446))
    with pytest.raises(DataError, match="'H1' begins at a GPS time in single precision"):
        listed(tmp_path / "rough.h5")


def gwosc(path, meta=None, **attributes):
    """A file in GWOSC's layout."""
    with h5py.File(path, "w") as file:
        file["strain/Strain"] = NOISE
        file["strain/Strain"].attrs.update({"Xstart": START, "Xspacing": 1 / RATE} | attributes)
        for name, value in ({"Detector": "H1", "GPSstart": START, "Duration": 8} | (meta or {})).items():
            file[f"meta/{name}"] = value
    return str(path)


@pytest.mark.parametrize(
    ("file", "said", "ifo"),
    [("x.hdf5", "h1", "H1"), ("x.hdf5", "L", "L1"), ("x.hdf5", "Hanford", "H1"), ("x.hdf5", [b"V1"], "V1"),
     ("L-L1_GWOSC-1-8.hdf5", "4k", "L1")],
)  # fmt: skip
def test_detectors_as_people_write_them(tmp_path, file, said, ifo):
    assert listed(gwosc(tmp_path / file, {"Detector": said})) == [(ifo, "/strain/Strain", START, RATE, len(NOISE))]


def test_a_gwosc_file_that_does_not_name_its_detector(tmp_path):
    with pytest.raises(DataError, match=r"does not name the detector of 'strain/Strain': name the file as H-H1_ANY"):
        listed(gwosc(tmp_path / "data.hdf5", {"Detector": "?"}))


@pytest.mark.parametrize(
    ("meta", "attributes"),
    [
        ({}, {"Xspacing": 1000 / RATE, "Xunits": "ms"}),
        ({}, {"Xstart": 1000 * START, "Xspacing": 1000 / RATE, "Xunits": b"milliseconds"}),
        ({}, {"Xstart": int(1e9 * START), "Xspacing": 10**9 // RATE + 1, "Xunits": "ns"}),
        ({"GPSstart": "1000000000"}, {"Xstart": "1000000000"}),
    ],
)
def test_times_of_gwosc_in_other_units(tmp_path, meta, attributes):
    path = gwosc(tmp_path / "gwosc.hdf5", meta, **attributes)
    assert listed(path) == [("H1", "/strain/Strain", START, RATE, len(NOISE))]


@pytest.mark.parametrize(
    "times",
    [
        {"x0": 1000 * START, "dx": 1000 / RATE, "xunit": "ms"},
        {"x0": np.int64(1e9 * START), "dx": np.int64(1e9 / RATE), "xunit": "ns"},
        {"xindex": START + np.arange(512) / RATE},
        {"xindex": int(1e9 * START) + np.arange(512) * 10**9 // RATE, "xunit": "ns"},
    ],
)
def test_times_in_other_units(tmp_path, times):
    with h5py.File(tmp_path / "H1.h5", "w", libver="latest") as file:
        file.create_dataset("H1", data=NOISE[:512]).attrs.update(times)
    assert listed(tmp_path / "H1.h5") == [("H1", "/H1", START, RATE, 512)]


@pytest.mark.parametrize(
    ("times", "reason"),
    [
        (
            {"x0": 1e9 * START, "dx": 1e9 / RATE},
            "begins at 10+ s: write GPS seconds, or the unit of",
        ),
        ({"x0": START, "dx": 1e3 / RATE, "xunit": "ms"}, r"begins at 1000000000\.0 ms, which seems a time in s"),
        (
            {"x0": "2015-09-14T09:50:45", "dx": 1 / RATE},
            "begins at 2015-09-14T09:50:45 with steps .*: write",
        ),
        ({"xindex": START + np.arange(99) ** 2}, "with steps of different lengths"),
        ({"x0": START, "dx": 0.25, "xunit": "furlong"}, "is in steps of furlong, no time series"),
    ],
)
def test_times_that_cannot_be_read(tmp_path, times, reason):
    with h5py.File(tmp_path / "H1.h5", "w", libver="latest") as file:
        file.create_dataset("H1", data=NOISE).attrs.update(times)
    with pytest.raises(DataError, match=rf"holds no strain: 'H1' .*{reason}"):
        listed(tmp_path / "H1.h5")


def test_a_start_of_gwosc_in_utc(tmp_path):
    with pytest.raises(DataError, match=r"'strain/Strain' begins at 2011-09-14T01:46:25 with steps of .*: write a GPS"):
        listed(gwosc(tmp_path / "gwosc.hdf5", Xstart="2011-09-14T01:46:25"))


@pytest.mark.parametrize(("name", "value"), [("GPSstart", START - 100), ("Duration", 16)])
def test_a_file_that_contradicts_itself_is_refused(tmp_path, name, value):
    gwosc(tmp_path / "gwosc.hdf5", {name: value})
    with pytest.raises(DataError, match=rf"contradicts itself: meta/{name} is {value:.0f}"):
        listed(tmp_path / "gwosc.hdf5")


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"start_time": START + 100.0}, "x0 = .* and start_time = "),
        ({"delta_t": 1 / 4096}, "dx = .* and delta_t = "),
        ({"sample_rate": 16384}, "dx = .* and sample_rate = 16384"),
    ],
)
def test_attributes_that_contradict_each_other_are_refused(tmp_path, other, message):
    with h5py.File(tmp_path / "H1.h5", "w") as file:
        file.create_dataset("H1", data=NOISE).attrs.update({"x0": START, "dx": 1 / RATE, "sample_rate": RATE} | other)
    with pytest.raises(DataError, match=rf"H1\.h5 contradicts itself: H1 has {message}.*: mend or delete one of them$"):
        listed(tmp_path / "H1.h5")


def test_names_that_are_no_text_are_read(tmp_path):
    with h5py.File(tmp_path / "H1.h5", "w") as file:
        put(file, "H1").attrs["name"] = np.bytes_(b"\xe9\xff")
    assert [ifo for ifo, *_ in listed(tmp_path / "H1.h5")] == ["H1"]


def test_a_file_that_changes_while_it_is_used_is_refused(tmp_path):
    path = tmp_path / "H1.h5"
    with h5py.File(path, "w") as file:
        put(file, "H1")
    (recording,) = inventory(str(path))
    with h5py.File(path, "w") as file:
        put(file, "H1", NOISE[:-1])
    with pytest.raises(
        StorageError, match=r"H1\.h5 has changed while it was in use: /H1 had 8192 samples, and now has"
    ):
        read(recording, 0, 10)


def test_a_spectrum_is_no_strain(tmp_path):
    path = str(tmp_path / "H1.h5")
    with h5py.File(path, "w") as file:
        put(file, "H1")
    spectrum = FrequencySeries(np.full(100, 1e-46), f0=0, df=0.25, name="H1:PSD", channel="H1:GDS-CALIB_STRAIN")
    spectrum.write(path, format="hdf5", path="H1:PSD", append=True)
    assert [r[1] for r in listed(path)] == ["/H1"]
    flaws = {series.names[0]: series.flaw for series in series_in(path, None)}
    assert flaws == {"H1": "", "H1:PSD": "is in steps of Hz, no time series"}


@pytest.mark.parametrize(
    ("data", "attributes", "reason"),
    [
        (np.full(64, 7, np.uint32), {}, "is of uint32: strain must be floating-point numbers"),
        (np.zeros((8, 8)), {}, "is of float64 in 2 dimensions"),
        (np.zeros(0), {}, "has no samples"),
        (NOISE, {"dx": 0.0}, "with steps of 0.0: write"),
        (NOISE, {"dx": "fast"}, "with steps of fast: write"),
        (NOISE, {"x0": np.nan}, "begins at nan"),
        (NOISE, {"x0": [1.0, 2.0]}, r"begins at \[1\. 2\.\]"),
        (NOISE, {"xunit": "Hz"}, "is in steps of Hz"),
        (NOISE, {"unit": "counts"}, "is in counts"),
        (NOISE, {"name": "H1:PEM-CS_ACC_X"}, "is no known name of strain"),
    ],
)  # fmt: skip
def test_other_series_are_no_strain(tmp_path, data, attributes, reason):
    with h5py.File(tmp_path / "H1.h5", "w") as file:
        dataset = put(file, "H1", data)
        for name, value in attributes.items():
            dataset.attrs[name] = value
    with pytest.raises(DataError, match=rf"H1\.h5 holds no strain: 'H1' .*{reason}.*choose with --channel"):
        listed(tmp_path / "H1.h5")


def test_a_damaged_chunk_is_named_with_its_time(tmp_path):
    with h5py.File(tmp_path / "H1.h5", "w") as file:
        dataset = put(file, "H1", chunks=(RATE,), compression="gzip")
        place = dataset.id.get_chunk_info(5)
    with open(tmp_path / "H1.h5", "r+b") as stream:
        stream.seek(place.byte_offset + place.size // 3)
        stream.write(bytes(100))
    (recording,) = inventory(str(tmp_path / "H1.h5"))
    np.testing.assert_array_equal(read(recording, 0, 5 * RATE), NOISE[: 5 * RATE])
    with pytest.raises(StorageError, match=r"H1\.h5 is damaged: /H1 cannot be read at GPS 1000000005\.000 .*fetch it"):
        read(recording, 2000, 7 * RATE)


def test_a_file_at_which_hdf5_crashes_is_named(tmp_path):
    """The library follows a string that is no string. Other files of the command are whole."""
    paths = [str(tmp_path / name) for name in ("whole.h5", "H1.h5", "later.h5")]
    for path in paths:
        with h5py.File(path, "w") as file:
            put(file, "H1").attrs["channel"] = "H1:STRAIN"
    check(paths)
    content = Path(paths[1]).read_bytes()
    string = b"channel\0\x19\x01"  # a variable length, of text
    assert content.count(string) == 1
    Path(paths[1]).write_bytes(content.replace(string, b"channel\0\x19\xd5"))
    with pytest.raises(StorageError, match=r"H1\.h5 is damaged \(HDF5 crashes on it with SIG\w+\): fetch it again$"):
        of_files(paths)


def test_a_file_with_which_hdf5_never_ends_is_named(tmp_path, monkeypatch):
    with h5py.File(tmp_path / "H1.h5", "w") as file:
        put(file, "H1")
    endless = "walk.LONGEST_WALK = 0.5; walk._walk = lambda *_: max(iter(int, 1)); walk.main()"
    monkeypatch.setattr(hdf5_files, "WALK", f"from aframe.strain import hdf5_walk as walk; {endless}")
    with pytest.raises(StorageError, match=r"H1\.h5 is damaged \(HDF5 never ends with it\): fetch it again$"):
        check([str(tmp_path / "H1.h5")])


def test_a_compression_that_is_not_installed_is_named(tmp_path):
    with h5py.File(tmp_path / "H1.h5", "w") as file:
        put(file, "H1", compression="gzip")
    content = (tmp_path / "H1.h5").read_bytes()
    place = content.index(b"deflate") - 8  # the number of the filter, in the dataset's header
    (tmp_path / "H1.h5").write_bytes(content[:place] + (32008).to_bytes(2, "little") + content[place + 2 :])
    with pytest.raises(DataError, match=r"/H1 is compressed with deflate \(HDF5 filter 32008\), which is not inst"):
        listed(tmp_path / "H1.h5")


def test_an_optional_compression_that_was_not_used(tmp_path):
    options = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    options.set_chunk((len(NOISE),))
    options.set_filter(32008, h5py.h5z.FLAG_OPTIONAL)
    with h5py.File(tmp_path / "H1.h5", "w") as file:
        space = h5py.h5s.create_simple(NOISE.shape)
        dataset = h5py.Dataset(h5py.h5d.create(file.id, b"H1", h5py.h5t.NATIVE_DOUBLE, space, options))
        dataset[:] = NOISE
        dataset.attrs.update({"x0": START, "dx": 1 / RATE})
    (recording,) = inventory(str(tmp_path / "H1.h5"))
    np.testing.assert_array_equal(read(recording, 0, 100), NOISE[:100])
