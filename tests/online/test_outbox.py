import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from live_events import live_event

from aframe.errors import ConfigurationError, DataError, ServerError
from aframe.online import delivery
from aframe.online.durable import Journal, append_durably
from aframe.online.live_event import LiveEvent
from aframe.online.outbox import Outbox, stored_events


@dataclasses.dataclass
class FileSink:
    """A service that keeps what it is sent in a file, and can be asked for it."""

    path: Path
    name: str = "service"
    faults: list[Exception] = dataclasses.field(default_factory=list)
    asked: list[str] = dataclasses.field(default_factory=list)

    def check(self) -> None:
        if self.faults:
            raise self.faults[0]

    def send(self, event: LiveEvent) -> str:
        if self.faults:
            raise self.faults.pop(0)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, f"{event.name}\n".encode())
        os.close(descriptor)
        return f"S{len(self.received)}"

    def find(self, event: LiveEvent) -> str:
        self.asked.append(event.name)
        return f"S{1 + self.received.index(event.name)}" if event.name in self.received else ""

    def close(self) -> None:
        self.asked.append("to close")

    @property
    def received(self) -> list[str]:
        return self.path.read_text().split() if self.path.exists() else []


@pytest.fixture
def sink(tmp_path: Path) -> FileSink:
    return FileSink(tmp_path / "service")


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_an_event_is_on_disk_before_it_is_sent(tmp_path: Path, sink: FileSink) -> None:
    outbox = Outbox(str(tmp_path), [sink])
    event = outbox.put(live_event())
    assert 0 < event.latency["written"] < 5
    assert sink.received == []
    assert LiveEvent.read(str(tmp_path / "events" / f"{event.name}.json")).latency == event.latency
    outbox.deliver()
    assert sink.received == [event.name]
    assert outbox.waiting == {"disk": 0, "service": 0}


def test_the_event_is_issued_once_whatever_is_put_again(tmp_path: Path, sink: FileSink) -> None:
    for _ in range(2):  # the second time as after a restart
        outbox = Outbox(str(tmp_path), [sink])
        for revision in (0, 1, 0):
            outbox.put(live_event(revision=revision))
            outbox.deliver()
    name = live_event().identifier
    assert sink.received == [f"{name}-0", f"{name}-1"]
    assert stored_events(str(tmp_path)) == sink.received


def test_a_new_sink_gets_no_old_events(tmp_path: Path, sink: FileSink) -> None:
    Outbox(str(tmp_path), []).put(live_event(0))
    outbox = Outbox(str(tmp_path), [sink])
    outbox.put(live_event(1))
    outbox.deliver()
    assert sink.received == [live_event(1).name]


def test_threads_deliver_at_once(tmp_path: Path, sink: FileSink) -> None:
    other = FileSink(tmp_path / "other", "other")
    before = threading.active_count()
    outbox = Outbox(str(tmp_path), [sink, other])
    outbox.start()
    try:
        for number in range(3):
            outbox.put(live_event(number))
            wait_until(lambda: not outbox.pending)
    finally:
        outbox.close()
    assert sink.received == other.received == [live_event(number).name for number in range(3)]
    assert threading.active_count() == before


def test_what_waits_at_the_end_may_still_be_sent(tmp_path: Path, sink: FileSink) -> None:
    outbox = Outbox(str(tmp_path), [sink])
    outbox.put(live_event())
    outbox.start()
    outbox.close(timeout=20.0)
    assert sink.received == [live_event().name]


def test_a_silent_server_is_left_alone_for_longer_and_longer(tmp_path: Path, sink: FileSink) -> None:
    sink.faults = [ServerError("no answer")] * 3
    clock = [1000.0]
    with mock.patch.object(delivery.time, "monotonic", side_effect=lambda: clock[0]):
        outbox = Outbox(str(tmp_path), [sink], generator=np.random.default_rng(1))
        outbox.put(live_event())
        waits = []
        while outbox.pending:
            outbox.deliver()
            assert (outbox.troubles == []) == (not outbox.pending)
            begin = clock[0]
            while outbox.pending and clock[0] < (outbox.deliveries[0].next_try() or 0):
                outbox.deliver()
                clock[0] += 0.01
            waits.append(clock[0] - begin)
    assert all(0.5 * 2**k <= wait <= 2**k + 0.02 for k, wait in enumerate(waits[:3]))
    assert sink.received == [live_event().name]
    assert len(sink.asked) == 3  # the server may have had it in spite of its silence


