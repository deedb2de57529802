"""A stand-in for GraceDB: an HTTPS server on loopback with a certificate authority of its own.

It has what the client asks for: the API's root with its links, events with their files and logs, a search by group,
pipeline and GPS time, and who the client is. Whoever shows no certificate of its authority is refused.
"""

import contextlib
import datetime
import email.parser
import email.policy
import ipaddress
import json
import os
import re
import signal
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass
class Authority:
    """A certificate authority, and what it signed."""

    directory: Path
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.path = self.directory / "authority.pem"
        self.path.write_bytes(self.sign("authority", self.key, None).public_bytes(serialization.Encoding.PEM))

    def sign(self, name: str, key: ec.EllipticCurvePrivateKey, days: int | None) -> x509.Certificate:
        """A certificate; of the authority itself without a number of days."""
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=days or 30))
            .add_extension(x509.BasicConstraints(ca=days is None, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        if days is not None:
            names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        else:
            usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
            builder = builder.add_extension(usage, critical=True)
        return builder.sign(self.key, hashes.SHA256())

    def credential(self, name: str) -> Path:
        """A file with a certificate for a name, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        path = self.directory / f"{name}.pem"
        path.write_bytes(
            self.sign(name, key, 10).public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        path.chmod(0o600)
        return path


@dataclass
class GraceDbServer:
    """What the server has, and how it misbehaves.

    Attributes:
        events: Events by their identifiers: their columns, their files by name, and their logs.
        requests: Method and path of each request.
        faults: What the next requests that change something do: ``500``, ``hang``, ``forget`` (answer nothing, after
            the work), or another status; the first is taken first.
        pipelines: Names that it takes.
        kill: Process that is killed when a request of this number, from 1 on, has come and before it is done; (0, 0)
            for none.
    """

    events: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    pipelines: tuple[str, ...] = ("aframe", "gstlal")
    kill: tuple[int, int] = (0, 0)
    url: str = ""

    def documents(self) -> list[tuple[str, int]]:
        """Identifier and revision of each event's latest file, one for each event."""
        latest = [json.loads(event["files"]["aframe.json"]) for event in self.events.values()]
        return [(document["identifier"], document["revision"]) for document in latest]

    def root(self) -> dict[str, Any]:
        return {
            "links": {"self": self.url, "events": f"{self.url}events/", "user-info": f"{self.url}user-info/"},
            "templates": {
                "event-detail-template": f"{self.url}events/{{graceid}}",
                "event-log-template": f"{self.url}events/{{graceid}}/log/",
                "files-template": f"{self.url}events/{{graceid}}/files/{{filename}}",
                "event-files-template": f"{self.url}events/{{graceid}}/files/{{filename}}",
                "event-log-detail-template": f"{self.url}events/{{graceid}}/log/{{N}}",
            },
            "groups": ["CBC", "Test"],
            "pipelines": list(self.pipelines),
            "searches": ["AllSky", "LowMass"],
            "labels": [],
        }

    @staticmethod
    def gps_time(event: dict[str, Any]) -> float:
        return float(event.get("gpstime") or json.loads(event["files"]["aframe.json"])["gpstime"])

    def search(self, query: str) -> list[dict[str, Any]]:
        asked = dict(re.findall(r"(group|pipeline): (\S+)", query))
        low, high = (float(value) for value in re.search(r"gpstime: (\S+) \.\. (\S+)", query).groups())  # type: ignore[union-attr]
        return [
            {"graceid": name}
            for name, event in self.events.items()
            if event["group"] == asked["group"] and event["pipeline"] == asked["pipeline"]
            and low <= self.gps_time(event) <= high
        ]  # fmt: skip


class Handler(BaseHTTPRequestHandler):
    state: GraceDbServer

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        path = self.begin()
        if path is None:
            return
        events = re.fullmatch(r"events/(\w+)/(files|log)/(.*)", path)
        if path == "":
            self.answer(self.state.root())
        elif path == "user-info/":
            self.answer({"username": "albert.einstein"})
        elif path == "events/":
            found = self.state.search(parse_qs(urlsplit(self.path).query)["query"][0])
            self.answer({"events": found, "links": {}, "numRows": len(found)})
        elif events and events[1] in self.state.events:
            event = self.state.events[events[1]]
            if events[2] == "log":
                self.answer({"log": event["log"]})
            elif events[3] in event["files"]:
                self.answer(json.loads(event["files"][events[3]]))
            else:
                self.answer({"error": "no such file"}, 404)
        else:
            self.answer({"error": "not found"}, 404)

    def do_POST(self) -> None:
        path = self.begin()
        if path is None:
            return
        fields = self.form()
        fault = self.state.faults.pop(0) if self.state.faults else ""
        if fault == "hang":
            time.sleep(3)
        if fault.isdigit():
            self.answer({"error": "bad luck"}, int(fault))
            return
        log = re.fullmatch(r"events/(\w+)/log/", path)
        detail = re.fullmatch(r"events/(\w+)", path)
        if path == "events/":
            name = f"T{len(self.state.events) + 1:06d}"
            file = fields.pop("eventFile")
            self.state.events[name] = {**fields, "files": {"aframe.json": file}, "versions": [file], "log": []}
            reply: dict[str, Any] = {"graceid": name}
        elif log:
            event = self.state.events[log[1]]
            event["log"].append({"comment": fields["comment"], "tag": fields.get("tagname"), "file": fields["upload"]})
            reply = {"N": len(event["log"])}
        else:
            assert detail
            event, file = self.state.events[detail[1]], fields["eventFile"]
            event["files"]["aframe.json"] = file
            event["versions"].append(file)
            reply = {"graceid": detail[1]}
        if fault == "forget":
            self.close_connection = True
            self.connection.shutdown(2)
            return
        self.answer(reply, 201)

    do_PUT = do_POST

    def begin(self) -> str | None:
        """The path below the API's root; None if the client was refused."""
        path = urlsplit(self.path).path
        self.state.requests.append((self.command, path))
        process, number = self.state.kill
        if process and len(self.state.requests) == number:
            os.kill(process, signal.SIGKILL)
        if not self.connection.getpeercert():  # type: ignore[attr-defined]
            self.form()
            self.answer({"error": "Authentication credentials were not provided."}, 401)
            return None
        if not path.startswith("/api/"):
            self.answer({"error": "not found"}, 404)
            return None
        return path.removeprefix("/api/")

    def form(self) -> dict[str, str]:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kind = self.headers.get("Content-Type", "")
        if "multipart" not in kind:
            return {name: values[0] for name, values in parse_qs(body.decode()).items()}
        head = f"Content-Type: {kind}\r\n\r\n".encode()
        message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
        return {
            str(part.get_param("name", header="content-disposition")): part.get_payload(decode=True).decode()  # type: ignore[union-attr]
            for part in message.iter_parts()  # type: ignore[attr-defined]
        }

    def answer(self, data: dict[str, Any], status: int = 200) -> None:
        content = json.dumps(data).encode()
        with contextlib.suppress(OSError):  # whoever asked may have gone
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)


@contextmanager
def serve(authority: Authority, port: int = 0, state: GraceDbServer | None = None) -> Iterator[GraceDbServer]:
    """Run the server within the context."""
    state = state or GraceDbServer()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.credential("server"))
    context.load_verify_locations(authority.path)
    context.verify_mode = ssl.CERT_OPTIONAL
    server = ThreadingHTTPServer(("127.0.0.1", port), type("Handler", (Handler,), {"state": state}))
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    server.socket = context.wrap_socket(server.socket, server_side=True)
    state.url = f"https://127.0.0.1:{server.server_port}/api/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
