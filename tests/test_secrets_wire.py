"""Where the token goes: to the configured endpoint, and nowhere else, whatever an answer or a caller says."""

import json
import random
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import processes
import pytest
from wire import Reply, Wire, answer, says, serving

from exporter.config import ConfigError
from exporter.settings.flags import load, settings_rows
from exporter.settings.rows import grown
from exporter.yandex.calls import Budget, Limits, SystemClock
from exporter.yandex.client import WorkflowsClient
from exporter.yandex.errors import ApiError
from exporter.yandex.sockets import Resolver
from exporter.yandex.sources import InstanceMetadata, WorkloadIdentity
from exporter.yandex.transport import Transport

TOKEN = "t1.kept.for-one-endpoint-only-0123456789"
CLOCK = SystemClock()
ENDPOINTS = {row.key: row for row in settings_rows() if row.key.endswith("endpoint")}
NOT_LOOPBACK = (
    "http://localhost.evil.example", "http://127.0.0.1.nip.io", "http://evil.example", "HTTP://EVIL.EXAMPLE",
    "http://127.0.0.1@evil.example", "http://evil.example@127.0.0.1", "http://u:p@localhost",
    "http://evil.example\\@127.0.0.1", "http://127.0.0.1\\.evil.example", "http://[::1]evil.example",
    "http://[::1].evil.example:80", "http://[::1", "http://[::1%25x]evil", "http://[::ffff:8.8.8.8]",
    "http://[::]", "http://0.0.0.0", "http://0", "http://2130706433", "http://134744072", "http://0x7f.1",
    "http://0x08080808", "http://0177.0.0.1", "http://010.8.8.8", "http://127.1", "http://127.0.0.1.",
    "http://localhost.", "http://127.0.0.1%2eevil.example", "http://127.0.0.1%00.evil.example",
    "http://127.0.0.1#@evil.example", "http://127.0.0.1?@evil.example", "http://\u24dbocalhost",
    "http://127\u30020\u30020\u30021", "http:evil.example", "http:/evil.example", "http:///evil.example",
    "//evil.example", "http://localhost\tevil.example", "http://localhost\r\nHost: evil.example",
    "ftp://127.0.0.1", "file:///etc/passwd", "http+unix://127.0.0.1", "javascript:alert(1)",
)  # fmt: skip
"""Addresses that some reader takes for loopback or for https, and another one does not."""


@dataclass
class Holder:
    """Has a token that is never renewed."""

    def token(self, _: Budget) -> str:
        """Return the token."""
        return TOKEN

    def renew(self, _stale: str, _budget: Budget) -> str | None:
        """Return none."""
        return None


def transport() -> Transport:
    """Return a transport that tries once."""
    limits = Limits(timeout=5.0, requests_per_second=None, max_response_bytes=100_000, retries=0, pool=4)
    return Transport(limits, CLOCK, observe=lambda _: None, jitter=random.Random(1))


def budget() -> Budget:
    """Return some seconds."""
    return Budget.of(10.0, CLOCK)


def elsewhere(thief: str) -> list[str]:
    """Return the ways to name another place in a header."""
    host = urlsplit(thief).netloc
    return [
        thief,
        f"//{host}/x",
        f"http://user:pass@{host}/",
        f"/\\{host}/",
        f"http:\\\\{host}/",
        "/other",
        "",
    ]


def called(wire: Wire, tmp_path: Path) -> list[Callable[[], object]]:
    """Return a call of the API, and two for a token."""
    (tmp_path / "subject").write_text("subject-token")
    client = WorkflowsClient(transport(), Holder(), wire.url)
    identity = WorkloadIdentity("aje1", tmp_path / "subject", wire.url, transport(), CLOCK)
    metadata = InstanceMetadata(wire.url, transport(), CLOCK)
    return [
        lambda: client.execution("dfq1", budget()),
        lambda: identity.issue(budget()),
        lambda: metadata.issue(budget()),
    ]


@pytest.mark.parametrize("code", [300, 301, 302, 303, 305, 307, 308, 200, 401, 503])
def test_no_answer_leads_anywhere_else(code: int, tmp_path: Path) -> None:
    """Neither a redirect nor any other header sends a call to another place, be it for data or a token."""
    with serving(says(answer(200, {}))) as thief:
        host = urlsplit(thief.url).netloc
        for place in elsewhere(thief.url):
            headers = (
                f"Location: {place}", f"Refresh: 0; url={place}", f"Link: <{place}>; rel=next",
                f"Content-Location: {place}", f'Alt-Svc: h2="{host}"', f"Proxy-Connection: {host}",
            )  # fmt: skip
            with serving(says(answer(code, {}, *headers))) as wire:
                for call in called(wire, tmp_path):
                    with pytest.raises(ApiError):
                        call()
                assert len(wire.requests) == 3
        assert thief.connections == []


def test_cookies_are_not_kept() -> None:
    """What one answer sets, no later request brings back."""
    with serving(says(answer(404, {}, "Set-Cookie: session=1; Path=/"))) as wire:
        client = WorkflowsClient(transport(), Holder(), wire.url)
        for _ in range(2):
            with pytest.raises(ApiError):
                client.execution("dfq1", budget())
        assert [wire.header("Cookie", index) for index in range(2)] == ["", ""]


