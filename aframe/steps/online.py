"""Build a search that runs from its settings, and check all of it before any strain is searched."""

import dataclasses
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aframe import storage
from aframe.candidates.templates import Templates
from aframe.errors import ConfigurationError
from aframe.inference.adaptation import adapted
from aframe.inference.recorded import recordings_of
from aframe.inference.scorers import TorchScorer
from aframe.machine.locks import lock
from aframe.machine.precision import DTYPES
from aframe.machine.versions import code
from aframe.online.arrivals import Source
from aframe.online.clock import unix_of
from aframe.online.frames import FrameChannels, FrameSource, parse_directories
from aframe.online.handover import Handovers, Reach
from aframe.online.issue import Classes, Issuer, Recipe
from aframe.online.live_search import LiveSearch
from aframe.online.ngdd import NgddChannels, NgddSource
from aframe.online.outbox import Outbox
from aframe.online.ranking import Ranking
from aframe.online.replay import Replay
from aframe.online.resumption import FILE, Resumption
from aframe.online.rolling_background import BLOCK_LENGTH, SHARE, RollingBackground
from aframe.online.service import Parts, Service
from aframe.online.sinks import configured_sinks
from aframe.online.slide_process import SlidePlan
from aframe.online.status import latest_events
from aframe.online.tracking import Tracker
from aframe.online.views import view
from aframe.online.watching import Watch
from aframe.settings.sections import Config, Search
from aframe.steps.strain_search import SearchChoices, StrainSearch
from aframe.strain.channels import parse_channels
from aframe.strain.recordings import expand
from aframe.strain.state_vectors import StateVectors
from aframe.train.model import Model

MARGIN = 1.0
"""Seconds of strain before that which is needed, of which resampling cuts off a part."""

REMEMBERED = 64
"""Number of events of an earlier search that are read again."""


@dataclass(frozen=True)
class Order:
    """What a user asks for.

    Attributes:
        config: The run's configuration.
        model: Path of the model.
        background: Path of a background; empty for none.
        bank: Path of the network's bank of templates; empty for none.
        output: Output directory, local.
        replay: Paths of files that are replayed; empty for the source of the configuration.
        speed: Seconds of replayed strain in a second; 0 for as fast as it is searched.
        device: Type of device.
        classes: Probabilities of the classes of an event; None for none.
        search: Keys that the model must have been trained with: of a run's own model, those of the run. None for any.
    """

    config: Config
    model: str
    background: str
    bank: str
    output: str
    replay: tuple[str, ...]
    speed: float
    device: str
    classes: Classes | None = None
    search: Search | None = None


def launch(order: Order) -> Service:
    """Build a search, check its model, its background, its sinks and its source, and claim its directory.

    Args:
        order: What a user asks for.

    Raises:
        ConfigurationError: If something does not belong together, or a server refuses.
        DataError: If the strain cannot be searched.
        ServerError: If a server does not answer.
        StorageError: If a file is missing or damaged, or another search has the directory.
    """
    online = order.config.online
    prepared = StrainSearch.prepare(_choices(order), order.device)
    _check_keys(order.model, order.search, prepared.model)
    sha256 = storage.sha256(order.model)
    Path(order.output).mkdir(parents=True, exist_ok=True)
    lock(order.output)
    outbox = Outbox(order.output, configured_sinks(online.gracedb, online.kafka))
    outbox.check()
    resumed = Resumption.read(order.output, sha256)
    if resumed is not None:
        _note(f"the search in {order.output} goes on from GPS {resumed.searched_until:.3f}")
    elif storage.exists(storage.join(order.output, FILE)):
        _note(f"the search in {order.output} begins anew: its record is of another model, or damaged")
    source, model, due = _source(order, prepared.model, resumed)
    source.check()
    scorer = TorchScorer(model, DTYPES[prepared.precision], order.device)
    search = LiveSearch(
        scorer,
        online.patience,
        **({} if resumed is None else {"begin": resumed.begin - MARGIN, "anchor": resumed.anchor}),
        adapts=not order.replay,
    )
    if resumed is not None and resumed.adapted_to is not None and not order.replay:
        search.adapt(resumed.adapted_to)
    prepared = dataclasses.replace(prepared, model=model)
    rolling = _rolling(order, prepared, sha256)
    version = f"{order.background}, sha256 {storage.sha256(order.background)}" if order.background else ""
    ranking = Ranking(rolling, prepared.background, version, online.far_per_year)
    versions = {"aframe": code(), "model": sha256, "precision": prepared.precision}
    templates = Templates.of_network(model.network, order.bank, order.config.bank.after)
    recipe = Recipe(
        model.preprocessing, prepared.clustering, ranking,
        lambda strain, start, time: view(scorer, strain, start, time, templates), order.classes, versions,
    )  # fmt: skip
    before = list(latest_events(order.output, REMEMBERED).values())
    watch = Watch(search, outbox, ranking, order.output, versions)
    ifos, whitening = model.preprocessing.ifos, model.preprocessing.whitening
    handovers = Handovers(order.output, ifos, whitening, Reach.of(model, prepared.clustering))
    parts = Parts(
        source, search, Tracker(prepared.clustering), Issuer(recipe, before), outbox, handovers, rolling,
        watch, due, order.output, sha256,
    )  # fmt: skip
    return Service(parts, resumed)


