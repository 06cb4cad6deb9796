"""The faults of the simulator, one by one, as a client of another make sees them on the line."""

import gzip
import http.client
import json
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from simulated import EXECUTION, Caller, HandClock, Reply

from exporter.simulator import Fault, FaultRule, Simulator


@pytest.fixture
def cloud() -> Iterator[Simulator]:
    """Run a world with two executions in it."""
    with Simulator(clock=HandClock(), executions=0) as running:
        for name, status in (("e-1", "FINISHED"), ("e-2", "RUNNING")):
            running.put(name, status=status, started_at=1.0, duration=2.0, workflow_id="flow")
        yield running


def first(cloud: Simulator, rule: FaultRule) -> Reply:
    """Ask for an execution that a fault befalls."""
    cloud.faults.add(rule)
    return Caller(cloud).ask(f"{EXECUTION}/e-1")


def raw(cloud: Simulator, rule: FaultRule) -> bytes:
    """Return all that comes over the line until it ends, or nothing comes any more."""
    cloud.faults.add(rule)
    parts = urlsplit(cloud.base_url)
    with socket.create_connection((parts.hostname, parts.port), timeout=0.3) as line:
        head = f"GET {EXECUTION}/e-1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {cloud.token}\r\n\r\n"
        line.sendall(head.encode())
        heard = b""
        try:
            while data := line.recv(1 << 20):
                heard += data
        except TimeoutError:
            pass
        return heard


RIGHT = {"id": "e-1", "workflowId": "flow", "status": "FINISHED"}


def test_a_field_is_replaced_or_the_whole(cloud: Simulator) -> None:
    """Without a path all of it; a key that was not there is put; where a path leads nowhere all is right."""
    assert first(cloud, FaultRule(Fault.FIELD, value=[1], times=1)).json == [1]
    assert first(cloud, FaultRule(Fault.FIELD, path="execution", times=1)).json == {"execution": None}
    added = first(cloud, FaultRule(Fault.FIELD, path="nextPageToken", value=5, times=1)).json
    assert (added["nextPageToken"], added["execution"]["id"]) == (5, "e-1")
    assert first(cloud, FaultRule(Fault.FIELD, path="entries.7.id", value=1)).json["execution"]["id"] == "e-1"


def test_a_field_in_a_list_is_replaced(cloud: Simulator) -> None:
    """An index leads to one item, and the others are right."""
    cloud.faults.add(FaultRule(Fault.FIELD, path="executions.1.status", value={"a": 1}))
    right, wrong = Caller(cloud).listed("flow")
    assert (right["status"] in {"FINISHED", "RUNNING"}, wrong["status"]) == (True, {"a": 1})


@pytest.mark.parametrize("kind", [Fault.EXTRA_FIELDS, Fault.DUPLICATE_KEYS, Fault.CHUNKED, Fault.NO_LENGTH])
def test_what_is_odd_and_right_is_right(cloud: Simulator, kind: Fault) -> None:
    """Who reads it as its standard says reads the right answer."""
    assert first(cloud, FaultRule(kind)).json["execution"].items() >= RIGHT.items()


def test_keys_come_twice_and_fields_are_of_the_future(cloud: Simulator) -> None:
    """Null is first, and no object is without what no version has."""
    assert b'"status":null' in first(cloud, FaultRule(Fault.DUPLICATE_KEYS, times=1)).raw
    assert "fromTheFuture" in first(cloud, FaultRule(Fault.EXTRA_FIELDS)).json["execution"]["input"]


def test_text_that_is_none(cloud: Simulator) -> None:
    """A byte order mark, a byte that no UTF-8 has, and lists in lists."""
    assert first(cloud, FaultRule(Fault.BOM, times=1)).raw.startswith(b"\xef\xbb\xbf{")
    with pytest.raises(UnicodeDecodeError):
        first(cloud, FaultRule(Fault.NOT_UTF8, times=1)).raw.decode()
    assert b"[" * 100_000 in first(cloud, FaultRule(Fault.NESTED)).raw


