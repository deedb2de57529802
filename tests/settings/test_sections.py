import dataclasses
import runpy
from pathlib import Path

import pytest

from aframe.errors import ConfigurationError
from aframe.runs.directories import Directories
from aframe.settings.jobs import Batch
from aframe.settings.keys import UnknownValueError
from aframe.settings.read import load_config, read_config, units
from aframe.settings.sections import Candidates, Config, Search

GOOD = """
[core]
no_graceful_exit: True

[luigi_search]
ifos = H1, L1
sample_rate = 2048  # Hz
kernel_length = 1.5
psd_length = 64
fftlength = 2
fduration = 2
block_length = 64
highpass = 32
lowpass = none
inference_sampling_rate = 4
seed = 7

[luigi_data]
source = simulated
asd = $CURVES/curve.txt
train_start = 1000
train_stop = 2000.5
test_stop = 3000
min_duration = 128
max_duration = 500

[luigi_waveforms]
prior = aframe.waveforms.priors.rates_and_populations_bbh
approximant = IMRPhenomPv2
waveform_duration = 8
right_pad = 2
minimum_frequency = 20
reference_frequency = 50
num_training_waveforms = 100
num_validation_waveforms = 100

[luigi_injections]
num_injections = 100
snr_threshold = 4
spacing = 16
buffer = 16

[luigi_Train]
config = train.yaml

[luigi_inference]
Tb = 86400
shifts = [0, 1]
integration_window_length = 1
cluster_window_length = 8

[luigi_sensitivity]
mass_combos = 35-35, 20-35
"""


def load(tmp_path: Path, *changes: tuple[str, str]) -> Config:
    text = GOOD
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "run.cfg"
    path.write_text(text)
    load_config.cache_clear()
    return load_config(str(path))


def vetoes(keys: str) -> tuple[str, str]:
    """Change that adds a section of vetoes."""
    return "[luigi_sensitivity]", f"[luigi_vetoes]\n{keys}\n[luigi_sensitivity]"


def export(keys: str) -> tuple[str, str]:
    """Change that adds a section of the export."""
    return "[luigi_sensitivity]", f"[luigi_export]\n{keys}\n[luigi_sensitivity]"


def test_vetoes_are_optional(tmp_path):
    assert not load(tmp_path).vetoes.given
    assert not load(tmp_path, vetoes("veto_margin = 0")).vetoes.given
    keys = (
        "gates = H1:gates/H1.txt, H1:more.txt, L1:s3://bucket/L1.txt\nveto_definer = O3.xml\nveto_categories = 1, 2\n"
    )
    loaded = load(tmp_path, vetoes(keys + "flag_segments = dqsegdb\nknown_events = 1126259462.4, catalogue.csv\n"
                                          "known_event_window = 8")).vetoes  # fmt: skip
    assert loaded.given
    assert loaded.gates == ("H1:gates/H1.txt", "H1:more.txt", "L1:s3://bucket/L1.txt")
    assert (loaded.veto_categories, loaded.known_event_window) == ((1, 2), 8.0)
    assert loaded.known_events == ("1126259462.4", "catalogue.csv")


def test_values_have_their_types(tmp_path, monkeypatch):
    monkeypatch.setenv("CURVES", "/curves")
    loaded = load(tmp_path)
    assert loaded.search.ifos == ("H1", "L1")
    assert loaded.search.lowpass is None
    assert loaded.data.train_stop == 2000.5
    assert loaded.data.asd == "/curves/curve.txt"
    assert loaded.inference.shifts == (0.0, 1.0)
    assert loaded.inference.Tb == 86400
    assert loaded.inference.batch_size == 128
    assert load(tmp_path, ("Tb = 86400", "Tb = 86400\nbatch_size = Auto")).inference.batch_size == "auto"
    assert loaded.sensitivity.mass_combos == ((35.0, 35.0), (35.0, 20.0))
    assert loaded.candidates == Candidates()  # this section is optional
    assert loaded.sensitivity.populations == ()
    assert (loaded.search.kernel_size, loaded.search.stride_size) == (3072, 512)
    assert loaded.search.whitening.after_size == 2048


