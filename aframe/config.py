"""The run's configuration: one ``.cfg`` file, read into typed sections, with every key declared once here.

Each section of the file is named ``[luigi_<section>]``; each field below is a key. Stages take from here what
they need, so a parameter that several stages share is written once and can never disagree with itself.
"""

import configparser
import dataclasses
import difflib
import functools
import os
import re
import sys
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aframe.errors import ConfigurationError
from aframe.spectral import Whitening, to_samples

LAW_SECTIONS = ("core", "logging", "modules", "job", "target", "luigi_core", "luigi_worker", "luigi_scheduler",
                "luigi_logging", "luigi_retcode", "luigi_resources", "luigi_execution_summary")  # fmt: skip
"""Sections that belong to law and luigi themselves; they pass unread."""


LIST_BRACKETS = re.compile(r"^[\[(](.*)[\])]$", re.DOTALL)
"""Around a list of values, where a user puts some."""

LIST_BORDER = re.compile(r"[\s,]+(?![^()]*\))")
"""Between the values of a list: a comma in the parentheses of a call is none."""


def key(description: str, unit: str = "", default: Any = dataclasses.MISSING) -> Any:
    """A configuration key: its description, its unit, and its default where it is no physics choice."""
    return field(default=default, metadata={"description": description, "unit": unit})


@dataclass(frozen=True, kw_only=True)
class Search:
    """What training, export and inference share."""

    ifos: tuple[str, ...] = key("detectors, by LAL's two-letter names")
    sample_rate: float = key("sample rate of all strain", "Hz")
    kernel_length: float = key("length of the window that the network sees", "s")
    psd_length: float = key("strain just before each block from which its PSD is estimated", "s")
    fftlength: float = key("length of a Welch segment; equal to fduration unless lines are known to be absent", "s")
    fduration: float = key("length of the whitening filter", "s")
    block_length: float = key("length of the strain that shares one PSD", "s")
    highpass: float = key("frequency below which whitened strain is empty", "Hz")
    lowpass: float | None = key("frequency above which whitened strain is empty; none for no limit", "Hz", None)
    inference_sampling_rate: float = key("windows per second of strain", "Hz")
    seed: int = key("seed of everything random")

    @property
    def whitening(self) -> Whitening:
        """The whitening that all stages share."""
        return Whitening(
            self.sample_rate,
            self.psd_length,
            self.fftlength,
            self.fduration,
            self.block_length,
            self.highpass,
            self.lowpass,
        )

    @property
    def kernel_size(self) -> int:
        """Samples in a window."""
        return to_samples(self.kernel_length, self.sample_rate, "kernel_length")

    @property
    def stride_size(self) -> int:
        """Samples from one window to the next."""
        return to_samples(1 / self.inference_sampling_rate, self.sample_rate, "1 / inference_sampling_rate")


@dataclass(frozen=True, kw_only=True)
class Data:
    """Where strain comes from, and when."""

    source: str = key("gwosc (open data), local (files under frames), or simulated (coloured Gaussian noise)")
    train_start: float = key("start of the training data", "GPS s")
    train_stop: float = key("end of the training data and start of the testing data", "GPS s")
    test_stop: float = key("end of the testing data", "GPS s")
    min_duration: float = key("shortest segment that is used", "s")
    max_duration: float = key("longest segment; longer ones are cut", "s")
    segments: str | None = key("segwizard file of analysable time, instead of the source's own", "path", None)
    frames: str | None = key("directory of .hdf5 or .gwf files, for source = local", "path", None)
    asd: str | None = key("noise curve for source = simulated: a file, or a name in bilby's collection", "path", None)


@dataclass(frozen=True, kw_only=True)
class Waveforms:
    """The population and how its signals are made."""

    prior: str = key("population: python path of a function, a call of one with numbers, or a bilby .prior file")
    approximant: str = key("LAL waveform approximant")
    waveform_duration: float = key("length of a generated waveform", "s")
    right_pad: float = key("time from coalescence to the generated waveform's end", "s")
    minimum_frequency: float = key("frequency at which waveforms begin", "Hz")
    reference_frequency: float = key("frequency at which spins are defined", "Hz")
    num_training_waveforms: int = key("polarizations to train with")
    num_validation_waveforms: int = key("signals above the SNR threshold to validate with")


