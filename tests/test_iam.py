"""An IAM token comes from one of four places, is renewed in good time, and never by all at once."""

import concurrent.futures
import datetime as dt
import json
import os
import random
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from conftest import ToldClock
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from wire import answer, says, serving

from exporter.yandex.authorizedkey import ServiceAccountKey
from exporter.yandex.calls import Budget, Limits, SystemClock
from exporter.yandex.errors import AuthFailed, BudgetSpent, NotSent
from exporter.yandex.iam import IamAuth, TokenRecord
from exporter.yandex.sources import (
    InstanceMetadata,
    Source,
    StaticToken,
    Token,
    TokenFile,
    WorkloadIdentity,
)
from exporter.yandex.transport import Transport

LIMITS = Limits(timeout=5.0, requests_per_second=None, max_response_bytes=100_000, retries=0)
COMMENT = "PLEASE DO NOT REMOVE THIS LINE! Yandex.Cloud SA Key ID <ajekey>\n"
SEPARATOR = b"\r\n\r\n"
AUDIENCE = "https://iam.api.cloud.yandex.net/iam/v1/tokens"


class Counting:
    """A source that counts: tokens are numbered, or the same, or failures."""

    def __init__(self, clock: ToldClock, life: float | None = 43200.0) -> None:
        self.clock = clock
        self.life = life
        self.issued = 0
        self.failing: Exception | None = None
        self.fixed = ""
        self.hook: Callable[[Budget], None] = lambda _: None

    def issue(self, budget: Budget) -> Token:
        """Return the next token, or fail as told."""
        self.issued += 1
        self.hook(budget)
        if self.failing:
            raise self.failing
        expires_at = None if self.life is None else self.clock.time() + self.life
        return Token(self.fixed or f"token-{self.issued}", expires_at)

    def changed(self) -> bool:
        """Return False."""
        return False

    def check(self) -> None:
        """Do nothing."""


class Desk:
    """An IamAuth over a source, its clock and its records."""

    def __init__(self, source: Source, clock: ToldClock) -> None:
        self.clock = clock
        self.records: list[TokenRecord] = []
        self.auth = IamAuth(source, clock, self.records.append)

    def token(self) -> str:
        """Ask for a token."""
        return self.auth.token(Budget.of(10, self.clock))

    def renew(self, stale: str) -> str | None:
        """Ask for a fresher one."""
        return self.auth.renew(stale, Budget.of(10, self.clock))


@pytest.fixture
def clock() -> ToldClock:
    """Return a clock that stands still."""
    return ToldClock()


@pytest.fixture
def counting(clock: ToldClock) -> Counting:
    """Return a counting source."""
    return Counting(clock)


@pytest.fixture
def desk(counting: Counting, clock: ToldClock) -> Desk:
    """Return a desk over the counting source."""
    return Desk(counting, clock)


@pytest.fixture
def transport(clock: ToldClock) -> Transport:
    """Return a transport without retries."""
    return Transport(LIMITS, clock, observe=lambda _: None, jitter=random.Random(1))


