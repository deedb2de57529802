"""Find values that are valid alone but contradict each other."""

import contextlib
import dataclasses
import itertools
import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from aframe.constants import LIGHT_TRAVEL_TIME_MAX, SPEED_OF_LIGHT
from aframe.errors import ConfigurationError
from aframe.preprocessing import check_shifts, to_samples
from aframe.settings.keys import Mistake, UnknownValueError, shown, with_unit

if TYPE_CHECKING:
    from aframe.settings.sections import Config

LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")
"""Names of a machine for itself."""

LEAST_DURATION_BEFORE_COALESCENCE = 0.5
"""Shortest waveform before coalescence, s. It rises from zero over half of this time."""

LATEST_TIME = 3.8e9
"""Latest time of data, GPS s. What is later is in milliseconds, say."""

Mistakes = Iterator[Mistake]


def conflicts(config: "Config") -> list[Mistake]:
    """List the values that contradict each other. Checks of missing or wrong values are left out."""
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
    """Create the mistake about a key in the form ``section.key``."""
    section, _, key = name.partition(".")
    spec = next(field for field in dataclasses.fields(getattr(config, section)) if field.name == key)
    return Mistake(section, key, f"{key} = {with_unit(_value(config, name), spec)} in [luigi_{section}] {text}")


def _value(config: "Config", name: str) -> Any:
    section, _, key = name.partition(".")
    return getattr(getattr(config, section), key)


def _detectors(config: "Config") -> Mistakes:
    ifos = config.search.ifos
    if len(ifos) < 2:
        yield _wrong(config, "search.ifos", "is one detector: a coincident search needs at least two")
    if len(set(ifos)) < len(ifos):
        yield _wrong(config, "search.ifos", "names a detector twice")


def _frequencies(config: "Config") -> Mistakes:
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
        problem = (
            f"is above highpass = {shown(search.highpass)} Hz in [luigi_search]: signals would lack the band between"
        )
        yield _wrong(config, "waveforms.minimum_frequency", problem)


def _windows(config: "Config") -> Mistakes:
    search = config.search
    if search.psd_length < search.fftlength:
        yield _wrong(config, "search.psd_length", f"is shorter than fftlength = {shown(search.fftlength)} s")
    duration = config.waveforms.waveform_duration
    if search.kernel_length > duration:
        limit = f"waveform_duration = {shown(duration)} s in [luigi_waveforms]"
        yield _wrong(config, "search.kernel_length", f"is longer than {limit}: no signal would fill it")
    if not duration - LEAST_DURATION_BEFORE_COALESCENCE >= config.waveforms.right_pad > 0:
        before = f"{LEAST_DURATION_BEFORE_COALESCENCE} s before coalescence"
        problem = f"is not inside waveform_duration = {shown(duration)} s, with {before}"
        yield _wrong(config, "waveforms.right_pad", problem)


def _filters(config: "Config") -> Mistakes:
    search = config.search
    if search.psd_length < search.whitening.before_length:
        yield _wrong(config, "search.psd_length", f"is shorter than fduration = {shown(search.fduration)} s needs")


def _templates(config: "Config") -> Mistakes:
    bank = config.bank
    if bank.after >= bank.template_length:
        yield _wrong(config, "bank.after", f"is not inside template_length = {shown(bank.template_length)} s")


def _times(config: "Config") -> Mistakes:
    data = config.data
    if not data.train_start < data.train_stop:
        yield _wrong(config, "data.train_start", f"must come before train_stop = {shown(data.train_stop)}")
    if not data.train_stop < data.test_stop:
        yield _wrong(config, "data.test_stop", f"must come after train_stop = {shown(data.train_stop)}")
    if data.test_stop > LATEST_TIME:
        yield _wrong(config, "data.test_stop", "is after the year 2100: give GPS seconds")


def _segments(config: "Config") -> Mistakes:
    data, search = config.data, config.search
    if data.max_duration < data.min_duration:
        yield _wrong(config, "data.max_duration", f"is less than min_duration = {shown(data.min_duration)} s")
    needed = search.psd_length + search.kernel_length + search.whitening.after_length
    if data.min_duration < needed:
        lengths = ["psd_length", "kernel_length", *(["fduration / 2"] if search.whitening.after_size else [])]
        problem = f"is too short: {', '.join(lengths[:-1])} and {lengths[-1]} take {shown(needed)} s of each segment"
        yield _wrong(config, "data.min_duration", problem)


