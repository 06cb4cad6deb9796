"""Each fault against each way to a token, and what a token file, a key file or an answer can be instead."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from faulty import (
    BUDGET,
    FEW_SECONDS,
    GROUPS,
    LATER,
    ROWS,
    SECONDS,
    TWIN,
    Door,
    Halves,
    Page,
    Subject,
)

from exporter.simulator import Fault, FaultRule, Simulator

TARGETS = 8
"""How many targets are asked for before anything has been read: two executions, two that ended, and so on."""
LIFE = 600.0
WAYS = ("Iam.CreateToken", "Metadata.Token", "OAuth.Token")


@pytest.fixture
def halves(door: Door) -> Iterator[Halves]:
    """Return a cloud whose tokens live for ten minutes."""
    with Simulator(executions=0, clock=door.clock.time, token_lifetime=LIFE) as cloud:
        yield Halves(cloud, door.clock)


def auth(halves: Halves, folder: Path, way: str) -> dict[str, Any]:
    """Return the settings of one way to a token, with what it needs in a folder."""
    cloud = halves.cloud
    if way == "Metadata.Token":
        return {"metadata": {"endpoint": cloud.base_url}}
    if way == "Iam.CreateToken":
        return {"service_account_key_file": str(cloud.create_key(folder))}
    (folder / "subject").write_text(cloud.subject_token)
    account = {"service_account_id": cloud.service_account_id, "token_file": str(folder / "subject")}
    return {"workload_identity": {**account, "endpoint": cloud.base_url}}


def unread(page: Page) -> set[str]:
    """Return the targets without data, by their kind and id."""
    names = ("execution_scrape_success{", "scrape_success{")
    begin = tuple(f"yc_workflow_{name}" for name in names)
    return {
        key.split('"')[1] for key, value in page.samples.items() if key.startswith(begin) and value == "0.0"
    }


ALL = {f"{kind}-{word}" for kind in ("exe", "ended", "flow") for word in ("bad", "twin")}
LIVING = {f"{kind}-{word}" for kind in ("exe", "flow", "found") for word in ("bad", "twin")}


def counters(page: Page) -> dict[str, str]:
    """Return what was counted of the workflows."""
    return {
        key: value
        for key, value in page.half(TWIN).items()
        if key.partition("{")[0].endswith(("_total", "_count", "_sum", "_bucket"))
    }


@pytest.mark.parametrize("reason", GROUPS)
@pytest.mark.parametrize("way", WAYS)
def test_a_fault_before_the_first_token(
    halves: Halves, door: Door, tmp_path: Path, way: str, reason: str
) -> None:
    """Every target says auth, in time; with the next token all is there."""
    seconds = FEW_SECONDS if reason == "timeout" else SECONDS
    settings = halves.settings(seconds, auth=auth(halves, tmp_path, way))
    for fault in GROUPS[reason]:
        harmless = not ROWS[fault].reason
        with Subject(settings, door) as subject:
            halves.cloud.faults.add(ROWS[fault].rule(way, ""))
            page = subject.scrape()
            halves.cloud.faults.clear()
            expected = set() if harmless else ALL
            assert (fault, unread(page)) == (fault, expected)
            # What is in the folders is not known yet.
            assert (fault, page.reasons()) == (fault, Counter() if harmless else Counter(auth=TARGETS))
            assert (fault, page.value("up")) == (fault, float(harmless))
            assert page.seconds < BUDGET
            halves.clock.sleep(LATER)
            whole = subject.scrape()
            assert (fault, unread(whole), whole.differs()) == (fault, set(), frozenset())
            assert (fault, whole.value("up")) == (fault, 1)


@pytest.mark.parametrize("reason", [reason for reason in GROUPS if reason != "no harm"])
@pytest.mark.parametrize("way", WAYS)
def test_a_fault_when_a_token_is_to_be_renewed(
    halves: Halves, door: Door, tmp_path: Path, way: str, reason: str
) -> None:
    """It costs nothing while the old token lives, then what lives; what ended and the counters stay."""
    seconds = FEW_SECONDS if reason == "timeout" else SECONDS
    with Subject(halves.settings(seconds, auth=auth(halves, tmp_path, way)), door) as subject:
        subject.scrape()
        for fault in GROUPS[reason][:2]:
            halves.live()
            whole = subject.scrape()
            halves.cloud.faults.add(ROWS[fault].rule(way, ""))
            halves.clock.sleep(0.95 * LIFE)
            spared = subject.scrape()
            assert (fault, spared.differs(), spared.reasons()) == (fault, frozenset(), whole.reasons())
            assert (fault, spared.value("up")) == (fault, 1)
            failures = "exporter_iam_token_refresh_failures_total"
            assert (spared.value(failures) or 0) > (whole.value(failures) or 0), fault
            halves.clock.sleep(LIFE)
            page = subject.scrape()
            assert (fault, unread(page)) == (fault, LIVING)
            counted = page.reasons() - spared.reasons()
            # What ended is looked after once an hour, and may be due: its data stays all the same.
            assert (fault, set(counted), counted.total() - TARGETS in {0, 1, 2}) == (fault, {"auth"}, True)
            assert (fault, page.value("up"), counters(page)) == (fault, 0, counters(whole))
            assert page.seconds < BUDGET
            halves.cloud.faults.clear()
            halves.clock.sleep(LATER)
            after = subject.scrape()
            assert (fault, unread(after), after.value("up")) == (fault, set(), 1)
            assert after.half(TWIN) == whole.half(TWIN), fault


def test_a_token_that_is_refused_is_renewed_within_the_scrape(
    halves: Halves, door: Door, tmp_path: Path
) -> None:
    """Revoked in the middle of its life it costs one call more, and no data."""
    with Subject(halves.settings(auth=auth(halves, tmp_path, "Iam.CreateToken")), door) as subject:
        whole = subject.scrape()
        halves.cloud.revoke_tokens()
        halves.clock.sleep(60)
        page = subject.scrape()
        assert (unread(page), page.reasons(), page.value("up")) == (set(), Counter(), 1)
        assert page.half(TWIN) == whole.half(TWIN)
        assert halves.cloud.count("Iam.CreateToken") == 2


ODD: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    10**400,
    1.5,
    "",
    "soon",
    "NaN",
    [],
    {},
    [[[[]]]],
    "0001-01-01T00:00:00Z",
    "\ud800",
)
"""What a field may be instead of what it is."""


@pytest.mark.parametrize(
    ("way", "field", "vital"),
    [
        ("Iam.CreateToken", "iamToken", True),
        ("Iam.CreateToken", "expiresAt", False),
        ("Metadata.Token", "access_token", True),
        ("Metadata.Token", "expires_in", False),
        ("Metadata.Token", "token_type", False),
        ("OAuth.Token", "access_token", True),
        ("OAuth.Token", "expires_in", False),
    ],
)
def test_a_field_of_a_token_that_is_of_a_wrong_type(
    halves: Halves, door: Door, tmp_path: Path, way: str, field: str, *, vital: bool
) -> None:
    """No token, no data; a life that cannot be read is no reason to refuse the token."""
    more = ("9999-12-31T23:59:59Z", "1999-12-31T23:59:59Z", "9" * 400, 1e300)
    settings = halves.settings(auth=auth(halves, tmp_path, way))
    for value in ODD if vital else (*ODD, *more):
        halves.cloud.faults.add(FaultRule(Fault.FIELD, method=way, path=field, value=value))
        with Subject(settings, door) as subject:
            page = subject.scrape()
            halves.cloud.faults.clear()
            # A text is a token, as long as the API takes it.
            refused = isinstance(value, str) and value.isascii() and value != ""
            reason = "unauthorized" if refused else "auth"
            said = {reason} if vital else set()
            assert (value, set(page.reasons() + Counter())) == (value, said)
            assert (value, page.value("up")) == (value, float(not vital))
            assert (value, bool(unread(page))) == (value, vital)
            halves.clock.sleep(LATER)
            assert (value, unread(subject.scrape())) == (value, set())


def elliptic() -> str:
    """Return a private key of another kind."""
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(pem, pkcs8, serialization.NoEncryption()).decode()


def locked() -> str:
    """Return a private key that has a password."""
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(pem, pkcs8, serialization.BestAvailableEncryption(b"word")).decode()


def key_of(**fields: object) -> bytes:
    """Return a key file."""
    whole = {"id": "aje1", "service_account_id": "aje2", "private_key": "-----BEGIN PRIVATE KEY-----\n?"}
    return json.dumps({**whole, **fields}).encode()


TOKEN_FILES = {
    "empty": b"",
    "blank": b" \n\t\n",
    "not UTF-8": b"t1.\xff\xfe",
    "several lines": b"t1.one\nt1.two\n",
    "too large": b"x" * (2 << 20),
    "a NUL": b"t1.\x00",
    "an OAuth token": b"y0_AgAAAA",
}
KEY_FILES = {
    "empty": b"",
    "not JSON": b"{'id': 1",
    "a list": b"[]",
    "too deep": b"[" * 100_000,
    "no fields": b"{}",
    "a number for a text": key_of(id=5),
    "null": key_of(service_account_id=None),
    "no PEM": key_of(private_key="secret"),
    "half a PEM": key_of(),
    "an elliptic key": key_of(private_key=elliptic()),
    "a key with a password": key_of(private_key=locked()),
    "not UTF-8": b"\xff",
    "too large": b" " * (2 << 20),
}


def spoilt(path: Path, content: bytes | None) -> None:
    """Replace a file: by this content, or by nothing."""
    path.unlink()
    if content is not None:
        path.write_bytes(content)


@pytest.mark.parametrize(("kind", "files"), [("token", TOKEN_FILES), ("key", KEY_FILES)])
def test_a_file_that_goes_bad(
    halves: Halves, door: Door, tmp_path: Path, kind: str, files: dict[str, bytes]
) -> None:
    """A token that was read before lives on where it can; a new one needs a good file, and has it at once."""
    path = tmp_path / "file"
    good = halves.cloud.token.encode() if kind == "token" else halves.cloud.create_key(tmp_path).read_bytes()
    path.write_bytes(good)
    setting = {"token": "iam_token_file", "key": "service_account_key_file"}[kind]
    failures = "exporter_iam_token_refresh_failures_total"
    with Subject(halves.settings(auth={setting: str(path)}), door) as subject:
        whole = subject.scrape()
        for name, content in {**files, "missing": None}.items():
            spoilt(path, content)
            page = subject.scrape()
            assert (name, unread(page), page.value("up")) == (name, set(), 1)
            assert (page.value(failures) or 0) > (whole.value(failures) or 0), name
            path.write_bytes(good)
            halves.clock.sleep(61)
            whole = subject.scrape()
            assert (name, unread(whole), whole.reasons() + Counter()) == (name, set(), Counter())


def test_a_token_file_that_becomes_a_folder(halves: Halves, door: Door, tmp_path: Path) -> None:
    """As any file that cannot be read."""
    path = tmp_path / "file"
    path.write_text(halves.cloud.token)
    with Subject(halves.settings(auth={"iam_token_file": str(path)}), door) as subject:
        subject.scrape()
        path.unlink()
        path.mkdir()
        page = subject.scrape()
        assert (unread(page), page.value("exporter_iam_token_refresh_failures_total")) == (set(), 1)