def _check_keys(path: str, wanted: Search | None, model: Model) -> None:
    """Refuse a model that searches otherwise than its run now says: it would do so without a word."""
    if wanted is None:
        return
    preprocessing = model.preprocessing
    names = ("ifos", "kernel_length", "inference_sampling_rate")
    trained = {name: getattr(preprocessing, name) for name in names} | dataclasses.asdict(preprocessing.whitening)
    now = {name: getattr(wanted, name) for name in names} | dataclasses.asdict(wanted.whitening)
    for name in (each for each in trained if trained[each] != now[each]):
        key = "whitening_phase" if name == "phase" else name
        before, after = (", ".join(v) if isinstance(v, tuple) else v for v in (trained[name], now[name]))
        raise ConfigurationError(
            f"{path} was trained with {key} = {before}, but [luigi_search] now says {after}: restore the value, or "
            "train again"
        )


def _choices(order: Order) -> SearchChoices:
    """Choices of the search: those of the run, as its background has them."""
    inference = order.config.inference
    return SearchChoices(
        order.model,
        order.background,
        inference.integration_window_length,
        inference.cluster_window_length,
        "" if inference.precision == "auto" else inference.precision,
    )


def _source(order: Order, model: Model, resumed: Resumption | None) -> tuple[Source, Model, Callable[[float], float]]:
    """The source, the model adapted to it if that is known before, and when strain of a GPS time is measured."""
    config, online, preprocessing = order.config, order.config.online, model.preprocessing
    channels = parse_channels(config.data.channel or (), "channel in [luigi_data]")
    rate = preprocessing.whitening.sample_rate
    begin = None if resumed is None else resumed.begin - 2 * MARGIN
    if bool(online.state_channel) != bool(online.state_bits):
        raise ConfigurationError(
            "state_channel and state_bits in [luigi_online] need each other: give both, or neither"
        )
    states = parse_channels(online.state_channel or (), "state_channel in [luigi_online]")
    bits = online.state_bits or ()
    if order.replay:
        recordings = recordings_of(expand(order.replay), preprocessing.ifos, channels, _note)
        stop = max(recording.stop for each in recordings.values() for recording in each)
        if begin is not None and stop <= begin:
            raise ConfigurationError(
                f"--replay: all files end before GPS {begin:.0f}, where the search in {order.output} goes on: give "
                "another --output"
            )
        vectors = StateVectors(states, bits) if states else None
        replay = Replay(recordings, rate, order.speed, begin, vectors)
        return replay, adapted(model, recordings), replay.due
    if online.live_source == "ngdd":
        stream = NgddChannels(preprocessing.ifos, rate, channels, states, bits)
        return NgddSource(stream, online.ngdd_server, _note), model, unix_of
    if not online.live_frames:
        raise ConfigurationError("live_frames in [luigi_online] names no directory: add one, or give --replay")
    directories = parse_directories(online.live_frames, preprocessing.ifos)
    resolved = {ifo: config.resolve(path) for ifo, path in directories.items()}
    wanted = FrameChannels(resolved, preprocessing.ifos, rate, channels, states, bits)
    lead = preprocessing.whitening.psd_length + preprocessing.kernel_length + 4 * MARGIN
    return FrameSource(wanted, begin, lead, _note), model, unix_of


def _rolling(order: Order, prepared: StrainSearch, sha256: str) -> RollingBackground | None:
    """Time slides of the search itself; None if the configuration wants none."""
    online = order.config.online
    if not online.background_hours:
        return None
    plan = SlidePlan(
        storage.join(order.output, "background"), order.config.inference.shifts, online.background_hours,
        online.far_per_year, SHARE, BLOCK_LENGTH,
    )  # fmt: skip
    precision = DTYPES[prepared.precision]
    return RollingBackground(prepared.model, precision, prepared.clustering, plan, {"model": sha256})


def _note(text: str) -> None:
    print(f"note: {text}", file=sys.stderr)