@pytest.fixture(scope="session")
def private_key() -> rsa.RSAPrivateKey:
    """Return an RSA key."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    """Return a private key as PEM."""
    kind = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption()).decode()


@pytest.fixture
def key_file(tmp_path: Path, private_key: rsa.RSAPrivateKey) -> Path:
    """Return a key file as `yc` writes it."""
    path = tmp_path / "key.json"
    fields = {"id": "ajekey", "service_account_id": "ajeaccount", "private_key": COMMENT + pem(private_key)}
    path.write_text(json.dumps({**fields, "key_algorithm": "RSA_2048"}))
    return path


def issue(source: Source, clock: ToldClock) -> Token:
    """Issue a token within ten seconds."""
    return source.issue(Budget.of(10, clock))


def refusal(source: Source, clock: ToldClock) -> str:
    """Return the message with which issuing fails."""
    with pytest.raises(AuthFailed) as caught:
        issue(source, clock)
    return str(caught.value)


def test_an_authorized_key_is_exchanged(
    key_file: Path, private_key: rsa.RSAPrivateKey, transport: Transport, clock: ToldClock
) -> None:
    """The JWT is signed and claimed as documented, and nanoseconds of an expiry are read."""
    reply = answer(200, {"iamToken": "t1.fresh", "expiresAt": "2033-05-18T03:33:20.123456789Z"})
    with serving(says(reply)) as wire:
        token = issue(ServiceAccountKey(key_file, f"{wire.url}/", transport, clock), clock)
    assert token.value == "t1.fresh"
    assert token.expires_at == pytest.approx(2_000_000_000.123456789)
    assert wire.requests[0].startswith(b"POST /iam/v1/tokens HTTP/1.1")
    signed = json.loads(wire.body())["jwt"]
    assert jwt.get_unverified_header(signed) == {"alg": "PS256", "kid": "ajekey", "typ": "JWT"}
    claims = jwt.decode(
        signed,
        private_key.public_key(),
        ["PS256"],
        audience=AUDIENCE,
        options={"verify_exp": False, "verify_iat": False},
    )
    now = int(clock.time())
    assert claims == {"iss": "ajeaccount", "aud": AUDIENCE, "iat": now, "exp": now + 3600}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id": None}, "`id`"),
        ({"service_account_id": 5}, "`service_account_id`"),
        ({"private_key": ""}, "`private_key`"),
        ({"private_key": "-----BEGIN PRIVATE KEY-----\nhush\n-----END PRIVATE KEY-----\n"}, "`private_key`"),
        ({"private_key": pem(ec.generate_private_key(ec.SECP256R1()))}, "`private_key`"),
    ],
)
def test_a_broken_key_file_names_the_field(
    change: dict[str, object], said: str, key_file: Path, transport: Transport, clock: ToldClock
) -> None:
    """File, field and remedy are named, the content is not; at the start as well as while running."""
    key_file.write_text(json.dumps({**json.loads(key_file.read_text()), **change}))
    source = ServiceAccountKey(key_file, "http://127.0.0.1:9", transport, clock)
    with pytest.raises(ValueError, match=said) as caught:
        source.check()
    for message in (str(caught.value), refusal(source, clock)):
        assert str(key_file) in message
        assert "yc iam key create" in message
        assert "hush" not in message
        assert "BEGIN" not in message


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"null", b"{", b"\xff\xfe", b"[" * 100_000, b" " * 2_000_000]
)
def test_a_file_that_is_no_key_is_refused(
    content: bytes, key_file: Path, transport: Transport, clock: ToldClock
) -> None:
    """Whatever is in the file, the answer is one clear error."""
    key_file.write_bytes(content)
    source = ServiceAccountKey(key_file, "http://127.0.0.1:9", transport, clock)
    assert str(key_file) in refusal(source, clock)


def test_a_good_key_file_is_loaded_offline(key_file: Path, transport: Transport, clock: ToldClock) -> None:
    """A check can show whose key it is, and the key stays out of sight."""
    key = ServiceAccountKey(key_file, "http://127.0.0.1:9", transport, clock).load()
    assert repr(key) == "AuthorizedKey(id='ajekey', service_account_id='ajeaccount')"


def test_a_key_file_that_changes_gives_a_new_token(
    key_file: Path, transport: Transport, clock: ToldClock
) -> None:
    """A rotated key is used at once, not after the old token's life."""
    replies = [answer(200, {"iamToken": f"t{n}", "expiresAt": "2099-01-01T00:00:00Z"}) for n in range(3)]
    with serving(says(*replies)) as wire:
        desk = Desk(ServiceAccountKey(key_file, wire.url, transport, clock), clock)
        assert [desk.token(), desk.token()] == ["t0", "t0"]
        os.utime(key_file, (1, 1))
        assert [desk.token(), desk.token()] == ["t1", "t1"]


def test_a_refused_key_says_so_without_the_jwt(
    key_file: Path, transport: Transport, clock: ToldClock
) -> None:
    """The message has the file, the remedy and what IAM said, even if IAM repeats the secret."""

    def echo(sock: Any, request: bytes) -> None:
        sock.sendall(answer(401, {"message": f"bad {json.loads(request.split(SEPARATOR)[1])['jwt']}"}))

    with serving(echo) as wire:
        message = refusal(ServiceAccountKey(key_file, wire.url, transport, clock), clock)
    assert str(key_file) in message
    assert "yc iam key create" in message
    assert message.endswith("HTTP 401: bad <secret>")


