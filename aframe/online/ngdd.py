"""Strain from the low-latency data distribution of the observatories, NGDD, by its client ``arrakis``."""

import queue
import re
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from aframe.errors import ConfigurationError, DataError
from aframe.online.arrivals import Arrival
from aframe.settings.keys import nearest
from aframe.types import Array

if TYPE_CHECKING:
    from arrakis import Channel, Client, SeriesBlock

ANSWER = 30.0
"""Longest time in which a server must answer the check, s."""

FIRST_RETRY, LAST_RETRY = 1.0, 30.0
"""Time until a server that failed is asked again, s. It doubles from the first to the last."""

BLOCKS = 4096
"""Blocks of a detector that wait for the search at most: four minutes of those that the observatories send."""


@dataclass(frozen=True)
class NgddChannels:
    """What is read of a server.

    Attributes:
        ifos: Detectors of the search.
        sample_rate: Sampling rate of the search, Hz.
        channels: Channel of strain, without the detector, by detector.
        states: Channel of the state vector, without the detector, by detector; empty for none.
        bits: Numbers of the bits of a state vector that must be set.
    """

    ifos: tuple[str, ...]
    sample_rate: float
    channels: Mapping[str, str]
    states: Mapping[str, str] = field(default_factory=dict)
    bits: tuple[int, ...] = ()

    def strain(self, ifo: str) -> str:
        """Full name of the channel of a detector's strain."""
        return f"{ifo}:{self.channels[ifo]}"

    def state(self, ifo: str) -> str | None:
        """Full name of the channel of a detector's state vector; None without one."""
        return f"{ifo}:{self.states[ifo]}" if ifo in self.states else None

    def names(self, ifo: str) -> list[str]:
        """Full names of a detector's channels."""
        return [name for name in (self.strain(ifo), self.state(ifo)) if name is not None]


