"""TLS as the web configuration file asks for it, shaken hands upon by real clients."""

import http.client
import ipaddress
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import bcrypt
import pytest
from cryptography import x509
from test_server import ask, certificate, connected, hashed, rewrite, served_certificate, serving

from exporter.webconfig import Admission, WebConfigFile
from exporter.webtls import ClientAuth, Pem, Tls, admitted, context_of

GONE = (ssl.SSLError, ConnectionError, http.client.HTTPException)
"""What a client sees that is not let in: how it is told depends on the version of TLS."""
PAIR = "cert_file: server.crt, key_file: server.key"
HTTP1 = "http_server_config: {http2: false}"
NAMES: dict[str, x509.GeneralName] = {
    "sre.example": x509.DNSName("sre.example"),
    "sre@example.com": x509.RFC822Name("sre@example.com"),
    "spiffe://example/prometheus": x509.UniformResourceIdentifier("spiffe://example/prometheus"),
    "192.0.2.7": x509.IPAddress(ipaddress.ip_address("192.0.2.7")),
    "2001:db8::7": x509.IPAddress(ipaddress.ip_address("2001:db8::7")),
}


def web_file(folder: Path, tls: str, more: str = "") -> Path:
    """Write a file with a certificate made for it, and more of tls_server_config, and more beside it."""
    certificate(folder, "server")
    return rewrite(folder / "web.yml", f"tls_server_config: {{{PAIR}{tls}}}\n{more}\n", 1)


