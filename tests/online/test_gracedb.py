import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gracedb_server import Authority, GraceDbServer, serve
from live_events import live_event

from aframe.errors import ConfigurationError, DataError, ServerError
from aframe.online import gracedb
from aframe.online.gracedb import Address, GraceDbSink
from aframe.online.outbox import Outbox

pytest.importorskip("ligo.gracedb")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that the server does not know."""
    return Authority(tmp_path_factory.mktemp("stranger"))


@pytest.fixture(autouse=True)
def credential(authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a user who has a certificate, and no token."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.path))
    monkeypatch.setenv("X509_USER_PROXY", str(authority.credential("albert.einstein")))
    monkeypatch.setenv("BEARER_TOKEN_FILE", str(tmp_path / "no-token"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("BEARER_TOKEN", "SCITOKEN", "SCITOKEN_FILE", "X509_USER_CERT", "X509_USER_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server(authority: Authority) -> Iterator[GraceDbServer]:
    with serve(authority) as state:
        yield state


@pytest.fixture
def open_sink() -> Iterator[Callable[[str], GraceDbSink]]:
    """Makes sinks, which are closed after the test."""
    sinks: list[GraceDbSink] = []

    def make(url: str) -> GraceDbSink:
        sinks.append(GraceDbSink(Address.parse(url)))
        return sinks[-1]

    yield make
    for each in sinks:
        each.close()


@pytest.fixture
def sink(server: GraceDbServer, open_sink: Callable[[str], GraceDbSink]) -> GraceDbSink:
    return open_sink(f"{server.url}?group=Test&search=AllSky")


def test_a_signal_is_one_event_with_a_version_for_each_revision(server: GraceDbServer, sink: GraceDbSink) -> None:
    sink.check()
    names = [sink.send(live_event(number, revision)) for number, revision in ((0, 0), (1, 0), (0, 1))]
    assert names == ["T000001", "T000002", "T000001"]
    assert server.documents() == [(live_event(0).identifier, 1), (live_event(1).identifier, 0)]
    first = server.events["T000001"]
    assert (first["group"], first["pipeline"], first["search"]) == ("Test", "aframe", "AllSky")
    assert len(first["versions"]) == 2
    assert [log["tag"] for log in first["log"]] == ["p_astro", "p_astro"]
    assert json.loads(first["log"][0]["file"]) == dict(live_event().p_astro)
    document = json.loads(first["versions"][0])
    assert document["far"] == pytest.approx(0.01 / 31557600)
    assert document["gpstime"] == live_event().time
    assert document["ifos"] == ["H1", "L1"]
    assert document["template"]["mass_1_detector_frame_msun"] == 39.0


def test_what_is_sent_again_is_there_once(server: GraceDbServer, sink: GraceDbSink) -> None:
    event = live_event()
    assert sink.find(event) == ""
    for _ in range(2):
        assert sink.send(event) == "T000001"
        assert sink.find(event) == "T000001"
    assert sink.find(live_event(revision=1)) == ""
    assert len(server.events["T000001"]["versions"]) == 1
    assert len(server.events["T000001"]["log"]) == 1


def test_events_that_another_search_sent_to_the_pipeline_are_passed_over(
    server: GraceDbServer, sink: GraceDbSink
) -> None:
    event = live_event()
    for name, files in (("T900001", {}), ("T900002", {"aframe.json": '["another"]'})):
        server.events[name] = {"group": "Test", "pipeline": "aframe", "gpstime": event.time, "files": files, "log": []}
    assert sink.find(event) == ""
    identifier = sink.send(event)
    assert identifier not in ("T900001", "T900002")
    assert sink.send(event) == sink.find(event) == identifier


@pytest.mark.parametrize("fault", ["500", "forget"])
def test_no_fault_of_the_server_loses_an_event_or_doubles_it(
    fault: str, server: GraceDbServer, sink: GraceDbSink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aframe.online.delivery.FIRST_WAIT", 0.01)
    server.faults = [fault, fault, "", fault]
    outbox = Outbox(str(tmp_path), [sink])
    for number, revision in ((0, 0), (0, 1), (1, 0)):
        outbox.put(live_event(number, revision))
    outbox.start()
    outbox.close(timeout=10.0)
    assert outbox.pending == 0
    assert server.documents() == [(live_event(0).identifier, 1), (live_event(1).identifier, 0)]
    assert [len(event["versions"]) for event in server.events.values()] == [2, 1]
    assert [len(event["log"]) for event in server.events.values()] == [2, 1]


def test_a_kill_during_any_request_loses_no_event_and_makes_none_twice(
    server: GraceDbServer, open_sink: Callable[[str], GraceDbSink], tmp_path: Path
) -> None:
    number, status = 0, signal.SIGKILL
    while status == signal.SIGKILL:
        number += 1
        server.events.clear()
        server.requests.clear()
        directory = str(tmp_path / str(number))
        read, write = os.pipe()
        search = os.fork()
        if search == 0:
            os.read(read, 1)
            issue(directory, GraceDbSink(Address.parse(server.url)))
            os._exit(0)
        server.kill = (search, number)
        os.write(write, b"!")
        status = os.waitpid(search, 0)[1]
        os.close(read), os.close(write)
        server.kill = (0, 0)
        issue(directory, open_sink(server.url))
        assert server.documents() == [(live_event().identifier, 1)]
        assert len(server.events["T000001"]["versions"]) == 2
        assert len(server.events["T000001"]["log"]) == 2
    assert status == 0
    assert number > 8


def issue(directory: str, sink: GraceDbSink) -> None:
    """What a search does at each start: it issues again all that it is not sure of."""
    outbox = Outbox(directory, [sink])
    for revision in (0, 1):
        outbox.put(live_event(revision=revision))
        outbox.deliver()


def test_no_answer_is_waited_for_forever(
    server: GraceDbServer, sink: GraceDbSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gracedb, "TIMEOUT", 0.3)
    server.faults = ["hang"]
    with pytest.raises(ServerError, match=r"https://127\.0\.0\.1:\d+/api/ does not answer \(.*Read timed out"):
        sink.send(live_event())


def test_a_refused_event_is_the_events_fault(server: GraceDbServer, sink: GraceDbSink) -> None:
    server.faults = ["400"]
    with pytest.raises(DataError, match=r"answer 400 Bad Request: .*bad luck"):
        sink.send(live_event())


def test_a_restarted_server_is_found_again(authority: Authority, open_sink: Callable[[str], GraceDbSink]) -> None:
    with serve(authority) as other:
        again = open_sink(other.url)
        assert again.send(live_event()) == "T000001"
    with pytest.raises(ServerError, match="does not answer"):
        again.send(live_event(1))
    with serve(authority, int(other.url.split(":")[2].split("/")[0]), other):
        assert again.send(live_event(1)) == "T000002"


def test_a_wrong_server_or_name_is_found_before_the_search(
    server: GraceDbServer,
    open_sink: Callable[[str], GraceDbSink],
    stranger: Authority,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for options, message in (
        ("?pipeline=afrane", r"has no pipeline 'afrane' \(did you mean 'aframe'\?\)"),
        ("?group=Tst", r"has no group 'Tst' \(did you mean 'Test'\?\)"),
        ("?search=Every", "has no search 'Every'"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            open_sink(f"{server.url}{options}").check()
    with pytest.raises(ConfigurationError, match=r"is no GraceDB \(answer 404"):
        open_sink(server.url.replace("/api/", "/apis/")).check()
    with pytest.raises(ServerError, match=r"does not answer \(.*refused"):
        open_sink("https://127.0.0.1:9/api/").check()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(stranger.path))
    with pytest.raises(ConfigurationError, match=r"cannot be trusted \(.*certificate verify failed"):
        open_sink(server.url).check()


def test_a_wrong_credential_is_found_before_the_search(
    sink: GraceDbSink, stranger: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("X509_USER_PROXY", str(stranger.credential("unknown")))
    with pytest.raises((ConfigurationError, ServerError), match="127"):
        sink.check()
    monkeypatch.setenv("X509_USER_PROXY", str(tmp_path / "missing.pem"))
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ConfigurationError, match="there is no credential"):
        sink.check()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gracedb.ligo.org", "is no https URL"),
        ("http://gracedb.ligo.org/api/", "is no https URL"),
        ("https://gracedb.ligo.org/api/?grup=CBC", r"unknown option grup \(did you mean 'group'\?\)"),
    ],
)
def test_an_address_is_read(text: str, message: str) -> None:
    assert Address.parse("https://a.org/api?group=CBC") == Address("https://a.org/api/", "CBC")
    with pytest.raises(ConfigurationError, match=message):
        Address.parse(text)