HOSTILE = (
    "/../../evil", "//evil.example", "@evil.example", "x@evil.example", "?workflowId=other", "#evil",
    "%2f..%2f", "..", ".", "a\r\nHost: evil.example", "a\r\n\r\nGET /evil HTTP/1.1", "a b", "a\0b",
    "\u2025\uff0f", "a\\..\\b",
    ";evil", "http://evil.example/", "&pageToken=1&filter=x",
)  # fmt: skip


@pytest.mark.parametrize("word", HOSTILE)
def test_an_id_and_a_page_token_stay_in_their_place(word: str) -> None:
    """Whatever things are called, the host is the configured one and the path that of the call."""
    with serving(says(answer(200, {"nextPageToken": word}))) as wire:
        client = WorkflowsClient(transport(), Holder(), f"{wire.url}/base")
        assert client.executions("dfq1", budget()).next_token == word
        calls: list[Callable[[], object]] = [
            lambda: client.execution(word, budget()),
            lambda: client.history(word, 10, budget()),
            lambda: client.workflow(word, budget()),
            lambda: client.executions("dfq1", budget(), page_token=word),
            lambda: client.workflows("b1g1", budget(), page_token=word),
        ]
        for call in calls:
            # Nothing is known by this name, and a list that says the same page again does not advance.
            with pytest.raises(ApiError):
                call()
    quoted = quote(word, safe="")
    single = (f"execution/{quoted}", f"execution/{quoted}/history", f"workflow/{quoted}")
    paths = [f"/base/workflows/v1/{path}" for path in (*single, "execution", "workflow")]
    targets = [request.split(b"\r\n")[0].decode().split(" ") for request in wire.requests[1:]]
    assert [target.split("?")[0] for _, target, _ in targets] == paths
    for request in wire.requests:
        heads = request.split(b"\r\n\r\n")[0].split(b"\r\n")
        assert [head for head in heads if head.lower().startswith(b"host:")] == [
            f"Host: {urlsplit(wire.url).netloc}".encode()
        ]


@pytest.mark.parametrize("word", HOSTILE)
def test_what_a_list_names_is_asked_for_only_if_it_is_an_id(word: str) -> None:
    """A workflow or an execution of a hostile name is left out of its list, so that nobody asks for it."""
    with serving(says(answer(200, {"workflows": [{"id": word}], "executions": [{"id": word}]}))) as wire:
        client = WorkflowsClient(transport(), Holder(), wire.url)
        assert client.workflows("b1g1", budget()).items == ()
        assert client.executions("dfq1", budget()).items == ()


