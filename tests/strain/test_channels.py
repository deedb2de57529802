import pytest

from aframe.errors import ConfigurationError, DataError
from aframe.strain.channels import Recording, Series, choose, detector, parse_channels, units_per_second

START, STOP = 1000000000.0, 1000000100.0


def series(name, rate=4096.0, *, unit="", ifo=None, flaw="", span=(START, STOP)):
    size = round((span[1] - span[0]) * rate)
    recording = Recording("file", detector(name) or "" if ifo is None else ifo, name, span[0], rate, size)
    return Series(recording, (name,), unit, flaw)


def chosen(*content, typical=1e-19, **channels):
    return [recording.channel for recording in choose(content, channels, lambda _: typical).recordings]


@pytest.mark.parametrize(
    "name",
    [
        "H1:GDS-CALIB_STRAIN", "L1:GDS-CALIB_STRAIN_CLEAN_AR", "H1:DCS-CALIB_STRAIN_CLEAN_SUB60HZ_C01",
        "L1:DCH-CLEAN_STRAIN_C02", "H1:LDAS-STRAIN", "L1:LSC-STRAIN", "H1:LOSC-STRAIN", "L1:GWOSC-16KHZ_R1_STRAIN",
        "V1:Hrec_hoft_16384Hz", "V1:Hrec_hoft_V1O2Repro2A_16384Hz", "V1:h_20000Hz", "V1:GWOSC-4KHZ_R1_STRAIN",
        "K1:DAC-STRAIN_C20", "K1:CAL-CS_PROC_C00_STRAIN_DBL_DQ", "G1:DER_DATA_H", "G1:DER_DATA_HD_CLEAN",
    ],
)  # fmt: skip
def test_strain_of_the_observatories_is_known(name):
    ifo, rate = name[:2], 16384.0
    others = [series(f"{ifo}:PEM-CS_ACC_PSL_TABLE1_X_DQ", rate), series(f"{ifo}:GDS-CALIB_STATE_VECTOR", 16.0)]
    assert chosen(*others, series(name, rate)) == [name]
    assert chosen(*others) == []


@pytest.mark.parametrize(
    "other",
    [
        series("H1:STRAIN_PSD", 4.0), series("H1:PSD"), series("H1", unit="counts"), series("H1_ASD"),
        series("H1:SUS-ETMX_L2"), series("H1:GDS-CALIB_STRAIN", unit="1/Hz"), series("H1_aux", flaw="is of int32"),
    ],
)  # fmt: skip
def test_what_is_not_strain_is_left_out(other):
    assert chosen(other) == []
    choice = choose([other, series("H1:MY_DATA")], {}, lambda _: 1e-19)
    assert [recording.channel for recording in choice.recordings] == ["H1:MY_DATA"]
    assert list(choice.left_out) == [other.names[0]]


def test_rates_and_values_decide_between_other_names():
    slow, fast = series("H1_acc", 256.0), series("H1")
    assert chosen(slow, fast) == ["H1"]
    assert chosen(slow) == ["H1_acc"]
    values = {"H1_acc": 0.3, "H1": 2e-19, "H1_zero": 0.0}
    content = [series(name) for name in values]
    choice = choose(content, {}, lambda recording: values[recording.channel])
    assert [recording.channel for recording in choice.recordings] == ["H1"]
    assert choice.left_out == {"H1_acc": "gives way to H1", "H1_zero": "gives way to H1"}


def test_of_two_strains_both_are_named_with_how_to_choose():
    first, second = series("H1:GDS-CALIB_STRAIN"), series("H1:GDS-CALIB_STRAIN_CLEAN")
    with pytest.raises(
        DataError,
        match=r"two channels of H1 .* H1:GDS-CALIB_STRAIN and H1:GDS-CALIB_STRAIN_CLEAN: choose with --channel "
        r"H1:GDS-CALIB_STRAIN, in a \.cfg with channel = H1:GDS-CALIB_STRAIN in \[luigi_data\]",
    ):
        chosen(first, second)
    assert chosen(first, second, H1="GDS-CALIB_STRAIN_CLEAN") == ["H1:GDS-CALIB_STRAIN_CLEAN"]
    assert chosen(first, second, series("L1:STRAIN"), H1="GDS-CALIB_STRAIN") == ["H1:GDS-CALIB_STRAIN", "L1:STRAIN"]
    assert chosen(first, second, H1="NOTHING") == []
    assert chosen(series("H1:PEM-ACC"), first, H1="PEM-ACC") == ["H1:PEM-ACC"]


def test_names_of_different_times_are_one_strain():
    middle = (START + STOP) / 2
    content = [series(str(low), ifo="H1", span=(low, high)) for low, high in ((middle, STOP), (START, middle))]
    assert chosen(*content) == [str(middle), str(START)]
    with pytest.raises(DataError, match="two channels of H1"):
        chosen(*content, series("H1"))


def test_channels_of_users():
    assert parse_channels(["H1:GDS-CALIB_STRAIN", "V1:a:b"], "--channel") == {"H1": "GDS-CALIB_STRAIN", "V1": "a:b"}
    assert parse_channels(["H1:A, l1:B", "v1:C"], "--channel") == {"H1": "A", "L1": "B", "V1": "C"}
    for word in ("GDS-CALIB_STRAIN", "H1:", "H:STRAIN", ":STRAIN"):
        with pytest.raises(ConfigurationError, match=f"--channel {word}: give DETECTOR:NAME"):
            parse_channels([word], "--channel")
    with pytest.raises(ConfigurationError, match="H1 has two channels, A and B: leave one out"):
        parse_channels(["H1:A", "H1:B"], "--channel")


@pytest.mark.parametrize(
    ("texts", "file", "expected"),
    [
        (["H1:STRAIN", "L1"], "V-V1_X-0-1.gwf", "H1"),
        (["strain", "L1"], "data.h5", "L1"),
        (["h1"], "data.h5", "H1"),
        (["l1_strain"], "H-H1_AND_L1-0-1.h5", "L1"),
        (["Hanford"], "", "H1"),
        (["LLO_4k"], "", "L1"),
        (["H"], "", "H1"),
        (["STRAIN"], "H-STRAIN-1126259446-32.gwf", "H1"),
        (["STRAIN"], "l1.hdf5", "L1"),
        (["strain", "v1"], "H-H1_X-0-1.h5", "H1"),
        (["strain", "v1"], "data.h5", "V1"),
        (["H_0"], "HL-STRAIN-0-1.gwf", None),
        (["data", "", "length"], "hole.h5", None),
    ],
)
def test_detectors_by_the_names_of_channels_groups_and_files(texts, file, expected):
    assert detector(*texts, file=file) == expected


@pytest.mark.parametrize(
    ("unit", "count"),
    [("", 1), ("second", 1), ("sec", 1), ("ms", 1e3), ("milliseconds", 1e3), ("msec", 1e3), ("ns", 1e9),
     ("min", 1 / 60), ("Hz", None), ("strain", None), ("???", None)],
)  # fmt: skip
def test_units_of_time(unit, count):
    assert units_per_second(unit) == (count if count is None else pytest.approx(count))
