"""Sections and keys of the ``.cfg``. This module and ``jobs`` declare each key once."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from aframe import storage
from aframe.constants import AUTO
from aframe.preprocessing import PHASES, ZERO_PHASE, Whitening, to_samples
from aframe.settings.jobs import Batch, Kubernetes
from aframe.settings.keys import NOT_NEGATIVE, POSITIVE, Limit, at_least, key

MOST_SHOWN_CANDIDATES = 50
"""Largest number of candidates with figures of strain and scores. Each takes about 0.1 MB of the report."""


ADDED = {"search.whitening_phase": ZERO_PHASE, "export.served": True}
"""Keys that artifacts of earlier versions do not record, with the values that made them."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """Settings that training, export and inference share."""

    ifos: tuple[str, ...] = key("detectors, by LAL's two-letter names")
    sample_rate: float = key("sample rate of all strain", "Hz", limit=POSITIVE)
    kernel_length: float = key("length of the window that the network sees", "s", limit=POSITIVE)
    psd_length: float = key("strain just before each block from which its PSD is estimated", "s", limit=POSITIVE)
    fftlength: float = key(
        "length of a Welch segment; equal to fduration unless lines are known to be absent", "s", limit=POSITIVE
    )
    fduration: float = key("length of the whitening filter", "s", limit=POSITIVE)
    block_length: float = key("length of the strain that shares one PSD", "s", limit=POSITIVE)
    highpass: float = key("frequency below which whitened strain is empty", "Hz")
    lowpass: float | None = key("frequency above which whitened strain is empty; none for no limit", "Hz", None)
    whitening_phase: str = key(
        "of the whitening filter: zero, or minimum, which needs no later strain (docs/whitening.md)",
        default=ZERO_PHASE,
        choices=PHASES,
    )
    inference_sampling_rate: float = key("windows per second of strain", "Hz", limit=POSITIVE)
    seed: int = key("seed of everything random", limit=NOT_NEGATIVE)

    @property
    def whitening(self) -> Whitening:
        """Whitening of all stages."""
        return Whitening(
            self.sample_rate,
            self.psd_length,
            self.fftlength,
            self.fduration,
            self.block_length,
            self.highpass,
            self.lowpass,
            self.whitening_phase,
        )

    @property
    def kernel_size(self) -> int:
        """Number of samples in a window."""
        return to_samples(self.kernel_length, self.sample_rate, "kernel_length")

    @property
    def stride_size(self) -> int:
        """Number of samples between the starts of successive windows."""
        return to_samples(1 / self.inference_sampling_rate, self.sample_rate, "1 / inference_sampling_rate")


@dataclass(frozen=True, kw_only=True)
class Data:
    """Source and times of the strain."""

    source: str = key(
        "gwosc (open data), local (files under frames), or simulated (coloured Gaussian noise, and glitches)",
        choices=("gwosc", "local", "simulated"),
    )
    train_start: float = key("start of the training data", "GPS s")
    train_stop: float = key("end of the training data and start of the testing data", "GPS s")
    test_stop: float = key("end of the testing data", "GPS s")
    min_duration: float = key("shortest segment that is used", "s", limit=POSITIVE)
    max_duration: float = key("longest segment; longer ones are cut", "s")
    segments: str | None = key("list of analysable time, instead of the source's own", "path", None)
    frames: str | None = key("directory or pattern of .hdf5 or .gwf files, for source = local", "path", None)
    channel: tuple[str, ...] | None = key(
        "strain of source = local or gwosc, as H1:GDS-CALIB_STRAIN_CLEAN: of files that have several, or of another "
        "source that gwpy reaches",
        default=None,
    )
    asd: str | None = key(
        "noise curves of source = simulated: files, directories, patterns, or names of bilby's or lalsimulation's",
        "path",
        None,
    )
    drift: float | None = key(
        "time scale on which simulated noise changes; none: each segment has one curve", "s", None, limit=at_least(600)
    )
    glitches: str | None = key(
        "in simulated noise: none, o3 (as in the third observing run), or a table of their distributions", "path", None
    )


@dataclass(frozen=True, kw_only=True)
class Waveforms:
    """Population of the signals, and their waveforms."""

    prior: str = key(
        "population: python path of a function, a call of one with numbers, or a bilby .prior file; or several with "
        "weights, as 0.3 * FIRST, 0.7 * SECOND"
    )
    approximant: str = key("LAL waveform approximant; or one for each population of the prior, separated by commas")
    waveform_duration: float = key("length of a generated waveform", "s")
    right_pad: float = key("time from coalescence to the generated waveform's end", "s")
    minimum_frequency: float = key("frequency at which waveforms begin", "Hz")
    reference_frequency: float = key("frequency at which spins are defined", "Hz", limit=POSITIVE)
    num_training_waveforms: int = key("polarizations to train with", limit=POSITIVE)
    num_validation_waveforms: int = key("signals above the SNR threshold to validate with", limit=POSITIVE)


@dataclass(frozen=True, kw_only=True)
class Bank:
    """Bank of templates, for a training of MatchedFilterNetwork and for aframe limit."""

    size: int = key("largest number of templates", default=512, limit=POSITIVE)
    minimum_match: float = key(
        "match with a template above which a binary needs no template itself",
        default=0.95,
        limit=Limit(lambda match: 0 < match < 1, "is not between 0 and 1"),
    )
    template_length: float = key(
        "length of a template; the beginning of a longer signal is lost", "s", 3.25, limit=POSITIVE
    )
    after: float = key("part of it after coalescence", "s", 0.25, limit=NOT_NEGATIVE)
    bank_file: str = key("name of the bank's file, in the directory of training data", default="bank.hdf5")


@dataclass(frozen=True, kw_only=True)
class Injections:
    """Injections for testing."""

    num_injections: int = key("accepted signals in the testing set", limit=POSITIVE)
    snr_threshold: float = key("network SNR below which a draw is rejected", limit=POSITIVE)
    spacing: float = key("time from one injection to the next", "s", limit=POSITIVE)
    buffer: float = key("time kept free at both ends of a segment, after the PSD's", "s", limit=NOT_NEGATIVE)
    jitter: float = key("largest random offset from the regular spacing", "s", 0.0)
    store_waveforms: bool = key(
        "true: the table has the waveforms; false: they are made again when needed", default=True
    )


@dataclass(frozen=True, kw_only=True)
class Train:
    """Training."""

    config: str = key("Lightning YAML; a relative path starts at the .cfg's directory", "path")
    tune: str | None = key("YAML of a study, as of aframe tune, whose best training counts; none: one training",
                           "path", None)  # fmt: skip
    use_wandb: bool = key("true: log to Weights & Biases too, as WANDB_* say; needs aframe[wandb]", default=False)


@dataclass(frozen=True, kw_only=True)
class Export:
    """Exported model."""

    served: bool = key("false: the model is not exported for a server; long templates need it", default=True)
    model_name: str = key("name in the Triton model repository", default="aframe")
    platform: str = key(
        "onnxruntime, tensorrt (a plan, made here) or torch (TorchScript)",
        default="onnxruntime",
        choices=("onnxruntime", "tensorrt", "torch"),
    )
    export_precision: str = key(
        "float32, float16 or bfloat16, in which a server computes",
        default="float32",
        choices=("float32", "float16", "bfloat16"),
    )
    max_batch_size: int = key("windows that the server takes at once", default=1024, limit=POSITIVE)
    block_windows: int = key("windows in a block of strain that is sent at once", default=256, limit=POSITIVE)
    instances: int = key("copies of a model side by side, on each GPU or on the CPU", default=1, limit=POSITIVE)
    threads: int = key("of each copy on the CPU; 0: all cores", default=1, limit=NOT_NEGATIVE)
    queue_delay: float = key("time that the server waits for a batch to fill", "s", 0.0005, limit=NOT_NEGATIVE)
    accelerator: str = key(
        "of onnxruntime on a GPU: tensorrt, cuda or none", default="tensorrt", choices=("tensorrt", "cuda", "none")
    )
    engine_cache: str = key("directory, on the server, of TensorRT's engines", "path", "/tmp/tensorrt_engines")


@dataclass(frozen=True, kw_only=True)
class Inference:
    """Scoring and clustering."""

    Tb: float = key("livetime of time-slid background to score", "s", limit=POSITIVE)
    shifts: tuple[float, ...] = key("shift of each detector from one slide to the next", "s")
    background_per_job: float = key("livetime of background that makes one unit of work", "s", 1e6, limit=POSITIVE)
    return_timeseries: bool = key("true: keep all scores, beside the units' events", default=False)
    engine: str = key(
        "what scores: torch, compiled, onnx (ONNX Runtime), auto or triton",
        default="torch",
        choices=("torch", "compiled", "onnx", "auto", "triton"),
    )
    triton_address: str | None = key("HOST:PORT of a server's gRPC; none: start one for the run", default=None)
    triton_launcher: str = key("what starts it: auto, tritonserver, apptainer, docker or podman", default="auto")
    triton_image: str | None = key("its container image; none: NVIDIA's", default=None)
    triton_host: str = key("name of this machine for the jobs that ask it", default="127.0.0.1")
    triton_in_flight: int = key("requests of a job that are on their way at the same time", default=16, limit=POSITIVE)
    triton_deadline: float = key(
        "time in which a request must be answered before it is sent again", "s", 60.0, limit=POSITIVE
    )
    triton_retries: int = key("times that a request is sent again", default=8, limit=NOT_NEGATIVE)
    precision: str = key("float32, bfloat16, float16 or auto: bfloat16 if the device has instructions for it",
                         default=AUTO, choices=(AUTO, "float32", "bfloat16", "float16"))  # fmt: skip
    batch_size: int | Literal["auto"] = key(
        "windows that a joint network scores at once; auto: measured", default=128, limit=POSITIVE
    )
    embeddings_cache: float = key("disk space for a factorised network's embeddings, for later slides; 0: none kept",
                                  "GB", 0.0, limit=NOT_NEGATIVE)  # fmt: skip
    integration_window_length: float = key("length over which scores are averaged", "s", limit=POSITIVE)
    cluster_window_length: float = key("length within which only the loudest event is kept", "s", limit=POSITIVE)

    @property
    def asks_the_repository(self) -> bool:
        """Whether the exported model scores, or can score."""
        return self.engine not in ("torch", "compiled")


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """Sensitive volume."""

    mass_combos: tuple[tuple[float, float], ...] = key(
        "source-frame mass pairs, as 35-35, 20-10", "M_sun", limit=POSITIVE
    )
    mass_width: float = key("width of the log-normal mass distributions", default=0.1, limit=POSITIVE)
    populations: tuple[str, ...] = key(
        "more target populations, each given as prior is, separated by commas", default=()
    )
    recovery_window: float = key(
        "largest distance from an injection to the event that recovers it", "s", 1.0, limit=POSITIVE
    )
    release: str | None = key(
        "released injections of LIGO, Virgo and KAGRA, whose pipelines figures show", "path", None
    )
    release_pipelines: tuple[str, ...] | None = key("some of their pipelines, as gstlal, mbta; none: all", default=None)


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """Candidates. docs/results.md describes the effect of each key on their table."""

    removal_far_per_year: float | None = key(
        "rate below which candidates leave the background; none: stay", "1/yr", None, limit=POSITIVE
    )
    removal_window: float | None = key(
        "time removed on either side; none: as far as a signal reaches", "s", None, limit=POSITIVE
    )
    astrophysical_prior: str | None = key(
        "python path of the prior of signals' masses; none: the injections'", default=None
    )
    merger_rate_density: tuple[float, ...] = key("its 90 % interval at redshift 0.2", "1/(Gpc^3 yr)", (17.9, 44.0))
    merger_rate_evolution: float = key("power of 1 + z with which it grows", default=2.9)
    rate_prior: str = key(
        "lognormal (with that interval) or jeffreys (this search alone)",
        default="lognormal",
        choices=("lognormal", "jeffreys"),
    )
    catalogue: str | None = key("list of known events instead of GWOSC's: a table with name and gps", "path", None)
    catalogue_window: float = key("largest distance from a candidate to its known event", "s", 1.0, limit=POSITIVE)
    num_timed: int = key(
        "loudest candidates whose arrival at each detector is measured", default=50, limit=NOT_NEGATIVE
    )
    num_shown: int = key(
        "loudest candidates of which the report shows strain and scores, at most 50",
        default=10,
        limit=Limit(
            lambda number: 0 <= number <= MOST_SHOWN_CANDIDATES,
            f"is not between 0 and {MOST_SHOWN_CANDIDATES}: the report would be too large",
        ),
    )


@dataclass(frozen=True, kw_only=True)
class Vetoes:
    """Vetoed time. Without any of these keys, no time is vetoed."""

    gates: tuple[str, ...] | None = key("lists of gates, as H1:FILE, L1:FILE", "path", None)
    veto_segments: tuple[str, ...] | None = key("lists of time to veto, as H1:FILE, L1:FILE", "path", None)
    good_segments: tuple[str, ...] | None = key("lists outside which to veto, as H1:FILE, L1:FILE", "path", None)
    veto_definer: str | None = key("LIGO_LW veto definer", "path", None)
    veto_categories: tuple[int, ...] | None = key("categories of the definer's flags that veto", default=None)
    flag_segments: str | None = key("segments of its flags: directory, LIGO_LW file, or dqsegdb", "path", None)
    dq_bits: tuple[str, ...] | None = key("GWOSC's bits that must be set, as CBC_CAT2, NO_CBC_HW_INJ", default=None)
    dq_files: str | None = key(
        "directory or pattern of GWOSC HDF5 files with these bits; else GWOSC's timelines", "path", None
    )
    known_events: tuple[str, ...] | None = key("GPS times, or files of such: a list, or a table with a column gps",
                                               "GPS s", None)  # fmt: skip
    known_event_window: float | None = key("time to veto on either side of a known event", "s", None, limit=POSITIVE)
    known_event_scope: str = key(
        "background (known events stay candidates), or all", default="background", choices=("background", "all")
    )
    veto_margin: float = key(
        "time by which all vetoes but known events are longer at both ends", "s", 0.0, limit=NOT_NEGATIVE
    )

    @property
    def given(self) -> bool:
        """Whether any time is vetoed."""
        sources = (self.gates, self.veto_segments, self.good_segments, self.veto_definer, self.dq_bits)
        return any(source is not None for source in (*sources, self.known_events))


@dataclass(frozen=True, kw_only=True)
class Online:
    """The search of strain as it arrives, by aframe online."""

    live_source: str = key("where strain comes from", default="frames", choices=("frames", "ngdd"))
    live_frames: tuple[str, ...] | None = key(
        "directory in which frames appear, or H1:DIRECTORY, L1:DIRECTORY", "path", None
    )
    ngdd_server: str | None = key("HOST:PORT of the NGDD server; none: that of ARRAKIS_SERVER", default=None)
    state_channel: tuple[str, ...] | None = key("state vectors, as H1:GDS-CALIB_STATE_VECTOR", default=None)
    state_bits: tuple[int, ...] | None = key(
        "bits of a state vector that must be set, or its strain is not searched", default=None, limit=NOT_NEGATIVE
    )
    patience: float = key("newer strain until missing strain is given up", "s", 10.0, limit=POSITIVE)
    output: str | None = key("directory of events and state; none: online, beside the .cfg", "path", None)
    far_per_year: float = key("rate below which events are issued", "1/yr", 12.0, limit=POSITIVE)
    gracedb: str | None = key("URL of the GraceDB that gets events", default=None)
    kafka: str | None = key("broker and topic that get events, as localhost:9092/aframe", default=None)
    background_hours: float = key("strain of which time slides are made; 0: none are made", "h", 24.0,
                                  limit=NOT_NEGATIVE)  # fmt: skip
    page: bool = key("whether a process of its own draws index.html", default=True)
    metrics_port: int = key("port of Prometheus metrics on this machine; 0: none", default=0, limit=NOT_NEGATIVE)


@dataclass(frozen=True, kw_only=True)
class Config:
    """A complete configuration file."""

    search: Search
    data: Data
    waveforms: Waveforms
    bank: Bank
    injections: Injections
    Train: Train
    export: Export
    inference: Inference
    sensitivity: Sensitivity
    candidates: Candidates
    vetoes: Vetoes
    online: Online
    batch: Batch
    kubernetes: Kubernetes
    batch_of: Mapping[str, Batch]
    path: Path

    def parameters(self, *names: str) -> dict[str, Any]:
        """Keys and values of sections, or of single keys in the form ``section.key``.

        Those of ``ADDED`` are there only with another value, so that earlier artifacts stay what they were.
        """
        result: dict[str, Any] = {}
        for name in names:
            section, _, single = name.partition(".")
            values = dataclasses.asdict(getattr(self, section))
            result |= {f"{section}.{k}": v for k, v in values.items() if not single or k == single}
        return {name: value for name, value in result.items() if name not in ADDED or value != ADDED[name]}

    def batch_for(self, task: str) -> Batch:
        """Batch settings of a task: those of its section, and of ``[luigi_batch]`` for all other keys."""
        return self.batch_of.get(task, self.batch)

    def resolve(self, path: str) -> str:
        """Resolve a path of the file relative to the file's directory."""
        return storage.locate(path, str(self.path.parent))
