"""Checks of values that are valid alone but contradict each other."""

import contextlib
import dataclasses
import itertools
import math
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from aframe.constants import LIGHT_TRAVEL_TIME_MAX, SPEED_OF_LIGHT
from aframe.errors import ConfigurationError
from aframe.preprocessing import to_samples
from aframe.settings.keys import Mistake, UnknownValueError, shown, with_unit

if TYPE_CHECKING:
    from aframe.settings.sections import Config
from aframe.preprocessing import check_shifts

LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")
"""Hosts that are each machine's own."""

LEAST_BEFORE = 0.5
"""Seconds of a waveform before coalescence, at least: it rises from zero over half of them."""

Found = Iterator[Mistake]


def conflicts(config: "Config") -> list[Mistake]:
    """Values that contradict each other.

    Args:
        config: The configuration. A check that needs a value that is missing or wrong finds nothing.
    """
    mistakes: list[Mistake] = []
    for check in CHECKS:
        with contextlib.suppress(UnknownValueError):
            for mistake in check(config):
                mistakes.append(mistake)
    if not mistakes:
        with contextlib.suppress(UnknownValueError):
            mistakes += _between_samples(config)
    return mistakes


def _wrong(config: "Config", name: str, text: str) -> Mistake:
    """What is wrong with the value of a key, given as ``section.key``."""
    section, _, key = name.partition(".")
    spec = next(field for field in dataclasses.fields(getattr(config, section)) if field.name == key)
    return Mistake(section, key, f"{key} = {with_unit(_value(config, name), spec)} in [luigi_{section}] {text}")


def _value(config: "Config", name: str) -> Any:
    section, _, key = name.partition(".")
    return getattr(getattr(config, section), key)


def _detectors(config: "Config") -> Found:
    ifos = config.search.ifos
    if len(ifos) < 2:
        yield _wrong(config, "search.ifos", "is one detector: a coincident search needs at least two")
    if len(set(ifos)) < len(ifos):
        yield _wrong(config, "search.ifos", "names a detector twice")


def _frequencies(config: "Config") -> Found:
    search, nyquist = config.search, config.search.sample_rate / 2
    limit = f"the Nyquist frequency {shown(nyquist)} Hz (half of sample_rate)"
    if not 0 < search.highpass < nyquist:
        yield _wrong(config, "search.highpass", f"is not between 0 and {limit}")
    elif search.lowpass is not None and not search.highpass < search.lowpass <= nyquist:
        yield _wrong(config, "search.lowpass", f"is not between highpass = {shown(search.highpass)} Hz and {limit}")
    for name in ("minimum_frequency", "reference_frequency"):
        if not 0 < getattr(config.waveforms, name) < nyquist:
            yield _wrong(config, f"waveforms.{name}", f"is not between 0 and {limit}")
    if search.highpass < config.waveforms.minimum_frequency < nyquist:
        told = (
            f"is above highpass = {shown(search.highpass)} Hz in [luigi_search]: signals would lack what lies between"
        )
        yield _wrong(config, "waveforms.minimum_frequency", told)


def _windows(config: "Config") -> Found:
    search = config.search
    if search.psd_length < search.fftlength:
        yield _wrong(config, "search.psd_length", f"is shorter than fftlength = {shown(search.fftlength)} s")
    duration = config.waveforms.waveform_duration
    if search.kernel_length > duration:
        told = f"is longer than waveform_duration = {shown(duration)} s in [luigi_waveforms]: no signal would fill it"
        yield _wrong(config, "search.kernel_length", told)
    if not duration - LEAST_BEFORE >= config.waveforms.right_pad > 0:
        told = f"is not inside waveform_duration = {shown(duration)} s, with {LEAST_BEFORE} s before coalescence"
        yield _wrong(config, "waveforms.right_pad", told)


def _times(config: "Config") -> Found:
    data = config.data
    if not data.train_start < data.train_stop:
        yield _wrong(config, "data.train_start", f"must come before train_stop = {shown(data.train_stop)}")
    if not data.train_stop < data.test_stop:
        yield _wrong(config, "data.test_stop", f"must come after train_stop = {shown(data.train_stop)}")


def _segments(config: "Config") -> Found:
    data, search = config.data, config.search
    if data.max_duration < data.min_duration:
        yield _wrong(config, "data.max_duration", f"is less than min_duration = {shown(data.min_duration)} s")
    needed = search.psd_length + search.kernel_length + search.fduration / 2
    if data.min_duration < needed:
        told = f"is too short: psd_length, kernel_length and fduration / 2 take {shown(needed)} s of each segment"
        yield _wrong(config, "data.min_duration", told)


def _shifts(config: "Config") -> Found:
    shifts, ifos = config.inference.shifts, config.search.ifos
    if len(shifts) != len(ifos):
        told = f"must give one value for each of ifos = {', '.join(ifos)} in [luigi_search]"
        yield _wrong(config, "inference.shifts", told)
        return
    if len(set(shifts)) < len(shifts):
        yield _wrong(config, "inference.shifts", "has two detectors with one shift, which are never slid apart")
        return
    for (first, here), (second, there) in itertools.combinations(zip(ifos, shifts, strict=True), 2):
        apart = abs(here - there)
        if apart < LIGHT_TRAVEL_TIME_MAX and apart <= (travel := light_travel_time(first, second)):
            told = (
                f"slides {first} and {second} by {apart:g} s, in which light travels from one to the other "
                f"({1e3 * travel:.1f} ms): real signals would count as background; take longer shifts"
            )
            yield _wrong(config, "inference.shifts", told)