@dataclass(frozen=True, kw_only=True)
class Injections:
    """The testing injections."""

    num_injections: int = key("accepted signals in the testing set")
    snr_threshold: float = key("network SNR below which a draw is rejected")
    spacing: float = key("time from one injection to the next", "s")
    buffer: float = key("time kept free at both ends of a segment, after the PSD's", "s")
    jitter: float = key("largest random offset from the regular spacing", "s", 0.0)
    store_waveforms: bool = key(
        "true: the table has the waveforms; false: they are made again when needed", default=True
    )


@dataclass(frozen=True, kw_only=True)
class Train:
    """Training."""

    config: str = key("Lightning YAML; a relative path starts at the .cfg's directory", "path")


@dataclass(frozen=True, kw_only=True)
class Export:
    """The served model."""

    model_name: str = key("name in the Triton model repository", default="aframe")
    max_batch_size: int = key("largest batch that the server takes", default=1024)


@dataclass(frozen=True, kw_only=True)
class Inference:
    """Scoring and clustering."""

    Tb: float = key("livetime of time-slid background to score", "s")
    shifts: tuple[float, ...] = key("shift of each detector from one slide to the next", "s")
    slides_per_job: int = key("time slides of one segment that make one unit of work", default=64)
    precision: str = key("float32 or bfloat16", default="float32")
    batch_size: int = key("windows that a joint network scores at once", default=128)
    integration_window_length: float = key("length over which scores are averaged", "s")
    cluster_window_length: float = key("length within which only the loudest event is kept", "s")


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """The sensitive volume."""

    mass_combos: tuple[tuple[float, float], ...] = key("source-frame mass pairs, as 35-35, 20-10", "M_sun")
    mass_width: float = key("width of the log-normal mass distributions", default=0.1)
    populations: tuple[str, ...] = key(
        "more target populations, each given as prior is, separated by commas", default=()
    )
    recovery_window: float = key("largest distance from an injection to the event that recovers it", "s", 1.0)


@dataclass(frozen=True, kw_only=True)
class Config:
    """A whole configuration file."""

    search: Search
    data: Data
    waveforms: Waveforms
    injections: Injections
    Train: Train
    export: Export
    inference: Inference
    sensitivity: Sensitivity
    path: Path

    def parameters(self, *names: str) -> dict[str, Any]:
        """Keys and values of some sections, or of single keys given as ``section.key``."""
        result: dict[str, Any] = {}
        for name in names:
            section, _, single = name.partition(".")
            values = dataclasses.asdict(getattr(self, section))
            result |= {f"{section}.{k}": v for k, v in values.items() if not single or k == single}
        return result

    def resolve(self, path: str) -> str:
        """A path of the file, relative to the file's own directory."""
        return str(path) if "://" in path else str(self.path.parent / Path(path).expanduser())


@dataclass(frozen=True, kw_only=True)
class Directories:
    """The five directories of a run, each local or ``s3://…`` (the batch system's is local)."""

    train_data: str
    test_data: str
    train_run: str
    condor: str
    results: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Directories":
        """Read ``AFRAME_TRAIN_DATA_DIR`` and its four siblings.

        Raises:
            ConfigurationError: Naming every variable that is unset or empty.
        """
        names = {f.name: f"AFRAME_{f.name.upper()}_DIR" for f in dataclasses.fields(cls)}
        missing = [variable for variable in names.values() if not environment.get(variable)]
        if missing:
            raise ConfigurationError(
                f"environment variable {', '.join(missing)} is not set: set it to a directory or s3:// prefix, "
                "or load the .env file that `aframe init` wrote"
            )
        return cls(**{name: environment[variable].rstrip("/") for name, variable in names.items()})