def test_a_phase_of_whitening_counts_where_it_is_not_that_of_earlier_versions(tmp_path):
    minimum = ("ifos = H1, L1", "ifos = H1, L1\nwhitening_phase = minimum")
    default, changed = load(tmp_path), load(tmp_path, minimum)
    assert default.search.whitening.phase == "zero"
    assert "search.whitening_phase" not in default.parameters("search")
    assert changed.parameters("search") == default.parameters("search") | {"search.whitening_phase": "minimum"}
    assert changed.parameters("search.whitening_phase") == {"search.whitening_phase": "minimum"}
    whitening = changed.search.whitening
    assert (whitening.before_size, whitening.after_size) == (4096, 0)
    assert (whitening.before_length, whitening.after_length) == (2.0, 0.0)
    with pytest.raises(ConfigurationError, match=r"whitening_phase = 'maximum' .* is none of zero, minimum"):
        load(tmp_path, ("ifos = H1, L1", "ifos = H1, L1\nwhitening_phase = maximum"))
    short = [("psd_length = 64", "psd_length = 2"), ("fduration = 2", "fduration = 3")]
    assert load(tmp_path, *short).search.fduration == 3
    with pytest.raises(ConfigurationError, match=r"psd_length = 2 s .* is shorter than fduration = 3 s needs"):
        load(tmp_path, *short, minimum)


def test_lists_of_calls_are_split_between_the_calls(tmp_path):
    text = "populations = [a.b.c, a.b.d(35, 30),\n  e.prior]"
    loaded = load(tmp_path, ("mass_combos = ", f"{text}\nmass_combos = "), ("ifos = H1, L1", "ifos = (H1 L1)"))
    assert loaded.sensitivity.populations == ("a.b.c", "a.b.d(35, 30)", "e.prior")
    assert loaded.search.ifos == ("H1", "L1")
    alone = load(tmp_path, ("mass_combos = ", "populations = a.d(35, 30)\nmass_combos = "))
    assert alone.sensitivity.populations == ("a.d(35, 30)",)


def test_parameters_by_section_and_by_key(tmp_path):
    loaded = load(tmp_path)
    expected = {
        "Train.config": "train.yaml", "Train.tune": None, "Train.use_wandb": False, "inference.Tb": 86400.0
    }  # fmt: skip
    assert loaded.parameters("Train", "inference.Tb") == expected