@pytest.mark.parametrize("body", [[], {}, {"iamToken": 5}, {"iamToken": "a\nb"}, {"iamToken": ""}, "t1.x"])
def test_an_answer_without_a_token_is_refused(
    body: object, key_file: Path, transport: Transport, clock: ToldClock
) -> None:
    """What cannot be a token is none."""
    with serving(says(answer(200, body))) as wire:
        refusal(ServiceAccountKey(key_file, wire.url, transport, clock), clock)


@pytest.mark.parametrize("expiry", [None, "soon", 5, "0001-01-01T00:00:00Z"])
def test_an_expiry_that_nobody_can_read_is_an_hour(
    expiry: object, key_file: Path, transport: Transport, clock: ToldClock
) -> None:
    """A token without a legible end is renewed sooner rather than later."""
    with serving(says(answer(200, {"iamToken": "t", "expiresAt": expiry}))) as wire:
        token = issue(ServiceAccountKey(key_file, wire.url, transport, clock), clock)
    assert token.expires_at == clock.time() + 3600


def test_metadata_gives_a_token(transport: Transport, clock: ToldClock) -> None:
    """The documented path and header, and a life in seconds."""
    reply = answer(200, {"access_token": "t1.vm", "expires_in": 600, "token_type": "Bearer"})
    with serving(says(reply)) as wire:
        token = issue(InstanceMetadata(wire.url, transport, clock), clock)
    assert token == Token("t1.vm", clock.time() + 600)
    path = b"GET /computeMetadata/v1/instance/service-accounts/default/token HTTP/1.1"
    assert wire.requests[0].startswith(path)
    assert wire.header("Metadata-Flavor") == "Google"
    assert wire.header("Authorization") == ""


@pytest.mark.parametrize("life", [None, "x", -1, 0, True, [], 1e300, "٣"])
def test_a_strange_life_is_an_hour(life: object, transport: Transport, clock: ToldClock) -> None:
    """Only a positive number of seconds is a life."""
    with serving(says(answer(200, {"access_token": "t", "expires_in": life}))) as wire:
        assert issue(InstanceMetadata(wire.url, transport, clock), clock).expires_at == clock.time() + 3600


def test_a_federated_token_is_exchanged(tmp_path: Path, transport: Transport, clock: ToldClock) -> None:
    """The documented form; the file is read each time."""
    path = tmp_path / "oidc"
    with serving(says(answer(200, {"access_token": "t1.wif", "expires_in": "3600"}))) as wire:
        source = WorkloadIdentity("ajeaccount", path, wire.url, transport, clock)
        assert str(path) in refusal(source, clock)
        for subject in ("one", "two"):
            path.write_text(f"{subject}\n")
            assert issue(source, clock) == Token("t1.wif", clock.time() + 3600)
    assert wire.requests[0].startswith(b"POST /oauth/token HTTP/1.1")
    assert dict(urllib.parse.parse_qsl(wire.body(0).decode())) == {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
        "audience": "ajeaccount",
        "subject_token": "one",
    }
    assert b"subject_token=two" in wire.body(1)


def test_a_token_file_is_read_again_when_it_changes(tmp_path: Path, clock: ToldClock) -> None:
    """Something else rotates it; while it is away or broken, the last token serves."""
    path = tmp_path / "iam.token"
    path.write_text("t1.first\n")
    desk = Desk(TokenFile(path), clock)
    assert desk.token() == "t1.first"
    path.write_text("t1.second-one\n")
    assert desk.token() == "t1.second-one"
    path.unlink()
    assert desk.token() == "t1.second-one"
    clock.sleep(61)
    path.write_text("t1.third\n")
    assert desk.token() == "t1.third"
    assert [record.ok for record in desk.records] == [True, True, False, True]