def test_a_refused_event_holds_up_its_own_signal_alone(tmp_path: Path, sink: FileSink) -> None:
    sink.faults = [DataError("no such column")]
    outbox = Outbox(str(tmp_path), [sink])
    for number, revision in ((0, 0), (0, 1), (1, 0)):
        outbox.put(live_event(number, revision))
    outbox.deliver()
    assert sink.received == [live_event(1).name]
    assert outbox.waiting["service"] == 2
    (delivered,) = outbox.deliveries
    assert (delivered.next_try() or 0.0) > time.monotonic() + 60  # the thread sleeps, though a revision waits behind
    again = Outbox(str(tmp_path), [sink])
    again.deliver()
    assert sink.received == [live_event(1).name, live_event(0).name, live_event(0, 1).name]


def test_an_error_in_a_client_ends_nothing(tmp_path: Path, sink: FileSink) -> None:
    sink.faults = [KeyError("graceid")]
    outbox = Outbox(str(tmp_path), [sink])
    outbox.put(live_event())
    outbox.deliver()
    assert outbox.troubles == ["service does not take events: KeyError: 'graceid'"]
    assert outbox.pending == 1


def test_a_line_cut_short_spoils_itself_alone(tmp_path: Path) -> None:
    path = str(tmp_path / "journal")
    journal = Journal.open(path, [])
    journal.begin("G1-0")
    with open(path, "a", encoding="utf-8") as file:
        file.write('{"state": "se')
    append_durably(path, '{"state": "begun", "event": "G2-0"}')
    again = Journal.open(path, [])
    assert again.begun == {"G1-0", "G2-0"}
    assert again.identifiers == {}


def test_a_directory_is_local_and_sinks_have_names_of_their_own(tmp_path: Path, sink: FileSink) -> None:
    with pytest.raises(ConfigurationError, match=r"output = s3://bucket/online is on a store"):
        Outbox("s3://bucket/online", [])
    with pytest.raises(ConfigurationError, match="two sinks are called service"):
        Outbox(str(tmp_path), [sink, sink])


def test_a_server_that_has_taken_events_may_be_away_at_a_start(tmp_path: Path, sink: FileSink) -> None:
    outbox = Outbox(str(tmp_path), [sink])
    sink.faults = [ServerError("no answer")]
    with pytest.raises(ServerError, match="no answer"):
        outbox.check()
    sink.faults = []
    outbox.put(live_event(0))
    outbox.deliver()
    sink.faults = [ServerError("no answer")]
    Outbox(str(tmp_path), [sink]).check()
    sink.faults = [ConfigurationError("wrong credential")]
    with pytest.raises(ConfigurationError, match="wrong credential"):
        Outbox(str(tmp_path), [sink]).check()


STEPS = ("fsync", "replace", "write", "open", "mkdir")
"""System calls before which a process is killed. Between two of them nothing lasts."""