def test_paths_start_at_the_file(tmp_path):
    loaded = load(tmp_path)
    assert loaded.resolve("train.yaml") == str(tmp_path / "train.yaml")
    assert loaded.resolve("/data/x") == "/data/x"
    assert loaded.resolve("s3://bucket/x") == "s3://bucket/x"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("sample_rate =", "sampel_rate ="),
            r"unknown key 'sampel_rate' in \[luigi_search\] \(did you mean 'sample_rate'\?\)",
        ),
        (("seed = 7", ""), r"missing key 'seed' in \[luigi_search\]"),
        (
            ("[luigi_inference]", "[luigi_inferense]"),
            r"unknown section \[luigi_inferense\] \(did you mean 'luigi_inference'",
        ),
        (("highpass = 32", "highpass = thirty"), r"highpass = 'thirty' in \[luigi_search\] is no number"),
        (("seed = 7", "seed = 7.5"), "seed = '7.5' .* is no whole number"),
        (
            ("spacing =", "store_waveforms = maybe\nspacing ="),
            r"store_waveforms = 'maybe' .* is neither true nor false",
        ),
        (("ifos = H1, L1", "ifos ="), "ifos = '' .* at least one value"),
        (("20-35", "20+35"), "'20\\+35', which is no pair of masses"),
        (("ifos = H1, L1", "ifos = H1"), "needs at least two"),
        (("ifos = H1, L1", "ifos = H1, H1"), "names a detector twice"),
        (
            ("highpass = 32", "highpass = 2000"),
            r"highpass = 2000 Hz in \[luigi_search\] is not between 0 and the Nyquist frequency 1024",
        ),
        (
            ("cluster_window_length = 8", "cluster_window_length = 40"),
            r"spacing = 16 s in .* brings injections within 20 s of each other .* would hide each other",
        ),
        (("lowpass = none", "lowpass = 20"), "lowpass = 20 Hz in .* is not between highpass"),
        (
            ("train_stop = 2000.5", "train_stop = 3500"),
            "test_stop = 3000 GPS s in .* must come after train_stop = 3500",
        ),
        (("min_duration = 128", "min_duration = 60"), r"min_duration = 60 s in .* is too short: .* take 66\.5 s"),
        (("max_duration = 500", "max_duration = 100"), "max_duration = 100 s in .* is less than min_duration"),
        (("psd_length = 64", "psd_length = 1"), "psd_length = 1 s in .* is shorter than fftlength"),
        (("right_pad = 2", "right_pad = 9"), "right_pad = 9 s in .* is not inside"),
        (("kernel_length = 1.5", "kernel_length = 9"), "kernel_length = 9 s in .* is longer than waveform_duration"),
        (("kernel_length = 1.5", "kernel_length = 1.0001"), "kernel_length = 1.0001 s is 2048.2 samples"),
        (("shifts = [0, 1]", "shifts = 0, 1, 2"), "one value for each of ifos"),
        (("shifts = [0, 1]", "shifts = 1, 1"), "never slid apart"),
        (("source = simulated", "source = local"), "source = 'local' in .* needs the key frames"),
        (
            ("source = simulated", "source = simulated\nchannel = H1:STRAIN"),
            "channel = .* = local or gwosc",
        ),
        (
            ("source = simulated", "source = local\nframes = f\nchannel = K1:STRAIN"),
            "channel = .* has 'K1:STRAIN', which is no DETECTOR:NAME of a detector in ifos, such as H1:GDS",
        ),
        (("source = simulated", "source = tape"), "source = 'tape' in .* is none of"),
        (("asd = $CURVES/curve.txt", ""), "source = 'simulated' in .* needs the key asd"),
        (("source = simulated", "source = gwosc\ndrift = 3600"), "drift = 3600 s in .* needs source = simulated"),
        (("source = simulated", "source = simulated\ndrift = 60"), "drift = 60 s in .* must not be less than 600"),
        (("source = simulated", "source = gwosc\nglitches = o3"), "glitches = 'o3' in .* needs source = simulated"),
        (("Tb = 86400", "Tb = 0"), "Tb = 0 s in .* must be positive"),
        (
            vetoes("gates = L1.txt"),
            "gates = L1.txt in .* has 'L1.txt', which is no DETECTOR:FILE of a detector in ifos, such as H1:gates.txt",
        ),
        (
            ("Tb = 86400", "Tb = 86400\nengine = jax"),
            "engine = 'jax' in .* is none of torch, compiled, onnx, auto, triton",
        ),
        (("Tb = 86400", "Tb = 86400\nbatch_size = large"), "batch_size = 'large' .* is no whole number"),
        (("Tb = 86400", "Tb = 86400\nbatch_size = 0"), "batch_size = 0 in .* must be positive"),
        (("Tb = 86400", "Tb = 86400\nembeddings_cache = -1"), "embeddings_cache = -1 GB in .* must not be negative"),
        (
            ("Tb = 86400", "Tb = 86400\nprecision = int8"),
            "precision = 'int8' in .* is none of auto, float32, bfloat16, float16",
        ),
        (("shifts = [0, 1]", "shifts = [0, 1.1]"), r"1\.1 s lies between windows, .* every 0\.25 s .* 1 or 1\.25"),
        (("Tb = 86400", "Tb = 86400\ntriton_in_flight = 0"), "triton_in_flight = 0 in .* must be positive"),
        (("Tb = 86400", "Tb = 86400\ntriton_deadline = 0"), "triton_deadline = 0 s in .* must be positive"),
        (("Tb = 86400", "Tb = 86400\ntriton_retries = -1"), "triton_retries = -1 in .* must not be negative"),
        (export("model_name = my model"), "model_name = 'my model' in .* must be letters"),
        (export("platform = tflite"), "platform = 'tflite' in .* is none of onnxruntime, tensorrt, torch"),
        (export("export_precision = int8"), "export_precision = 'int8' in .* is none of float32, float16, bfloat16"),
        (export("accelerator = openvino"), "accelerator = 'openvino' in .* is none of tensorrt, cuda, none"),
        (export("block_windows = 0"), "block_windows = 0 in .* must be positive"),
        (export("threads = -1"), "threads = -1 in .* must not be negative"),
        (
            vetoes("veto_segments = V1:v.txt"),
            "veto_segments = V1:v.txt in .* has 'V1:v.txt', which is no DETECTOR:FILE",
        ),
        (
            vetoes("veto_definer = O3.xml"),
            "veto_definer = 'O3.xml' in .* needs the key veto_categories.*needs the key flag_segments",
        ),
        (vetoes("veto_categories = 1"), "veto_categories = 1 in .* needs the key veto_definer"),
        (vetoes("veto_categories = CAT1"), "veto_categories = 'CAT1' in .* is no whole number"),
        (vetoes("dq_files = strain"), "dq_files = 'strain' in .* needs the key dq_bits"),
        (
            vetoes("dq_bits = CBC_CAT2"),
            "dq_bits = CBC_CAT2 in .* needs the key dq_files, as the strain's source has none",
        ),
        (
            vetoes("known_events = 1126259462.4"),
            "known_events = 1126259462.4 GPS s in .* needs the key known_event_window",
        ),
        (vetoes("known_events = 1\nknown_event_window = 0"), "known_event_window = 0 s in .* must be positive"),
        (vetoes("known_event_scope = zero lag"), "known_event_scope = 'zero lag' in .* is none of background, all"),
        (vetoes("known_event_scope = all"), "known_event_scope = .all. in .* needs the key known_events"),
        (vetoes("veto_margin = -1"), "veto_margin = -1 s in .* must not be negative"),
        (vetoes("veto_margin = 1"), "veto_margin = 1 s in .* has nothing to extend: give gates, .*, or leave it out"),
        (
            vetoes("veto_margin = 1\nknown_events = 1126259462.4\nknown_event_window = 4"),
            "veto_margin = 1 s in .* has nothing to extend",
        ),
    ],
)
def test_each_mistake_is_named(tmp_path, change, message):
    with pytest.raises(ConfigurationError, match=message):
        load(tmp_path, change)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("merger_rate_density = 44, 17", r"merger_rate_density = 44, 17 1/\(Gpc\^3 yr\) in .* is no interval"),
        ("merger_rate_density = 28", "is no interval: give its two ends"),
        ("rate_prior = flat", "rate_prior = 'flat' in .* is none of lognormal, jeffreys"),
        ("removal_far_per_year = 0", "removal_far_per_year = 0 1/yr in .* must be positive"),
        ("num_timed = -1", "num_timed = -1 in .* must not be negative"),
        ("num_shown = 51", "num_shown = 51 in .* is not between 0 and 50: the report would be too large"),
    ],
)
def test_each_mistake_about_candidates_is_named(tmp_path, line, message):
    with pytest.raises(ConfigurationError, match=message):
        load(tmp_path, ("[luigi_sensitivity]", f"[luigi_candidates]\n{line}\n[luigi_sensitivity]"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("size = 0", r"size = 0 in \[luigi_bank\] must be positive"),
        ("minimum_match = 1", "minimum_match = 1 in .* is not between 0 and 1"),
        ("template_length = 0.25", "after = 0.25 s in .* is not inside template_length = 0.25 s"),
    ],
)
def test_each_mistake_about_banks_is_named(tmp_path, line, message):
    with pytest.raises(ConfigurationError, match=message):
        load(tmp_path, ("[luigi_sensitivity]", f"[luigi_bank]\n{line}\n[luigi_sensitivity]"))