def test_items_that_are_none_stand_around_the_right_ones(cloud: Simulator) -> None:
    """What is no item, somebody else's, and what has ended as it was before."""
    cloud.faults.add(FaultRule(Fault.BAD_ITEMS))
    items = Caller(cloud).listed("flow")
    assert None in items
    known = [item for item in items if isinstance(item, dict) and item.get("workflowId")]
    told = [(item["id"], item["workflowId"], item["status"]) for item in known]
    assert set(told[:2]) == {("e-1", "flow", "FINISHED"), ("e-2", "flow", "RUNNING")}
    assert told[2][1] != "flow"
    assert told[3:] == [("e-1", "flow", "RUNNING")]


def test_a_list_without_end_has_always_another_page(cloud: Simulator) -> None:
    """And each has another token, which is taken."""
    cloud.faults.add(FaultRule(Fault.NO_END))
    caller, tokens = Caller(cloud), [""]
    for _ in range(5):
        page = caller.ask(EXECUTION, workflowId="flow", pageToken=tokens[-1]).json
        tokens.append(page["nextPageToken"])
    assert len(set(tokens)) == 6


def test_a_coding_is_as_it_says_or_not(cloud: Simulator) -> None:
    """Compressed, said to be so, cut, and small on the line for what it becomes."""
    whole = first(cloud, FaultRule(Fault.GZIP, times=1))
    assert whole.headers["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(whole.raw))["execution"]["id"] == "e-1"
    with pytest.raises(gzip.BadGzipFile):
        gzip.decompress(first(cloud, FaultRule(Fault.GZIP_BROKEN, times=1)).raw)
    with pytest.raises(EOFError):
        gzip.decompress(first(cloud, FaultRule(Fault.GZIP_CUT, times=1)).raw)
    bomb = first(cloud, FaultRule(Fault.GZIP_BOMB, size=3_000_000)).raw
    assert len(bomb) < 10_000
    assert len(json.loads(gzip.decompress(bomb))["execution"]["input"]["inputJson"]) == 3_000_000


def test_a_length_that_is_wrong(cloud: Simulator) -> None:
    """Too short it leaves a rest, too long it leaves a client waiting, chunks that are none are none."""
    for kind, factor in ((Fault.SHORT_LENGTH, -1), (Fault.LONG_LENGTH, 1)):
        head, body = raw(cloud, FaultRule(kind, times=1)).split(b"\r\n\r\n", 1)
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        assert (length - len(body)) * factor > 0
    with pytest.raises(http.client.IncompleteRead):
        first(cloud, FaultRule(Fault.CHUNKED_GARBAGE))


def test_a_body_that_stalls_has_its_head(cloud: Simulator) -> None:
    """Of the right answer, or of an error; half of the body comes."""
    assert raw(cloud, FaultRule(Fault.STALL_BODY, times=1)).startswith(b"HTTP/1.1 200 ")
    heard = raw(cloud, FaultRule(Fault.STALL_BODY, code=503))
    assert heard.startswith(b"HTTP/1.1 503 ")
    assert b'{"code": 14' in heard


def test_heads_that_are_odd_or_none(cloud: Simulator) -> None:
    """Another status, one before the right one, too many headers, one too long, no HTTP."""
    assert first(cloud, FaultRule(Fault.CODE, code=206, times=1)).code == 206
    heard = raw(cloud, FaultRule(Fault.INFORMATIONAL, code=102, times=1))
    assert heard.startswith(b"HTTP/1.1 102 ")
    assert b"\r\n\r\nHTTP/1.1 200 OK\r\n" in heard
    assert raw(cloud, FaultRule(Fault.MANY_HEADERS, times=1)).count(b"\r\nX-Header-") == 1000
    assert b"x" * 100_000 in raw(cloud, FaultRule(Fault.LONG_HEADER, times=1))
    assert not raw(cloud, FaultRule(Fault.GARBAGE)).startswith(b"HTTP")


@pytest.mark.parametrize(("kind", "code"), [("code", 0), ("code", 199), ("informational", 99)])
def test_a_code_that_cannot_be_sent_is_refused(kind: str, code: int) -> None:
    """A rule that would do nothing is refused at the start."""
    with pytest.raises(ValueError, match="code: "):
        FaultRule(Fault(kind), code=code)