def light_travel_time(first: str, second: str) -> float:
    """Seconds that light takes from one detector to another; 0 where LAL does not know both.

    >>> round(light_travel_time("H1", "L1"), 5)
    0.01001
    """
    import lal

    known = lal.cached_detector_by_prefix
    if first not in known or second not in known:
        return 0.0
    return math.dist(known[first].location, known[second].location) / SPEED_OF_LIGHT


def _source(config: "Config") -> Found:
    data = config.data
    for source, key, wanted in (("simulated", "asd", "a noise curve"), ("local", "frames", "a directory of strain")):
        if data.source == source and getattr(data, key) is None:
            yield _wrong(config, "data.source", f"needs the key {key}, {wanted}")


def _injections(config: "Config") -> Found:
    made = config.injections
    if not 0 <= 2 * made.jitter < made.spacing:
        yield _wrong(config, "injections.jitter", f"is not between 0 and half of spacing = {shown(made.spacing)} s")
        return
    inference = config.inference
    reach = max(inference.cluster_window_length / 2, inference.integration_window_length)
    if made.spacing - 2 * made.jitter <= reach:
        told = f"brings injections within {shown(reach)} s of each other (half of cluster_window_length, or "
        yield _wrong(config, "injections.spacing", f"{told}integration_window_length): they would hide each other")


def _export(config: "Config") -> Found:
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", config.export.model_name):
        yield _wrong(config, "export.model_name", "must be letters, digits, dots, dashes and underscores")


def _candidates(config: "Config") -> Found:
    rates = config.candidates.merger_rate_density
    if not (len(rates) == 2 and 0 < rates[0] <= rates[-1]):
        yield _wrong(config, "candidates.merger_rate_density", "is no interval: give its two ends, the lower one first")


def _vetoes(config: "Config") -> Found:
    made, ifos = config.vetoes, config.search.ifos
    for name in ("gates", "veto_segments", "good_segments"):
        for item in getattr(made, name) or ():
            ifo, _, path = item.partition(":")
            if ifo not in ifos or not path:
                told = f"has {item!r}, which is no DETECTOR:FILE of a detector in ifos, such as {ifos[0]}:{name}.txt"
                yield _wrong(config, f"vetoes.{name}", told)
    for first, second in (
        ("veto_definer", "veto_categories"), ("veto_definer", "flag_segments"), ("known_events", "known_event_window"),
    ):  # fmt: skip
        values = (getattr(made, first), getattr(made, second))
        if (values[0] is None) != (values[1] is None):
            given, lacking = (first, second) if values[1] is None else (second, first)
            yield _wrong(config, f"vetoes.{given}", f"needs the key {lacking}")
    if made.dq_files is not None and made.dq_bits is None:
        yield _wrong(config, "vetoes.dq_files", "needs the key dq_bits")
    if made.dq_bits is not None and made.dq_files is None and config.data.source != "gwosc" and not config.data.frames:
        yield _wrong(config, "vetoes.dq_bits", "needs the key dq_files, as the strain's source has none")


def _batch(config: "Config") -> Found:
    """Where tasks run; a conflict within ``[luigi_batch]`` is not repeated for each task."""
    mistakes = config.batch.conflicts("batch")
    yield from mistakes
    if not mistakes:
        for task, batch in config.batch_of.items():
            yield from batch.conflicts(task)
    scoring, made = config.batch_for("ScoreSlides"), config.inference
    if scoring.is_remote and made.engine == "triton":
        name = "triton_host" if made.triton_address is None else "triton_address"
        host = str(getattr(made, name)).rpartition(":")[0] or str(getattr(made, name))
        if host in LOOPBACK:
            mend = (
                f"is an address that jobs of {scoring.workflow}, on other machines, cannot reach: set {name} to a name "
                "that they can reach, or workflow = local in [luigi_ScoreSlides]"
            )
            yield _wrong(config, f"inference.{name}", mend)


def _kubernetes(config: "Config") -> Found:
    yield from config.kubernetes.conflicts()


CHECKS: tuple[Callable[["Config"], Found], ...] = (
    _detectors, _frequencies, _windows, _times, _segments, _shifts, _source, _injections, _export, _candidates,
    _vetoes, _batch, _kubernetes,
)  # fmt: skip


def _between_samples(config: "Config") -> Found:
    """Lengths that are no whole number of samples, or of windows' strides."""
    search, made = config.search, config.inference
    rate = search.inference_sampling_rate
    computed: dict[str, Callable[[], Any]] = {
        "search.kernel_length": lambda: search.kernel_size,
        "search.inference_sampling_rate": lambda: search.stride_size,
        "search.psd_length": lambda: search.whitening.psd_size,
        "search.fduration": lambda: search.whitening.filter_size,
        "search.block_length": lambda: search.whitening.block_size,
        "inference.integration_window_length": lambda: to_samples(
            made.integration_window_length, rate, "integration_window_length"
        ),
        "inference.cluster_window_length": lambda: to_samples(
            made.cluster_window_length / 2, rate, "cluster_window_length / 2"
        ),
        "inference.shifts": lambda: check_shifts(made.shifts, rate),
    }
    for name, compute in computed.items():
        section, _, key = name.partition(".")
        try:
            compute()
        except ConfigurationError as error:
            yield Mistake(section, key, str(error))