def test_several_mistakes_are_reported_at_once(tmp_path):
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, ("seed = 7", "sead = 7"), ("highpass = 32", "highpass = x"), ("spacing = 16", ""))
    message = str(caught.value)
    assert "\n" not in message
    for part in ("run.cfg", "unknown key 'sead'", "highpass = 'x'", "missing key 'spacing'"):
        assert part in message


def test_no_file_and_no_configuration(tmp_path):
    with pytest.raises(ConfigurationError, match="aframe init"):
        load_config(str(tmp_path / "none.cfg"))
    (tmp_path / "prose.cfg").write_text("once upon a time\n")
    with pytest.raises(ConfigurationError, match=r"prose\.cfg is no configuration file"):
        load_config(str(tmp_path / "prose.cfg"))


def test_directories_name_each_unset_variable():
    environment = {
        f"AFRAME_{name}_DIR": f"/run/{name.lower()}/"
        for name in ("TRAIN_DATA", "TEST_DATA", "TRAIN_RUN", "CONDOR", "RESULTS")
    }
    directories = Directories.from_environment(environment)
    assert directories.train_data == "/run/train_data"
    with pytest.raises(ConfigurationError, match="AFRAME_TEST_DATA_DIR, AFRAME_RESULTS_DIR is not set"):
        Directories.from_environment(environment | {"AFRAME_TEST_DATA_DIR": "", "AFRAME_RESULTS_DIR": ""})
    for name, value in (("CONDOR", "s3://bucket/x"), ("RESULTS", "gs://bucket/x")):
        kind = "local directory" + (" or s3://bucket/prefix" if name == "RESULTS" else "")
        with pytest.raises(ConfigurationError, match=f"AFRAME_{name}_DIR = {value} is no {kind}: choose one"):
            Directories.from_environment(environment | {f"AFRAME_{name}_DIR": value})