@functools.cache
def load(path: str) -> Config:
    """Read and check a configuration file.

    Raises:
        ConfigurationError: One line that lists every unknown key (with the nearest valid one), missing key,
            value of the wrong type and impossible combination.
    """
    parser = configparser.ConfigParser(interpolation=None, inline_comment_prefixes=("#", ";"))
    parser.optionxform = str  # type: ignore[assignment,method-assign] # keys are case-sensitive: Tb
    try:
        if not parser.read(path, encoding="utf-8"):
            raise ConfigurationError(f"{path} does not exist: `aframe init DIR` writes a configuration")
    except configparser.Error as error:
        raise ConfigurationError(f"{path} is no configuration file: {' '.join(str(error).split())}") from None
    hints = typing.get_type_hints(Config)
    kinds = {name: kind for name, kind in hints.items() if name != "path"}
    problems = _unknown_sections(parser, kinds)
    sections: dict[str, Any] = {}
    for name, kind in kinds.items():
        values = dict(parser[f"luigi_{name}"]) if parser.has_section(f"luigi_{name}") else {}
        sections[name] = _section(name, kind, values, problems)
    if problems:
        raise ConfigurationError(f"{path}: " + "; ".join(problems))
    config = Config(**sections, path=Path(path).absolute())
    sys.path.append(str(config.path.parent))  # a python path of the file may name a module beside it
    problems = _impossible(config)
    if problems:
        raise ConfigurationError(f"{path}: " + "; ".join(problems))
    return config


def _unknown_sections(parser: configparser.ConfigParser, kinds: Mapping[str, Any]) -> list[str]:
    valid = [f"luigi_{name}" for name in kinds]
    return [
        f"unknown section [{name}]{_nearest(name, valid)}"
        for name in parser.sections()
        if name not in valid and name not in LAW_SECTIONS
    ]


def _section(name: str, kind: Any, values: Mapping[str, str], problems: list[str]) -> Any:
    fields = {f.name: f for f in dataclasses.fields(kind)}
    hints = typing.get_type_hints(kind)
    where = f"[luigi_{name}]"
    problems += [f"unknown key {k!r} in {where}{_nearest(k, list(fields))}" for k in values if k not in fields]
    parsed: dict[str, Any] = {}
    for field_name, spec in fields.items():
        if field_name not in values:
            if spec.default is dataclasses.MISSING:
                unit = f", {spec.metadata['unit']}" if spec.metadata["unit"] else ""
                problems.append(f"missing key {field_name!r} in {where} ({spec.metadata['description']}{unit})")
            continue
        try:
            parsed[field_name] = _parse(values[field_name], hints[field_name])
        except ValueError as error:
            problems.append(f"{field_name} = {values[field_name]!r} in {where} {error}")
    return None if problems else kind(**parsed)


def _nearest(name: str, valid: list[str]) -> str:
    close = difflib.get_close_matches(name, valid, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _parse(text: str, kind: Any) -> Any:
    text = text.strip()
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        return None if text.lower() in ("", "none") else _parse(text, arguments[0])
    if origin is tuple:
        items = [item for item in LIST_BORDER.split(LIST_BRACKETS.sub(r"\1", text)) if item]
        if not items:
            raise ValueError("is empty: give at least one value")
        if typing.get_origin(arguments[0]) is tuple:
            return tuple(_pair(item) for item in items)
        return tuple(_parse(item, arguments[0]) for item in items)
    if kind is str:
        return os.path.expandvars(text.strip("\"'"))
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError("is neither true nor false")
        return text.lower() == "true"
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"is no {'whole number' if kind is int else 'number'}") from None


def _pair(text: str) -> tuple[float, float]:
    try:
        first, second = (float(part) for part in text.split("-"))
    except ValueError:
        raise ValueError(f"has {text!r}, which is no pair of masses such as 35-20") from None
    return max(first, second), min(first, second)