def stranger() -> ssl.SSLContext:
    """Return a client that trusts whoever answers, and speaks whatever it can."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def agreed(port: int, context: ssl.SSLContext) -> tuple[str, str]:
    """Return the version and the cipher suite that both sides agree upon; raises OSError for none."""
    with context.wrap_socket(connected(port)) as sock:
        cipher = sock.cipher()
        return sock.version() or "", cipher[0] if cipher else ""


@pytest.mark.parametrize(
    ("told", "spoken"), [("max_version: TLS12", "TLSv1.2"), ("min_version: TLS13", "TLSv1.3")]
)
def test_versions_are_kept_to(told: str, spoken: str, tmp_path: Path) -> None:
    """Who can speak another one only is not served."""
    version = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}
    (other,) = set(version) - {spoken}
    unable = stranger()
    unable.minimum_version = unable.maximum_version = version[other]
    with serving(web_file(tmp_path, f", {told}")) as port:
        assert agreed(port, stranger())[0] == spoken
        with pytest.raises(OSError, match=r"."):
            agreed(port, unable)


SUITES = {
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
}


@pytest.mark.parametrize("suite", SUITES)
def test_a_cipher_suite_that_is_named_is_the_only_one_of_tls12(suite: str, tmp_path: Path) -> None:
    """Those of TLS 1.3 are as they are."""
    old = stranger()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    old.set_ciphers("ALL")
    suites = f", cipher_suites: [{suite}, TLS_AES_128_GCM_SHA256]"
    with serving(web_file(tmp_path, suites, HTTP1)) as port:
        assert agreed(port, old)[1] == SUITES[suite]
        assert agreed(port, stranger())[0] == "TLSv1.3"


def test_suites_of_tls13_alone_leave_nothing_for_tls12(tmp_path: Path) -> None:
    """As in Go, where the list is that of TLS 1.2."""
    old = stranger()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with serving(web_file(tmp_path, ", cipher_suites: [TLS_AES_128_GCM_SHA256]", HTTP1)) as port:
        assert agreed(port, stranger())[0] == "TLSv1.3"
        with pytest.raises(OSError, match=r"."):
            agreed(port, old)


@pytest.mark.parametrize(("prefers", "chosen"), [("true", "AES256"), ("false", "AES128")])
def test_the_order_of_suites_is_ours_or_the_clients(prefers: str, chosen: str, tmp_path: Path) -> None:
    """`prefer_server_cipher_suites` decides whose."""
    suites = [f"TLS_ECDHE_ECDSA_WITH_AES_{name}" for name in ("256_GCM_SHA384", "128_GCM_SHA256")]
    told = f", cipher_suites: [{', '.join(suites)}], prefer_server_cipher_suites: {prefers}"
    client = stranger()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384")
    with serving(web_file(tmp_path, told)) as port:
        assert chosen in agreed(port, client)[1]


@pytest.mark.parametrize("curve", ["CurveP256", "CurveP384", "CurveP521", "X25519"])
def test_a_curve_that_is_named_is_the_only_one(curve: str, tmp_path: Path) -> None:
    """A client that has another one only is not served."""
    names = {
        "CurveP256": "prime256v1",
        "CurveP384": "secp384r1",
        "CurveP521": "secp521r1",
        "X25519": "X25519",
    }
    with serving(web_file(tmp_path, f", curve_preferences: [{curve}]")) as port:
        for other, name in names.items():
            client = stranger()
            client.set_ecdh_curve(name)
            if other == curve:
                assert agreed(port, client)[0] == "TLSv1.3"
            else:
                with pytest.raises(OSError, match=r"."):
                    agreed(port, client)


def test_several_curves_are_taken_where_python_can_set_them(tmp_path: Path) -> None:
    """Elsewhere the message says that, and what to do."""
    path = web_file(tmp_path, ", curve_preferences: [X25519, CurveP256]")
    if hasattr(ssl.SSLContext, "set_groups"):
        assert WebConfigFile(path).current().tls
        return
    with pytest.raises(
        ValueError, match="this Python can set one curve, not several; name one, or remove the"
    ):
        WebConfigFile(path)


def test_certificates_and_keys_may_stand_in_the_file_itself(tmp_path: Path) -> None:
    """They are served, a client's authority too, and no file is left that has the key."""
    authority = certificate(tmp_path, "authority")
    certificate(tmp_path, "server")
    certificate(tmp_path, "client", authority)

    def inline(name: str) -> str:
        return "".join(f"    {line}\n" for line in (tmp_path / name).read_text().splitlines())

    path = tmp_path / "web.yml"
    path.write_text(
        f"tls_server_config:\n  cert: |\n{inline('server.crt')}  key: |\n{inline('server.key')}"
        f"  client_ca: |\n{inline('authority.crt')}  client_auth_type: RequireAndVerifyClientCert\n"
    )
    key = (tmp_path / "server.key").read_text().splitlines()[1]
    (tmp_path / "server.key").unlink()
    known = stranger()
    known.load_cert_chain(tmp_path / "client.crt", tmp_path / "client.key")
    file = WebConfigFile(path)
    with serving(file) as port:
        assert ask(port, context=known).status == 200
        with pytest.raises(GONE):
            ask(port, context=stranger())
    assert key not in repr(file.current())
    opened = [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert not any("pem" in name for name in opened)


@pytest.mark.parametrize("name", NAMES)
def test_a_client_is_let_in_by_each_kind_of_name(name: str, tmp_path: Path) -> None:
    """DNS, e-mail, URI and address, each exactly as it is listed; another name is not let in."""
    authority = certificate(tmp_path, "authority")
    certificate(tmp_path, "client", authority, names=[NAMES[name]])
    client = stranger()
    client.load_cert_chain(tmp_path / "client.crt", tmp_path / "client.key")
    told = (
        ", client_ca_file: authority.crt, client_auth_type: RequireAndVerifyClientCert, client_allowed_sans: "
    )
    path = web_file(tmp_path, f"{told}['{name}']")
    with serving(path) as port:
        assert ask(port, context=client).status == 200
        rewrite(path, f"tls_server_config: {{{PAIR}{told}['{name}.', other]}}\n", 2)
        with pytest.raises(GONE):
            ask(port, context=client)


def test_who_shows_no_certificate_has_no_name(tmp_path: Path) -> None:
    """Neither has one without alternative names; where nobody is asked, everybody may enter."""
    certificate(tmp_path, "server")
    pair = Pem("cert_file", tmp_path / "server.crt"), Pem("key_file", tmp_path / "server.key")
    named = Tls(*pair, client_auth=ClientAuth.REQUIRED, allowed_sans=frozenset({"a", ""}))
    for shown in (
        None,
        {},
        {"subject": ((("commonName", "a"),),)},
        {"subjectAltName": (("othername", "a"),)},
    ):
        assert not admitted(named, shown)
    assert not admitted(named, {"subjectAltName": (("IP Address", "no address"), ("DNS", "b"))})
    assert admitted(named, {"subjectAltName": (("DNS", "b"), ("DNS", "a"))})
    assert admitted(Tls(*pair), None)


@pytest.mark.parametrize(
    ("auth", "more"),
    [
        (ClientAuth.ASKED, ""),
        (ClientAuth.IF_GIVEN, ""),
        (ClientAuth.REQUIRED, ", client_allowed_sans: [sre.example]"),
    ],
)
def test_a_type_without_an_authority_is_as_the_toolkit_has_it(
    auth: ClientAuth, more: str, tmp_path: Path
) -> None:
    """Those of this machine verify, where a name says who is meant; who is only asked is not looked at."""
    path = web_file(tmp_path, f", client_auth_type: {auth.value}{more}")
    context = WebConfigFile(path).current().context
    assert context
    assert context.verify_mode is auth.mode


def test_a_certificate_that_was_asked_for_is_not_looked_at(tmp_path: Path) -> None:
    """RequestClientCert lets in everybody, with whatever certificate."""
    certificate(tmp_path, "client")
    client = stranger()
    client.load_cert_chain(tmp_path / "client.crt", tmp_path / "client.key")
    with serving(web_file(tmp_path, ", client_auth_type: RequestClientCert")) as port:
        assert ask(port, context=client).status == 200
        assert ask(port, context=stranger()).status == 200


def test_a_certificate_that_is_given_must_be_of_the_authority(tmp_path: Path) -> None:
    """VerifyClientCertIfGiven: none is as good as a right one, a wrong one is refused."""
    certificate(tmp_path, "client", certificate(tmp_path, "authority"))
    certificate(tmp_path, "other")
    path = web_file(tmp_path, ", client_ca_file: authority.crt, client_auth_type: VerifyClientCertIfGiven")
    right, wrong = stranger(), stranger()
    right.load_cert_chain(tmp_path / "client.crt", tmp_path / "client.key")
    wrong.load_cert_chain(tmp_path / "other.crt", tmp_path / "other.key")
    with serving(path) as port:
        assert [ask(port, context=client).status for client in (right, stranger())] == [200, 200]
        with pytest.raises(GONE):
            ask(port, context=wrong)


def mounted(folder: Path, version: str) -> None:
    """Have the files come from another folder, all at once, as Kubernetes does with a Secret."""
    (folder / "..next").symlink_to(version)
    (folder / "..next").rename(folder / "..data")


def test_files_that_are_swapped_by_a_link_are_read_again(tmp_path: Path) -> None:
    """Kubernetes mounts a Secret so: the path stays, the folder behind it is another one."""
    for version in ("..1", "..2"):
        (tmp_path / version).mkdir()
        certificate(tmp_path / version, "server")
        (tmp_path / version / "web.yml").write_text(f"tls_server_config: {{{PAIR}}}\n")
    mounted(tmp_path, "..1")
    for name in ("server.crt", "server.key", "web.yml"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    with serving(tmp_path / "web.yml") as port:
        old = served_certificate(port)
        mounted(tmp_path, "..2")
        assert served_certificate(port) not in (old, b"")


def test_a_pair_that_does_not_match_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    """A key is replaced before its certificate: the old pair is served until both are there."""
    path = web_file(tmp_path, "")
    with serving(path) as port:
        old = served_certificate(port)
        (tmp_path / "new").mkdir()
        certificate(tmp_path / "new", "server")
        (tmp_path / "new" / "server.key").replace(tmp_path / "server.key")
        assert served_certificate(port) == old
        (tmp_path / "new" / "server.crt").replace(tmp_path / "server.crt")
        assert served_certificate(port) != old


def test_too_many_requests_are_told_when_to_come_back(tmp_path: Path) -> None:
    """The burst is served, then one for each interval; a password is not asked for before."""
    now = [100.0]
    checked: list[bytes] = []

    def checks(password: bytes, _: bytes) -> bool:
        checked.append(password)
        return password == b"right"

    path = tmp_path / "web.yml"
    limit = "rate_limit: {interval: 1m30s, burst: 2}"
    rewrite(path, f"basic_auth_users: {{ann: '{hashed('right')}'}}\n{limit}\n", 1)
    file = WebConfigFile(path, matches=checks, monotonic=lambda: now[0])
    with serving(file) as port:
        assert [ask(port, user="ann:wrong").status for _ in range(3)] == [401, 401, 429]
        answer = ask(port, user="ann:right")
        assert (answer.status, answer.headers["Retry-After"], checked) == (429, "90", [b"wrong"] * 2)
        now[0] += 89.9
        assert ask(port, user="ann:right").status == 429
        now[0] += 0.2
        assert [ask(port, user="ann:right").status for _ in range(2)] == [200, 429]
        # Another reading with the same limit is no new burst; one without it has none.
        rewrite(path, f"{limit}\n", 2)
        assert ask(port).status == 429
        rewrite(path, "{}\n", 3)
        assert [ask(port).status for _ in range(4)] == [200] * 4


def test_a_burst_of_none_lets_nobody_in(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """So the toolkit has it; the log says what to do."""
    path = tmp_path / "web.yml"
    path.write_text("rate_limit: {interval: 1s}\n")
    assert WebConfigFile(path).admits(None) is Admission.TOO_MANY
    assert [record.message for record in caplog.records] == [
        "rate_limit.burst: 0 refuses every request; write at least 1"
    ]


def counted(path: Path) -> tuple[WebConfigFile, list[int]]:
    """Return a file, and the costs of the hashes that are computed for it."""
    costs: list[int] = []

    def checks(_: bytes, hashed: bytes) -> bool:
        costs.append(int(hashed[4:6]))
        return False

    return WebConfigFile(path, matches=checks), costs


@pytest.mark.parametrize("user", ["ann", "bob", "eve", "", "nobody", "ann "])
def test_whoever_is_refused_costs_the_same(user: str, tmp_path: Path) -> None:
    """Known or not, each time: as many rounds of bcrypt as the dearest hash has."""
    path = tmp_path / "web.yml"
    cheap, dear = hashed("a", 4), hashed("b", 7)
    path.write_text(f"basic_auth_users: {{ann: '{cheap}', bob: '{dear}', eve: '{cheap}'}}\n")
    file, costs = counted(path)
    for _ in range(3):
        assert file.admits((user, b"wrong")) is Admission.REFUSED
        assert sum(2**cost for cost in costs) == 2**7
        costs.clear()


def test_who_names_nobody_costs_nothing(tmp_path: Path) -> None:
    """A request without credentials, or with such as name no user, is refused without a hash."""
    path = tmp_path / "web.yml"
    path.write_text(f"basic_auth_users: {{ann: '{hashed('a')}'}}\n")
    file, costs = counted(path)
    with serving(file) as port:
        assert (ask(port).status, ask(port, user="ann").status, costs) == (401, 401, [])
        assert (ask(port, user="ann:").status, costs) == (401, [4])


def test_a_right_password_costs_its_own_hash_once(tmp_path: Path) -> None:
    """The dearer hashes of others are no matter; the password of one does for no other."""
    path = tmp_path / "web.yml"
    path.write_text(f"basic_auth_users: {{ann: '{hashed('a', 4)}', bob: '{hashed('b', 6)}'}}\n")
    costs: list[int] = []

    def checks(password: bytes, against: bytes) -> bool:
        costs.append(int(against[4:6]))
        return bcrypt.checkpw(password, against)

    file = WebConfigFile(path, matches=checks)
    assert [file.admits(("ann", b"a")) for _ in range(3)] == [Admission.GRANTED] * 3
    assert costs == [4]
    assert [file.admits((user, b"b")) for user in ("ann", "nobody")] == [Admission.REFUSED] * 2


def test_a_flood_of_wrong_passwords_leaves_a_known_user_alone(tmp_path: Path) -> None:
    """Whose password is remembered waits for no hash, however many are wanted."""
    path = tmp_path / "web.yml"
    path.write_text(f"basic_auth_users: {{ann: '{hashed('a')}'}}\n")
    leave, hashing = threading.Event(), threading.Event()

    def checks(password: bytes, against: bytes) -> bool:
        if password != b"a":
            hashing.set()
            leave.wait(30)
        return bcrypt.checkpw(password, against)

    file = WebConfigFile(path, matches=checks)
    assert file.admits(("ann", b"a")) is Admission.GRANTED
    with ThreadPoolExecutor(16) as flood:
        try:
            wrong = [flood.submit(file.admits, (f"user{n}", b"wrong")) for n in range(16)]
            assert hashing.wait(10)
            assert file.admits(("ann", b"a")) is Admission.GRANTED
            assert not any(future.done() for future in wrong[:1])
        finally:
            leave.set()


def test_a_context_is_of_one_reading_only(tmp_path: Path) -> None:
    """Nothing of an earlier one is trusted: each is made anew."""
    certificate(tmp_path, "server")
    tls = Tls(Pem("cert_file", tmp_path / "server.crt"), Pem("key_file", tmp_path / "server.key"))
    make: Callable[[Tls], ssl.SSLContext] = context_of
    assert make(tls) is not make(tls)


def test_a_key_in_the_place_of_a_name_is_not_repeated(tmp_path: Path) -> None:
    """In one line it has slashes, and so looks like a path; many keys, for one may look otherwise."""
    for _ in range(20):
        certificate(tmp_path, "server")
        lines = (tmp_path / "server.key").read_text().splitlines()
        folded = "".join(lines[1:-1])
        path = tmp_path / "web.yml"
        path.write_text(f"tls_server_config: {{cert_file: server.crt, key_file: '{folded}'}}\n")
        with pytest.raises(ValueError, match="key_file: the name cannot be read") as caught:
            WebConfigFile(path)
        assert folded[20:40] not in str(caught.value)