def test_a_wrong_value_is_unknown_even_where_its_key_has_a_default(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.cfg"
    path.write_text(f"{GOOD}\n[luigi_vetoes]\nveto_margin = -1\nknown_events = 1\n")
    config, mistakes = read_config(str(path))
    assert [mistake.key for mistake in mistakes] == ["veto_margin", "known_events"]
    assert config.vetoes.known_events == ("1",)
    with pytest.raises(UnknownValueError, match=r"Vetoes\.veto_margin"):
        _ = config.vetoes.veto_margin


def test_a_percent_sign_is_refused_because_law_cannot_read_it(tmp_path: Path) -> None:
    (tmp_path / "sandbox.cfg").write_text(f"{GOOD}\n[luigi_vetoes]\ngates = H1:50%_gates.txt\n")
    with pytest.raises(ConfigurationError, match=r"gates = 'H1:50%_gates\.txt' in \[luigi_vetoes\] has a %"):
        load_config(str(tmp_path / "sandbox.cfg"))


def test_the_page_of_all_keys_agrees_with_the_code() -> None:
    page = Path(__file__).parents[2] / "docs" / "configuration.md"
    script = runpy.run_path(str(page.parent / "scripts" / "configuration.py"))
    assert page.read_text() == script["page"](), "run docs/scripts/configuration.py"
    for kind in (Search, Candidates, Batch):
        assert all(f"| `{field.name}` |" in page.read_text() for field in dataclasses.fields(kind))


def test_units_are_those_of_the_keys():
    assert units()["search.sample_rate"] == "Hz"
    assert units()["ScoreSlides.time"] == units()["batch.time"] == "s"
    assert not {"waveforms.prior", "data.segments", "nowhere.nothing"} & units().keys()