def search_until_killed(directory: Path, step: int) -> bool:
    """Issue three events in a process that dies before a system call of the outbox. Whether it lived to the end."""
    pid = os.fork()
    if pid == 0:
        calls = 0

        def deadly(call: Callable[..., object]) -> Callable[..., object]:
            def wrapped(*arguments: object, **options: object) -> object:
                nonlocal calls
                calls += 1
                if calls == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*arguments, **options)

            return wrapped

        for name in STEPS:
            setattr(os, name, deadly(getattr(os, name)))
        try:
            issue(directory)
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitpid(pid, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFEXITED(status)


def issue(directory: Path) -> FileSink:
    """What a search does at each start: it issues again all that it is not sure of."""
    sink = FileSink(directory / "service")
    outbox = Outbox(str(directory), [sink])
    for number, revision in ((0, 0), (0, 1), (1, 0)):
        outbox.put(live_event(number, revision))
        outbox.deliver()
    return sink


def check_kill(directory: Path, step: int) -> bool:
    """Kill a search at a step, start it again, and check what it issued. Whether it had come to its end."""
    expected = [live_event(0).name, live_event(0, 1).name, live_event(1).name]
    directory.mkdir()
    has_lived = search_until_killed(directory, step)
    assert issue(directory).received == expected
    assert stored_events(str(directory)) == expected
    shutil.rmtree(directory)
    return has_lived


def test_a_kill_at_some_moments_loses_no_event_and_sends_none_twice(tmp_path: Path) -> None:
    step = 1
    while not check_kill(tmp_path / str(step), step):
        step += 5
    assert step > 50


@pytest.mark.thorough
def test_a_kill_at_any_moment_loses_no_event_and_sends_none_twice(tmp_path: Path) -> None:
    step = 1
    while not check_kill(tmp_path / str(step), step):
        step += 1


def test_repeated_kills_lose_nothing_either(tmp_path: Path) -> None:
    generator = np.random.default_rng(7)
    while not search_until_killed(tmp_path, int(generator.integers(1, 60))):
        pass
    assert issue(tmp_path).received == [live_event(0).name, live_event(0, 1).name, live_event(1).name]


FULL_DISK = """
import json, os, sys
from pathlib import Path
sys.path[:0] = {paths!r}
from live_events import live_event
from aframe.online.outbox import Outbox
disk = Path("disk")
class Sink:
    name = "service"
    sent = []
    def check(self): pass
    def find(self, event): return ""
    def send(self, event):
        self.sent.append(event.name)
        return "1"
outbox = Outbox("disk", [Sink()])
seen = dict(reserve=(disk / "outbox" / "reserve").exists())
def fill():
    with open(disk / "full", "ab") as file:
        try:
            while True:
                os.write(file.fileno(), bytes(4096))
        except OSError as error:
            seen["error"] = error.errno
fill()
outbox.put(live_event(0))
outbox.deliver()
seen["from the reserve"] = list(Sink.sent)
fill()
outbox.put(live_event(1))
outbox.deliver()
seen["without room"] = list(Sink.sent), outbox.waiting
(disk / "full").unlink()
outbox.deliver()
seen["with room"] = list(Sink.sent), outbox.waiting, (disk / "outbox" / "reserve").exists()
outbox.put(live_event(2, template={{str(number): 0.5 for number in range(400000)}}))
outbox.put(live_event(2, revision=1))
outbox.deliver()
seen["behind one without room"] = list(Sink.sent), outbox.waiting
print(json.dumps(seen))
"""


@contextmanager
def own_mounts() -> Iterator[list[str]]:
    """Command that gives a process mounts of its own."""
    for command in (["unshare", "-m"], ["unshare", "-rm"]):
        if subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
            yield command
            return
    pytest.skip("no process may mount anything here")


def test_a_full_disk_loses_no_event(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    script = tmp_path / "full.py"
    script.write_text(FULL_DISK.format(paths=[str(root), str(root / "tests")]))
    (tmp_path / "disk").mkdir()
    command = f"mount -t tmpfs -o size=4m none disk && exec {sys.executable} full.py"
    with own_mounts() as unshare:
        done = subprocess.run(
            [*unshare, "bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
        )
    if "permission denied" in done.stderr:
        pytest.skip("no process may mount anything here")
    seen = json.loads(done.stdout)
    first, second = live_event(0).name, live_event(1).name
    assert seen == {
        "reserve": True,
        "error": 28,
        "from the reserve": [first],
        "without room": [[first], {"disk": 1, "service": 0}],
        "with room": [[first, second], {"disk": 0, "service": 0}, True],
        "behind one without room": [[first, second], {"disk": 2, "service": 0}],
    }
    assert "is not on disk yet, and is kept until there is room" in textwrap.dedent(done.stderr)