def _impossible(config: Config) -> list[str]:
    """What each value says on its own is right, but not together."""
    s, d, w, i = config.search, config.data, config.waveforms, config.inference
    needed = s.psd_length + s.kernel_length + s.fduration / 2
    checks = [
        (len(s.ifos) >= 2, f"ifos = {','.join(s.ifos)}: a coincident search needs at least two"),
        (len(set(s.ifos)) == len(s.ifos), f"ifos = {','.join(s.ifos)} names a detector twice"),
        (0 < s.highpass < s.sample_rate / 2,
         f"highpass = {s.highpass} Hz is not between 0 and the Nyquist frequency {s.sample_rate / 2} Hz"),
        (s.lowpass is None or s.highpass < s.lowpass <= s.sample_rate / 2,
         f"lowpass = {s.lowpass} Hz is not between highpass and the Nyquist frequency {s.sample_rate / 2} Hz"),
        (d.train_start < d.train_stop < d.test_stop, "train_start, train_stop and test_stop do not follow each other"),
        (d.max_duration >= d.min_duration,
         f"max_duration = {d.max_duration} s is less than min_duration = {d.min_duration}"),
        (d.min_duration >= needed,
         f"min_duration = {d.min_duration} s is too short: psd_length, kernel_length, fduration / 2 take {needed} s"),
        (s.psd_length >= s.fftlength, f"psd_length = {s.psd_length} s is shorter than fftlength = {s.fftlength} s"),
        (w.waveform_duration > w.right_pad > 0,
         f"right_pad = {w.right_pad} s is not inside waveform_duration = {w.waveform_duration} s"),
        (w.waveform_duration >= s.kernel_length,
         f"kernel_length = {s.kernel_length} s is longer than waveform_duration = {w.waveform_duration} s"),
        (len(i.shifts) == len(s.ifos),
         f"shifts = {i.shifts} must give one value for each of ifos = {','.join(s.ifos)}"),
        (len(set(i.shifts)) == len(i.shifts),
         f"shifts = {i.shifts}: two detectors with one shift are never slid apart"),
        (d.source in ("gwosc", "local", "simulated"), f"source = {d.source!r} is none of gwosc, local, simulated"),
        (d.source != "simulated" or d.asd is not None, "source = simulated needs the key asd"),
        (d.source != "local" or d.frames is not None, "source = local needs the key frames"),
        (0 <= 2 * config.injections.jitter < config.injections.spacing,
         f"jitter = {config.injections.jitter} s is not between 0 and half of spacing = {config.injections.spacing} s"),
        (config.injections.buffer >= 0, f"buffer = {config.injections.buffer} s must not be negative"),
        (s.seed >= 0, f"seed = {s.seed} must not be negative"),
        (0 < w.minimum_frequency < s.sample_rate / 2,
         f"minimum_frequency = {w.minimum_frequency} Hz is not between 0 and the Nyquist frequency"),
        (i.precision in ("float32", "bfloat16"), f"precision = {i.precision!r} is neither float32 nor bfloat16"),
        *((value > 0, f"{name} = {value} must be positive") for name, value in (
            ("sample_rate", s.sample_rate), ("kernel_length", s.kernel_length), ("fduration", s.fduration),
            ("block_length", s.block_length), ("inference_sampling_rate", s.inference_sampling_rate), ("Tb", i.Tb),
            ("num_training_waveforms", w.num_training_waveforms), ("slides_per_job", i.slides_per_job),
            ("num_validation_waveforms", w.num_validation_waveforms), ("batch_size", i.batch_size),
            ("integration_window_length", i.integration_window_length),
            ("cluster_window_length", i.cluster_window_length),
            ("num_injections", config.injections.num_injections), ("spacing", config.injections.spacing),
        )),
    ]  # fmt: skip
    problems = [message for holds, message in checks if not holds]
    if not problems:
        for name in ("kernel_size", "stride_size"):
            problems += _complaint(lambda name=name: getattr(s, name))  # type: ignore[misc]
        rate = s.inference_sampling_rate
        for length, name in (
            (i.integration_window_length, "integration_window_length"),
            (i.cluster_window_length / 2, "cluster_window_length / 2"),
        ):
            problems += _complaint(lambda length=length, name=name: to_samples(length, rate, name))  # type: ignore[misc]
        for name in ("psd_size", "filter_size", "block_size"):
            problems += _complaint(lambda name=name: getattr(s.whitening, name))  # type: ignore[misc]
    return problems


def _complaint(compute: typing.Callable[[], Any]) -> list[str]:
    try:
        compute()
    except ConfigurationError as error:
        return [str(error)]
    return []