class NgddSource:
    """Strain of a server, by one stream for each detector, so that none waits for another.

    A stream that fails, or is silent for longer than the server promises, begins again. What was sent meanwhile is
    missing.

    Args:
        wanted: What is read.
        server: HOST:PORT of the server; None for that of the variable ``ARRAKIS_SERVER``.
        tell: Called with a sentence about each flaw of the source.

    Attributes:
        flaws: Number of flaws, by kind.

    Raises:
        ConfigurationError: If the client is not installed, or a detector has no channel.
    """

    def __init__(self, wanted: NgddChannels, server: str | None, tell: Callable[[str], object]) -> None:
        without = [ifo for ifo in wanted.ifos if ifo not in wanted.channels]
        if without:
            raise ConfigurationError(
                f"live_source = ngdd needs the channel of strain of {', '.join(without)}: give channel, as "
                f"{without[0]}:GDS-CALIB_STRAIN_CLEAN"
            )
        self._client = _client(server)
        self.wanted, self.server, self._tell = wanted, self._client.initial_url, tell
        self.flaws: Counter[str] = Counter()
        self._arrivals: queue.Queue[Arrival] = queue.Queue(BLOCKS * len(wanted.ifos))
        self._is_closed = threading.Event()
        self._readers: list[threading.Thread] = []

    def check(self) -> None:
        """Ask the server for the channels: see ``Source.check``.

        Raises:
            ConfigurationError: If it does not answer, or lacks a channel.
            DataError: If a sample rate is below the search's, or a channel holds no strain or no state vector.
        """
        answers: queue.Queue[dict[str, Channel] | Exception] = queue.Queue()

        def ask() -> None:
            try:
                answers.put(self._described())
            except Exception as error:  # of gRPC, Arrow, or the server's own
                answers.put(error)

        threading.Thread(target=ask, daemon=True).start()
        try:
            answer = answers.get(timeout=ANSWER)
        except queue.Empty:
            answer = TimeoutError(f"no answer in {ANSWER:g} s")
        if isinstance(answer, ConfigurationError):
            raise answer
        if isinstance(answer, Exception):
            raise ConfigurationError(
                f"the NGDD server {self.server} cannot be asked for channels ({_reason(answer)}): mend "
                "ngdd_server in [luigi_online], or the variable ARRAKIS_SERVER"
            )
        for ifo in self.wanted.ifos:
            state = self.wanted.state(ifo)
            _check_strain(answer[self.wanted.strain(ifo)], self.wanted.sample_rate)
            if state is not None:
                _check_state(answer[state], answer[self.wanted.strain(ifo)], self.wanted.bits)

    @property
    def is_over(self) -> bool:
        """A server never ends."""
        return False

    def arrivals(self, timeout: float) -> list[Arrival]:
        """Strain that the server has sent, joined where it continues: see ``Source.arrivals``."""
        if not self._readers:
            self._readers = [threading.Thread(target=self._read, args=(ifo,), daemon=True) for ifo in self.wanted.ifos]
            for reader in self._readers:
                reader.start()
        try:
            came = [self._arrivals.get(timeout=timeout)]
        except queue.Empty:
            return []
        while not self._arrivals.empty():
            came.append(self._arrivals.get())
        return [arrival for ifo in self.wanted.ifos for arrival in _joined([a for a in came if a.ifo == ifo])]

    def close(self) -> None:
        """End the streams. One that is silent ends with the process at the latest."""
        self._is_closed.set()
        for reader in self._readers:
            reader.join(2 * FIRST_RETRY)

    def _described(self) -> "dict[str, Channel]":
        """The server's channels that are wanted, by full name."""
        described: dict[str, Channel] = {}
        for ifo in self.wanted.ifos:
            for name in self.wanted.names(ifo):
                channel = next(iter(self._client.find(f"^{re.escape(name)}$")), None)
                if channel is None:
                    others = [each.name for each in self._client.find(f"^{re.escape(ifo)}:.*")]
                    raise ConfigurationError(
                        f"the NGDD server {self.server} has no channel {name}{nearest(name, others)}: mend channel or "
                        f"state_channel; it has {len(others)} channels of {ifo}"
                    )
                described[name] = channel
        return described

    def _read(self, ifo: str) -> None:
        """Read a detector's stream until the source is closed."""
        wait = FIRST_RETRY
        while not self._is_closed.is_set():
            try:
                for block in self._client.stream(self.wanted.names(ifo)):
                    self._keep(self._arrival(ifo, block))
                    wait = FIRST_RETRY
                    if self._is_closed.is_set():
                        return
                reason = "it ended"
            except Exception as error:  # whatever a server, the network or the client do, the search goes on
                reason = _reason(error)
            self.flaws["stream"] += 1
            self._tell(f"{ifo}: no stream from the NGDD server {self.server} ({reason}): asking again in {wait:g} s")
            self._is_closed.wait(wait)
            wait = min(2 * wait, LAST_RETRY)

    def _keep(self, arrival: Arrival) -> None:
        """Hand strain to the search. If it is far behind, the stream waits."""
        while not self._is_closed.is_set():
            try:
                return self._arrivals.put(arrival, timeout=FIRST_RETRY)
            except queue.Full:
                self.flaws["waited for the search"] += 1
        return None

    def _arrival(self, ifo: str, block: "SeriesBlock") -> Arrival:
        series, state = block[self.wanted.strain(ifo)], self.wanted.state(ifo)
        strain = np.ma.filled(np.ma.asarray(series.data).astype(np.float64), np.nan)
        if state is not None:
            is_good = _is_good(block[state].data, self.wanted.bits)
            strain[~np.repeat(is_good, len(strain) // len(is_good))] = np.nan
        missing = int(np.isnan(strain).sum())
        if missing:
            self.flaws[f"{ifo}: samples that are missing or bad"] += missing
        return Arrival(ifo, float(series.time), float(series.sample_rate), strain, time.time())


def _client(server: str | None) -> "Client":
    """Client of a server. It asks for a token where there is one."""
    with warnings.catch_warnings():
        # the client's table of leap seconds expires twice a year; without a network it stays, and warns once
        warnings.filterwarnings("ignore", "Leap second data is expired", RuntimeWarning)
        try:
            from arrakis import Client
            from gpstime import gpsnow
        except ImportError:
            raise ConfigurationError(
                "live_source = ngdd in [luigi_online]: install the client of NGDD: pip install 'aframe[ngdd]'"
            ) from None
        gpsnow()
    try:
        return Client(server)
    except ValueError as error:
        raise ConfigurationError(f"{server!r} is no address of an NGDD server ({error}): give HOST:PORT") from None


def _check_strain(channel: "Channel", sample_rate: float) -> None:
    if not str(channel.data_type).startswith("float"):
        raise DataError(f"{channel.name} of the NGDD server has {channel.data_type}s: choose a channel of strain")
    if channel.sample_rate < sample_rate:
        raise DataError(
            f"{channel.name} of the NGDD server has {channel.sample_rate:g} Hz, the network needs {sample_rate:g} Hz: "
            "choose a channel with a higher rate"
        )


def _check_state(state: "Channel", strain: "Channel", bits: Sequence[int]) -> None:
    if "int" not in str(state.data_type) or strain.sample_rate % state.sample_rate:
        raise DataError(
            f"{state.name} of the NGDD server has {state.data_type}s at {state.sample_rate:g} Hz: choose a state "
            f"vector of whole numbers, whose rate divides the {strain.sample_rate:g} Hz of {strain.name}"
        )
    size = 8 * np.dtype(state.data_type).itemsize
    if any(bit >= size for bit in bits):
        raise DataError(
            f"{state.name} of the NGDD server has bits 0 to {size - 1}, state_bits names bit {max(bits)}: name bits "
            "that it has"
        )


def _is_good(state: Array, bits: Sequence[int]) -> Array:
    """Whether each sample of a state vector has all bits; one that is missing has none."""
    filled = np.ma.filled(np.ma.asarray(state), 0)
    values = filled.view(f"u{filled.itemsize}")  # the highest bit of a signed number is a bit, too
    mask = sum(1 << bit for bit in bits)
    return np.asarray((values & mask) == mask) & ~np.ma.getmaskarray(state)


def _joined(arrivals: Sequence[Arrival]) -> list[Arrival]:
    """Arrivals of one detector, joined where one continues the one before."""
    runs: list[list[Arrival]] = []
    for arrival in arrivals:
        last = runs[-1][-1] if runs else None
        if last and last.sample_rate == arrival.sample_rate and abs(last.stop - arrival.start) * last.sample_rate < 0.5:
            runs[-1].append(arrival)
        else:
            runs.append([arrival])
    return [
        Arrival(r[0].ifo, r[0].start, r[0].sample_rate, np.concatenate([a.strain for a in r]), r[-1].received)
        for r in runs
    ]


def _reason(error: Exception) -> str:
    """An error's kind and the beginning of its text, in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:160]}" if text else type(error).__name__