def _shifts(config: "Config") -> Mistakes:
    shifts, ifos = config.inference.shifts, config.search.ifos
    if len(shifts) != len(ifos):
        problem = f"must give one value for each of ifos = {', '.join(ifos)} in [luigi_search]"
        yield _wrong(config, "inference.shifts", problem)
        return
    if len(set(shifts)) < len(shifts):
        yield _wrong(config, "inference.shifts", "has two detectors with one shift: they are never slid apart")
        return
    for (first, first_shift), (second, second_shift) in itertools.combinations(zip(ifos, shifts, strict=True), 2):
        difference = abs(first_shift - second_shift)
        if difference < LIGHT_TRAVEL_TIME_MAX and difference <= (travel := light_travel_time(first, second)):
            problem = (
                f"slides {first} and {second} by {difference:g} s, not more than the light travel time "
                f"({1e3 * travel:.1f} ms): real signals would count as background; take longer shifts"
            )
            yield _wrong(config, "inference.shifts", problem)


def light_travel_time(first: str, second: str) -> float:
    """Light travel time between two detectors, s. 0 for a detector that LAL does not have.

    >>> round(light_travel_time("H1", "L1"), 5)
    0.01001

    Args:
        first: A detector, by LAL's two-letter name.
        second: Another detector.
    """
    import lal

    detectors = lal.cached_detector_by_prefix
    if first not in detectors or second not in detectors:
        return 0.0
    return math.dist(detectors[first].location, detectors[second].location) / SPEED_OF_LIGHT


def farthest(ifos: Sequence[str]) -> tuple[float, str, str]:
    """Longest light travel time between two of some detectors, s, and these two. 0 and no names for a single detector.

    Args:
        ifos: Detectors, by LAL's two-letter names.
    """
    pairs = itertools.combinations(ifos, 2)
    return max(((light_travel_time(*pair), *pair) for pair in pairs), default=(0.0, "", ""))


def _source(config: "Config") -> Mistakes:
    data = config.data
    for source, key, kind in (
        ("simulated", "asd", "a noise curve"),
        ("local", "frames", "a directory of strain"),
    ):
        if data.source == source and getattr(data, key) is None:
            yield _wrong(config, "data.source", f"needs the key {key}, {kind}")
    for item in data.channel or ():
        ifo, _, name = item.partition(":")
        if ifo not in config.search.ifos or not name:
            problem = f"has {item!r}, which is no DETECTOR:NAME of a detector in ifos"
            yield _wrong(config, "data.channel", f"{problem}, such as {config.search.ifos[0]}:GDS-CALIB_STRAIN_CLEAN")
    for name in ("drift", "glitches"):
        if getattr(data, name) is not None and data.source != "simulated":
            yield _wrong(config, f"data.{name}", "needs source = simulated: other strain has its own")
    if data.channel and data.source == "simulated":
        yield _wrong(config, "data.channel", "needs source = local or gwosc: simulated strain has no channels")


def _injections(config: "Config") -> Mistakes:
    injections = config.injections
    if not 0 <= 2 * injections.jitter < injections.spacing:
        yield _wrong(
            config, "injections.jitter", f"is not between 0 and half of spacing = {shown(injections.spacing)} s"
        )
        return
    inference = config.inference
    reach = max(inference.cluster_window_length / 2, inference.integration_window_length)
    if injections.spacing - 2 * injections.jitter <= reach:
        problem = f"brings injections within {shown(reach)} s of each other (half of cluster_window_length, or "
        yield _wrong(config, "injections.spacing", f"{problem}integration_window_length): they would hide each other")


def _export(config: "Config") -> Mistakes:
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", config.export.model_name):
        yield _wrong(config, "export.model_name", "must be letters, digits, dots, dashes and underscores")
    if config.inference.asks_the_repository and not config.export.served:
        yield _wrong(config, "inference.engine", "scores with the exported model, which served = false leaves out")


def _candidates(config: "Config") -> Mistakes:
    rates = config.candidates.merger_rate_density
    if not (len(rates) == 2 and 0 < rates[0] <= rates[-1]):
        yield _wrong(config, "candidates.merger_rate_density", "is no interval: give its two ends, the lower one first")


