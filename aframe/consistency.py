"""What each value of a configuration says on its own is right, but not together with the others."""

import math
import re
import typing
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aframe.errors import ConfigurationError
from aframe.preprocessing import to_samples

if TYPE_CHECKING:
    from aframe.config import Candidates, Config, Export


PRECISIONS = ("float32", "bfloat16", "float16")

ENGINES = ("torch", "compiled", "onnx", "auto", "triton")

LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")
"""Hosts that are each machine's own."""

LEAST_BEFORE = 0.5
"""Seconds of a waveform before coalescence, at least: it rises from zero over half of them."""

MOST_SHOWN = 50
"""Candidates of which strain and scores are shown, at most: each takes some 0.1 MB of the report."""


def impossible(config: "Config") -> list[str]:
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
        (w.waveform_duration - LEAST_BEFORE >= w.right_pad > 0,
         f"right_pad = {w.right_pad} s is not inside waveform_duration = {w.waveform_duration} s, with "
         f"{LEAST_BEFORE} s before coalescence"),
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
        (i.precision in PRECISIONS, f"precision = {i.precision!r} is none of {', '.join(PRECISIONS)}"),
        *_checks_of_export(config.export),
        (i.engine in ENGINES, f"engine = {i.engine!r} is none of {', '.join(ENGINES)}"),
        (i.triton_retries >= 0, f"triton_retries = {i.triton_retries} must not be negative"),
        (i.embeddings_cache >= 0, f"embeddings_cache = {i.embeddings_cache} GB must not be negative"),
        *((value > 0, f"{name} = {value} must be positive") for name, value in (
            ("sample_rate", s.sample_rate), ("kernel_length", s.kernel_length), ("fduration", s.fduration),
            ("block_length", s.block_length), ("inference_sampling_rate", s.inference_sampling_rate), ("Tb", i.Tb),
            ("num_training_waveforms", w.num_training_waveforms), ("background_per_job", i.background_per_job),
            ("num_validation_waveforms", w.num_validation_waveforms),
            *(("batch_size", size) for size in (i.batch_size,) if size != "auto"),
            ("triton_in_flight", i.triton_in_flight), ("triton_deadline", i.triton_deadline),
            ("integration_window_length", i.integration_window_length),
            ("cluster_window_length", i.cluster_window_length),
            ("num_injections", config.injections.num_injections), ("spacing", config.injections.spacing),
        )),
        *_checks_of_candidates(config.candidates),
    ]  # fmt: skip
    problems = [message for holds, message in checks if not holds]
    problems += config.vetoes.problems(s.ifos, d.source, d.frames)
    problems += _problems_of_batch(config)
    if not problems:
        for name in ("kernel_size", "stride_size"):
            problems += _complaint(lambda name=name: getattr(s, name))  # type: ignore[misc]
        rate = s.inference_sampling_rate
        for length, name in (
            (i.integration_window_length, "integration_window_length"),
            (i.cluster_window_length / 2, "cluster_window_length / 2"),
        ):
            problems += _complaint(lambda length=length, name=name: to_samples(length, rate, name))  # type: ignore[misc]
        problems += _complaint(lambda: check_shifts(i.shifts, rate))
        for name in ("psd_size", "filter_size", "block_size"):
            problems += _complaint(lambda name=name: getattr(s.whitening, name))  # type: ignore[misc]
    return problems


def check_shifts(shifts: Sequence[float], sampling_rate: float) -> None:
    """Refuse shifts after which windows of two detectors do not start at one time.

    Args:
        shifts: Of each detector, s.
        sampling_rate: Windows per second, Hz.

    Raises:
        ConfigurationError: Naming a shift that lies between windows, and those that are allowed.
    """
    for shift in shifts:
        windows = shift * sampling_rate
        if abs(windows - round(windows)) > 1e-6:
            below, above = math.floor(windows) / sampling_rate, math.ceil(windows) / sampling_rate
            raise ConfigurationError(
                f"shifts = {tuple(shifts)}: {shift} s lies between windows, of which one starts every "
                f"{1 / sampling_rate:g} s (1 / inference_sampling_rate): choose multiples of that, such as "
                f"{below:g} or {above:g}"
            )


def _problems_of_batch(config: "Config") -> list[str]:
    problems = config.batch.problems("batch")
    if not problems:
        own = {task: batch for task, batch in config.batch_of.items() if batch != config.batch}
        problems = [problem for task, batch in own.items() for problem in batch.problems(task)]
    scoring, made = config.batch_for("ScoreSlides"), config.inference
    if scoring.is_remote and made.engine == "triton":
        name = "triton_host" if made.triton_address is None else "triton_address"
        host = str(getattr(made, name)).rpartition(":")[0] or str(getattr(made, name))
        if host in LOOPBACK:
            problems.append(
                f"{name} = {getattr(made, name)}: jobs of {scoring.workflow} run on other machines, which cannot reach "
                f"this address; set {name} to a name that they can reach, or workflow = local in [luigi_ScoreSlides]"
            )
    return problems


def _checks_of_export(e: "Export") -> list[tuple[bool, str]]:
    choices = {
        "platform": (e.platform, ("onnxruntime", "tensorrt", "torch")),
        "export_precision": (e.export_precision, ("float32", "float16", "bfloat16")),
        "accelerator": (e.accelerator, ("tensorrt", "cuda", "none")),
    }
    positive = {"max_batch_size": e.max_batch_size, "block_windows": e.block_windows, "instances": e.instances}
    return [
        (re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", e.model_name) is not None,
         f"model_name = {e.model_name!r}: take letters, digits, dots, dashes and underscores for it"),
        (e.threads >= 0 and e.queue_delay >= 0,
         f"threads = {e.threads} and queue_delay = {e.queue_delay} s must not be negative"),
        *((value in among, f"{name} = {value!r} is none of {', '.join(among)}")
          for name, (value, among) in choices.items()),
        *((value > 0, f"{name} = {value} must be positive") for name, value in positive.items()),
    ]  # fmt: skip


def _checks_of_candidates(c: "Candidates") -> list[tuple[bool, str]]:
    rates = c.merger_rate_density
    positive = {
        "removal_far_per_year": c.removal_far_per_year,
        "removal_window": c.removal_window,
        "catalogue_window": c.catalogue_window,
    }
    return [
        (len(rates) == 2 and 0 < rates[0] <= rates[-1],
         f"merger_rate_density = {rates} is no interval: give its two ends, the lower one first"),
        (c.rate_prior in ("lognormal", "jeffreys"), f"rate_prior = {c.rate_prior!r} is neither lognormal nor jeffreys"),
        (c.num_timed >= 0, f"num_timed = {c.num_timed} must not be negative"),
        (0 <= c.num_shown <= MOST_SHOWN,
         f"num_shown = {c.num_shown} is not between 0 and {MOST_SHOWN}: the report would be too large"),
        *((value is None or value > 0, f"{name} = {value} must be positive") for name, value in positive.items()),
    ]  # fmt: skip


def _complaint(compute: typing.Callable[[], Any]) -> list[str]:
    try:
        compute()
    except ConfigurationError as error:
        return [str(error)]
    return []