def test_a_token_file_is_read_again_when_its_token_is_refused(tmp_path: Path, clock: ToldClock) -> None:
    """The same content is no fresher token; a new one is."""
    path = tmp_path / "iam.token"
    path.write_text("t1.first")
    desk = Desk(TokenFile(path), clock)
    assert desk.renew(desk.token()) is None
    clock.sleep(10)
    path.write_text("t1.other")
    assert desk.renew("t1.first") == "t1.other"


@pytest.mark.parametrize(
    ("value", "said"), [("y0_AgAAAABc", "OAuth"), ("", "empty"), ("t1 x", "character"), ("t1.ä", "character")]
)
def test_what_is_no_iam_token_is_refused(value: str, said: str, tmp_path: Path, clock: ToldClock) -> None:
    """An OAuth token and a broken one are named for what they are, and not shown."""
    path = tmp_path / "iam.token"
    path.write_text(value)
    for source in (StaticToken(value), TokenFile(path)):
        message = refusal(source, clock)
        assert said in message
        assert "yc iam create-token" in message
        assert not value or value not in message
        with pytest.raises(ValueError, match=said):
            source.check()


def test_a_given_token_is_itself(clock: ToldClock) -> None:
    """A static token has no end that anybody knows of, and no successor."""
    desk = Desk(StaticToken(" t1.given\n"), clock)
    assert (desk.token(), desk.renew("t1.given")) == ("t1.given", None)
    assert desk.records[0] == TokenRecord(ok=True, expires_at=None, message="")


@pytest.mark.parametrize(("life", "margin"), [(43200.0, 1800.0), (3000.0, 300.0), (600.0, 60.0)])
def test_a_token_is_renewed_in_good_time(
    desk: Desk, counting: Counting, clock: ToldClock, life: float, margin: float
) -> None:
    """A tenth of its life before the end, half an hour at most, and not sooner."""
    counting.life = life
    assert desk.token() == "token-1"
    clock.sleep(life - margin - 1)
    assert desk.token() == "token-1"
    clock.sleep(1)
    assert desk.token() == "token-2"


def test_a_valid_token_outlives_failing_renewals(desk: Desk, counting: Counting, clock: ToldClock) -> None:
    """While IAM is away the old token serves, until it is over."""
    desk.token()
    counting.failing = AuthFailed("IAM is away")
    clock.sleep(43200 - 100)
    assert [desk.token() for _ in range(5)] == ["token-1"] * 5
    assert counting.issued == 2
    clock.sleep(100)
    with pytest.raises(AuthFailed, match="IAM is away"):
        desk.token()


def test_failures_are_spaced(desk: Desk, counting: Counting, clock: ToldClock) -> None:
    """The pauses after failures grow from one second to a minute; meanwhile the error comes at once."""
    counting.failing = AuthFailed("no")
    start, tries = clock.now, []
    while clock.now < start + 200:
        issued = counting.issued
        with pytest.raises(AuthFailed, match="no"):
            desk.token()
        if counting.issued > issued:
            tries.append(clock.now - start)
        clock.sleep(0.5)
    assert tries == [0, 1, 3, 7, 15, 31, 63, 123, 183]
    counting.failing = None
    clock.sleep(60)
    assert desk.token().startswith("token-")


def test_a_clock_that_is_wrong_makes_no_storm(desk: Desk, counting: Counting) -> None:
    """A token that seems to be over when it comes is used for a while all the same."""
    counting.life = -5000
    assert [desk.token() for _ in range(20)] == ["token-1"] * 20
    assert counting.issued == 1


def test_who_was_refused_gets_what_another_renewed(desk: Desk, counting: Counting) -> None:
    """Thirty-two refusals of one token are one renewal."""
    stale = desk.token()
    assert {desk.renew(stale) for _ in range(32)} == {"token-2"}
    assert counting.issued == 2


def test_a_fresh_token_that_is_refused_as_well_makes_no_storm(
    desk: Desk, counting: Counting, clock: ToldClock
) -> None:
    """While nothing helps, renewals become rarer: after ten seconds, twenty, forty, at most ten minutes."""
    start, renewals = clock.now, []
    for _ in range(400):
        issued = counting.issued
        desk.renew(desk.token())
        if counting.issued > max(issued, 1):
            renewals.append(clock.now - start)
        clock.sleep(5)
    assert renewals == [0, 10, 30, 70, 150, 310, 630, 1230, 1830]