def _vetoes(config: "Config") -> Mistakes:
    vetoes, ifos = config.vetoes, config.search.ifos
    for name in ("gates", "veto_segments", "good_segments"):
        for item in getattr(vetoes, name) or ():
            ifo, _, path = item.partition(":")
            if ifo not in ifos or not path:
                problem = f"has {item!r}, which is no DETECTOR:FILE of a detector in ifos, such as {ifos[0]}:{name}.txt"
                yield _wrong(config, f"vetoes.{name}", problem)
    for first, second in (
        ("veto_definer", "veto_categories"), ("veto_definer", "flag_segments"), ("known_events", "known_event_window"),
    ):  # fmt: skip
        values = (getattr(vetoes, first), getattr(vetoes, second))
        if (values[0] is None) != (values[1] is None):
            present, lacking = (first, second) if values[1] is None else (second, first)
            yield _wrong(config, f"vetoes.{present}", f"needs the key {lacking}")
    if vetoes.dq_files is not None and vetoes.dq_bits is None:
        yield _wrong(config, "vetoes.dq_files", "needs the key dq_bits")
    if (
        vetoes.dq_bits is not None
        and vetoes.dq_files is None
        and config.data.source != "gwosc"
        and not config.data.frames
    ):
        yield _wrong(config, "vetoes.dq_bits", "needs the key dq_files, as the strain's source has none")
    extended = ("gates", "veto_segments", "good_segments", "veto_definer", "dq_bits")
    if vetoes.veto_margin and all(getattr(vetoes, name) is None for name in extended):
        yield _wrong(
            config, "vetoes.veto_margin", f"has nothing to extend: give {', '.join(extended)}, or leave it out"
        )
    if vetoes.known_event_scope != "background" and vetoes.known_events is None:
        yield _wrong(config, "vetoes.known_event_scope", "needs the key known_events")


def _batch(config: "Config") -> Mistakes:
    """Check where tasks run. A conflict within ``[luigi_batch]`` is reported once, not for each task."""
    mistakes = config.batch.conflicts("batch")
    yield from mistakes
    if not mistakes:
        for task, batch in config.batch_of.items():
            yield from batch.conflicts(task)
    scoring, inference = config.batch_for("ScoreSlides"), config.inference
    if scoring.is_remote and inference.engine == "triton":
        name = "triton_host" if inference.triton_address is None else "triton_address"
        host = str(getattr(inference, name)).rpartition(":")[0] or str(getattr(inference, name))
        if host in LOOPBACK:
            problem = (
                f"is an address that jobs of {scoring.workflow}, on other machines, cannot reach: set {name} to a name "
                "that they can reach, or workflow = local in [luigi_ScoreSlides]"
            )
            yield _wrong(config, f"inference.{name}", problem)


def _kubernetes(config: "Config") -> Mistakes:
    yield from config.kubernetes.conflicts()


CHECKS: tuple[Callable[["Config"], Mistakes], ...] = (
    _detectors, _frequencies, _windows, _filters, _templates, _times, _segments, _shifts, _source, _injections, _export,
    _candidates, _vetoes, _batch, _kubernetes,
)  # fmt: skip


def _between_samples(config: "Config") -> Mistakes:
    """Lengths that are no whole number of samples, or of strides between windows."""
    search, inference = config.search, config.inference
    rate = search.inference_sampling_rate
    computed: dict[str, Callable[[], Any]] = {
        "search.kernel_length": lambda: search.kernel_size,
        "search.inference_sampling_rate": lambda: search.stride_size,
        "search.psd_length": lambda: search.whitening.psd_size,
        "search.fduration": lambda: search.whitening.filter_size,
        "search.block_length": lambda: search.whitening.block_size,
        "inference.integration_window_length": lambda: to_samples(
            inference.integration_window_length, rate, "integration_window_length"
        ),
        "inference.cluster_window_length": lambda: to_samples(
            inference.cluster_window_length / 2, rate, "cluster_window_length / 2"
        ),
        "inference.shifts": lambda: check_shifts(inference.shifts, rate),
    }
    for name, compute in computed.items():
        section, _, key = name.partition(".")
        try:
            compute()
        except ConfigurationError as error:
            yield Mistake(section, key, str(error))