def raw(port: int, request: bytes) -> bytes:
    """Return what is answered to some bytes."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sock.sendall(request)
        heard = b""
        while more := sock.recv(65536):
            heard += more
        return heard


def execution(_: socket.socket, request: bytes) -> dict[str, Any]:
    """Return the execution that a request is about."""
    return {"execution": {"id": request.split()[1].decode().rsplit("/", 1)[-1], "status": "RUNNING"}}


def tells(sock: socket.socket, request: bytes) -> None:
    """Answer as the API does for an execution."""
    sock.sendall(answer(200, execution(sock, request)))


def test_a_probe_asks_no_other_host(tmp_path: Path) -> None:
    """Neither its parameters nor the Host header nor an absolute address change whom the exporter asks."""
    (tmp_path / "config.yml").write_text("auth: {iam_token_file: token}\n")
    (tmp_path / "token").write_text(TOKEN)
    with serving(tells) as thief, serving(tells) as wire:
        options = (f"--config.file={tmp_path}/config.yml", f"--api.endpoint={wire.url}")
        with processes.serving(tmp_path, *options) as (url, _):
            port, host = urlsplit(url).port or 0, urlsplit(thief.url).netloc
            for word in (*HOSTILE, thief.url, f"//{host}", f"@{host}/"):
                query = "".join(f"%{byte:02x}" for byte in word.encode())
                for name in ("execution_id", "workflow_id"):
                    assert processes.get(f"{url}/probe?{name}={query}")[0] == 400
            for name in ("target", "endpoint", "api.endpoint", "url", "module", "host"):
                assert processes.get(f"{url}/probe?execution_id=dfq1&{name}={thief.url}")[0] == 400
            assert wire.requests == []
            for line in (
                b"GET /probe?execution_id=dfq1",
                f"GET {thief.url}/probe?execution_id=dfq1".encode(),
            ):
                head = line + b" HTTP/1.1\r\nHost: " + host.encode()
                raw(port, head + b"\r\nX-Forwarded-Host: " + host.encode() + b"\r\nConnection: close\r\n\r\n")
            raw(port, f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            assert processes.get(f"{url}/probe?execution_id=dfq2")[0] == 200
        assert thief.connections == []
    assert wire.header("Authorization") == f"Bearer {TOKEN}"
    assert {wire.header("Host", index) for index in range(len(wire.requests))} == {urlsplit(wire.url).netloc}


@pytest.mark.parametrize("key", ENDPOINTS)
def test_an_endpoint_in_the_clear_is_refused_in_every_source(key: str, tmp_path: Path) -> None:
    """By flag, by variable and in the file, whatever it is written like; https and loopback are taken."""
    row, token = ENDPOINTS[key], {"YC_IAM_TOKEN": TOKEN}
    file = tmp_path / "config.yml"

    def given(url: str) -> list[Callable[[], object]]:
        def by_file() -> object:
            file.write_text(json.dumps(grown({key: url})))
            return load({"config": {"file": str(file)}}, token)

        return [
            lambda: load(grown({key: url}), token),
            lambda: load({}, {row.variable: url, **token}),
            by_file,
        ]

    def refused(load_it: Callable[[], object]) -> str:
        with pytest.raises(ConfigError) as caught:
            load_it()
        return "\n".join(line for line in str(caught.value).splitlines() if "https" in line or "URL" in line)

    for url in NOT_LOOPBACK:
        for load_it in given(url):
            assert key in refused(load_it).replace("-", "_").lower().replace("__", "."), url
    for url in ("http://localhost:1", "http://127.0.0.9", "http://[::1]:80/base", "https://evil.example"):
        for load_it in given(url):
            wrong = ""
            try:
                load_it()
            except ConfigError as error:
                wrong = str(error)
            assert "https" not in wrong


def test_localhost_is_this_machine_whatever_a_resolver_says() -> None:
    """The one name that is trusted leads nowhere else, so that no token goes to the network in the clear."""

    def getaddrinfo(_: str, port: int, **__: object) -> list[object]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)) for host in ("203.0.113.1", "127.0.0.1")
        ]

    resolver = Resolver(getaddrinfo)
    end = CLOCK.monotonic() + 10
    assert [each[4][0] for each in resolver.addresses("LocalHost", 80, end)] == ["127.0.0.1"]
    assert len(resolver.addresses("other.example", 80, end)) == 2


def live(tmp_path: Path, endpoint: str, **environ: str) -> str:
    """Return what `check --live` says of one execution, with a home that has a .netrc for every host."""
    (tmp_path / ".netrc").write_text("default login intruder password netrc-password\n")
    (tmp_path / ".netrc").chmod(0o600)
    home = {"HOME": str(tmp_path), "NETRC": str(tmp_path / ".netrc"), "YC_IAM_TOKEN": TOKEN}
    done = processes.run_exporter(
        "check", "--live", "--execution=dfq1", f"--api.endpoint={endpoint}", "--scrape.timeout=3s",
        "--log.level=debug", environ=processes.clean_environ(**home, **environ),
    )  # fmt: skip
    return done.stdout + done.stderr


def tunnel(heard: list[bytes]) -> Reply:
    """Return a proxy that opens a tunnel and then speaks in the clear, as if it were the API."""

    def reply(sock: socket.socket, request: bytes) -> None:
        if not request.startswith(b"CONNECT "):
            return
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        heard.append(sock.recv(65536))
        sock.sendall(answer(200, {"execution": {"id": "dfq1"}}))

    return reply


def test_a_proxy_hears_the_host_and_no_token(tmp_path: Path) -> None:
    """Through HTTPS_PROXY goes a tunnel with TLS in it; a proxy that speaks in the clear is told nothing."""
    heard: list[bytes] = []
    with serving(tunnel(heard)) as proxy:
        address = proxy.url.replace("//", "//ann:proxy-password@")
        text = live(tmp_path, "https://cloud.invalid", HTTPS_PROXY=address)
        assert {request.split()[1] for request in proxy.requests} == {b"cloud.invalid:443"}
        assert proxy.header("Proxy-Authorization").startswith("Basic ")
        assert heard
        everything = b"".join((*proxy.requests, *heard))
    assert all(hello.startswith(b"\x16\x03") for hello in heard)
    assert TOKEN.encode() not in everything
    assert b"Bearer" not in everything
    assert "tls" in text.lower()
    assert "proxy-password" not in text


def test_a_proxy_is_passed_by_where_no_proxy_says_so_and_on_this_machine(tmp_path: Path) -> None:
    """NO_PROXY is obeyed, loopback needs none; nothing of .netrc takes the token's place."""
    with serving(says(answer(502))) as proxy, serving(tells) as wire:
        every = {"HTTPS_PROXY": proxy.url, "HTTP_PROXY": proxy.url, "ALL_PROXY": proxy.url}
        assert "cloud.invalid" in live(tmp_path, "https://cloud.invalid", NO_PROXY="cloud.invalid", **every)
        assert TOKEN not in live(tmp_path, wire.url, **every)
        assert proxy.connections == []
    assert wire.header("Authorization") == f"Bearer {TOKEN}"


def test_the_recorder_would_see_a_thief() -> None:
    """The guard of this file: a client that follows a redirect is caught by the same fake."""
    with (
        serving(says(answer(200, {}))) as thief,
        serving(says(answer(302, {}, f"Location: {thief.url}/x"))) as wire,
    ):
        processes.get(f"{wire.url}/", {"Authorization": f"Bearer {TOKEN}"})
        assert thief.header("Authorization") == f"Bearer {TOKEN}"