def test_a_renewal_long_after_the_last_is_no_storm(desk: Desk, counting: Counting, clock: ToldClock) -> None:
    """Who revokes tokens once a day finds them renewed at once."""
    for _ in range(3):
        stale = desk.token()
        assert desk.renew(stale) != stale
        clock.sleep(20_000)
    assert len(desk.records) == counting.issued


def test_the_same_token_again_is_no_fresher_token(desk: Desk, counting: Counting) -> None:
    """The metadata service may repeat itself; what was not obtained is not counted."""
    counting.fixed = "same"
    assert desk.renew(desk.token()) is None
    assert (counting.issued, len(desk.records)) == (2, 1)


def test_a_renewal_that_fails_is_no_fresher_token(desk: Desk, counting: Counting) -> None:
    """The refusal stays the result, and the failure is on record, without a secret."""
    stale = desk.token()
    counting.failing = AuthFailed("no Bearer hush")
    assert desk.renew(stale) is None
    assert desk.records[-1].message == "no Bearer <secret>"
    assert not desk.records[-1].ok


def test_a_spent_budget_is_not_the_sources_fault(desk: Desk, counting: Counting, clock: ToldClock) -> None:
    """A caller without time says so and asks nobody; the next one asks at once."""
    with pytest.raises(NotSent):
        desk.auth.token(Budget.of(0.05, clock))
    assert counting.issued == 0
    assert desk.token() == "token-1"


@pytest.mark.parametrize(("held", "share"), [(False, 8.0), (True, 2.5)])
def test_a_source_that_does_not_answer_leaves_time_for_the_rest(
    desk: Desk, counting: Counting, clock: ToldClock, *, held: bool, share: float
) -> None:
    """Without a token it gets most of the time, and the reason is auth; beside a valid one only a quarter."""
    allowed: list[float] = []

    def stall(budget: Budget) -> None:
        allowed.append(budget.remaining())
        clock.sleep(budget.remaining())
        raise BudgetSpent("no complete answer in time")

    if held:
        desk.token()
        clock.sleep(43200 - 100)
    counting.hook = stall
    if held:
        assert desk.auth.token(Budget.of(10, clock)) == "token-1"
        assert desk.auth.token(Budget.of(10, clock)) == "token-1"
    else:
        for _ in range(2):
            with pytest.raises(AuthFailed, match="no complete answer in time"):
                desk.auth.token(Budget.of(10, clock))
    assert allowed == [pytest.approx(share)]


def test_many_at_once_share_one_exchange(key_file: Path) -> None:
    """Thirty-two threads without a token make one call."""
    clock = SystemClock()
    expiry = (dt.datetime.now(dt.UTC) + dt.timedelta(hours=12)).isoformat()
    with serving(says(answer(200, {"iamToken": "t1.shared", "expiresAt": expiry}))) as wire:
        transport = Transport(LIMITS, clock, observe=lambda _: None, jitter=random.Random(1))
        auth = IamAuth(ServiceAccountKey(key_file, wire.url, transport, clock), clock, lambda _: None)
        with concurrent.futures.ThreadPoolExecutor(32) as pool:
            found = list(pool.map(lambda _: auth.token(Budget.of(10, clock)), range(64)))
    assert (set(found), len(wire.requests)) == ({"t1.shared"}, 1)


def test_waiting_for_another_is_bounded_by_the_budget(clock: ToldClock) -> None:
    """Who waits for somebody else's exchange gives up when the own budget ends."""
    inner: list[BaseException] = []

    class Nested(Counting):
        def issue(self, budget: Budget) -> Token:
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                error = pool.submit(lambda: busy.auth.token(Budget.of(0.2, clock))).exception(10)
            inner.extend([error] if error else [])
            return super().issue(budget)

    busy = Desk(Nested(clock), clock)
    assert busy.token() == "token-1"
    assert [type(error) for error in inner] == [NotSent]
