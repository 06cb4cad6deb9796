"""TLS of the exporter's own door: what the web configuration file says of it, made into an SSL context."""

import enum
import ipaddress
import os
import re
import ssl
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exporter import files
from exporter.yandex.secrets import one_line, redact

MAX_PEM_BYTES = 1024 * 1024
MAX_NAME = 60
BASE64 = re.compile(r"[A-Za-z0-9+/=]{100}")
VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
SUITES = {
    "TLS_AES_128_GCM_SHA256": "",
    "TLS_AES_256_GCM_SHA384": "",
    "TLS_CHACHA20_POLY1305_SHA256": "",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
}
"""OpenSSL's names of the suites that Go's crypto/tls calls secure; those of TLS 1.3 cannot be chosen."""
CURVES = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}


class ClientAuth(enum.Enum):
    """Whether clients have to show a certificate, by the names of Go's crypto/tls."""

    NONE = "NoClientCert"
    ASKED = "RequestClientCert"
    IF_GIVEN = "VerifyClientCertIfGiven"
    REQUIRED = "RequireAndVerifyClientCert"

    @property
    def mode(self) -> ssl.VerifyMode:
        """The same for OpenSSL; what would be asked for and not looked at is not asked for."""
        modes = {ClientAuth.IF_GIVEN: ssl.CERT_OPTIONAL, ClientAuth.REQUIRED: ssl.CERT_REQUIRED}
        return modes.get(self, ssl.CERT_NONE)


@dataclass(frozen=True, slots=True)
class Pem:
    """Certificates or a key, in a file or in the text itself; `name` is the key that gives them."""

    name: str
    path: Path | None = None
    text: str = field(default="", repr=False)

    def read(self) -> str:
        """Return the text; raises ValueError."""
        if self.path is None:
            return self.text
        try:
            data = files.read(self.path, MAX_PEM_BYTES)
        except OSError as error:
            said = f"cannot be read: {error.strerror}; correct the path or its permissions"
            raise ValueError(f"{self.what} {said}") from None
        if len(data) > MAX_PEM_BYTES:
            raise ValueError(f"{self.what} has more than {MAX_PEM_BYTES} bytes; name another file")
        return data.decode("latin-1")

    @property
    def what(self) -> str:
        """What a message calls it."""
        name = f"tls_server_config.{self.name}:"
        if self.path is None:
            return f"{name} the text"
        # What is as long, or as much base64, as this is no name, and may be the key itself.
        is_name = len(self.path.name) <= MAX_NAME and not BASE64.search(str(self.path))
        shown = repr(redact(str(self.path))) if is_name else "the name"
        return f"{name} {shown}"


@dataclass(frozen=True, slots=True)
class Tls:
    """What tls_server_config says; `allowed_sans` None: whoever is verified may come in."""

    certificate: Pem
    key: Pem
    client_ca: Pem | None = None
    client_auth: ClientAuth = ClientAuth.NONE
    allowed_sans: frozenset[str] | None = None
    minimum: str = "TLS12"
    maximum: str = "TLS13"
    suites: tuple[str, ...] = ()
    prefers_own_order: bool = True
    curves: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that it is made of."""
        pems = (self.certificate, self.key, self.client_ca)
        return tuple(pem.path for pem in pems if pem and pem.path)


def refusal_of(tls: Tls) -> str:
    """Return why this cannot be served, nothing if it can: `key: value, reason; remedy`."""
    return _refused_clients(tls) or _refused_choice(tls)


def _refused_clients(tls: Tls) -> str:
    auth = tls.client_auth.value
    if tls.client_ca and tls.client_auth is ClientAuth.NONE:
        return f"client_auth_type: {auth} verifies nothing; drop {tls.client_ca.name}, or write another type"
    if tls.allowed_sans is not None and tls.client_auth is not ClientAuth.REQUIRED:
        return f"client_allowed_sans: need client_auth_type RequireAndVerifyClientCert, not {auth}"
    if tls.client_auth is ClientAuth.REQUIRED and tls.client_ca is None and tls.allowed_sans is None:
        said = f"is needed for client_auth_type {auth}"
        return f"client_ca_file: {said}, or everybody with a public certificate would be let in; name one"
    if tls.allowed_sans is not None and not tls.allowed_sans:
        return "client_allowed_sans: [] lets nobody in; name somebody, or remove the key"
    return ""


def _refused_choice(tls: Tls) -> str:
    if VERSIONS[tls.minimum] > VERSIONS[tls.maximum]:
        return f"min_version: {tls.minimum} is above max_version {tls.maximum}; lower it"
    if tls.suites and not _chosen(tls) and tls.maximum == "TLS12":
        return "cipher_suites: all are of TLS13, and max_version is TLS12; name one of TLS12, or raise that"
    if len(tls.curves) > 1 and not hasattr(ssl.SSLContext, "set_groups"):
        said = "this Python can set one curve, not several; name one, or remove the key"
        return f"curve_preferences: [{', '.join(tls.curves)}]: {said}"
    return ""


def _chosen(tls: Tls) -> list[str]:
    return [SUITES[name] for name in tls.suites if SUITES[name]]


def context_of(tls: Tls) -> ssl.SSLContext:
    """Return a context of this reading alone; raises ValueError that names key, value and remedy.

    One that is filled again would keep every authority that it ever trusted.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load_pair(context, tls)
    _load_authorities(context, tls)
    context.options |= ssl.OP_NO_RENEGOTIATION  # dear to us and cheap for a client, who never needs it
    context.verify_mode = tls.client_auth.mode
    context.minimum_version, context.maximum_version = VERSIONS[tls.minimum], VERSIONS[tls.maximum]
    if not tls.prefers_own_order:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    _choose(context, tls)
    return context


def _load_pair(context: ssl.SSLContext, tls: Tls) -> None:
    with _as_file(tls.certificate.read()) as certificate, _as_file(tls.key.read()) as key:
        try:
            context.load_cert_chain(certificate, key, password=_no_passphrase(tls.key))
        except OSError as error:
            said = one_line(getattr(error, "reason", None) or str(error))
            remedy = f"give a certificate and a {tls.key.name} in PEM that belong together"
            raise ValueError(f"{tls.certificate.what} cannot be used: {said}; {remedy}") from None


def _load_authorities(context: ssl.SSLContext, tls: Tls) -> None:
    if tls.client_ca is None:
        if tls.client_auth.mode is not ssl.CERT_NONE:
            # As the toolkit does: whom an authority of this machine vouches for is verified.
            context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
        return
    with _as_file(tls.client_ca.read()) as authorities:
        try:
            context.load_verify_locations(authorities)
        except OSError as error:
            said = one_line(getattr(error, "reason", None) or str(error))
            remedy = "give certificates of authorities in PEM"
            raise ValueError(f"{tls.client_ca.what} cannot be used: {said}; {remedy}") from None


def _choose(context: ssl.SSLContext, tls: Tls) -> None:
    """Set ciphers and curves; raises ValueError where this OpenSSL has none of them."""
    chosen = _chosen(tls)
    try:
        if chosen:
            context.set_ciphers(":".join(chosen))
        elif tls.suites:
            context.minimum_version = ssl.TLSVersion.TLSv1_3  # none was named for TLS 1.2
    except ssl.SSLError:
        shown = ", ".join(tls.suites)
        raise ValueError(
            f"tls_server_config.cipher_suites: [{shown}]: this OpenSSL has none of them; name others"
        ) from None
    curves = [CURVES[name] for name in tls.curves]
    try:
        if len(curves) == 1:
            context.set_ecdh_curve(curves[0])
        elif curves:
            context.set_groups(":".join(curves))  # type: ignore[attr-defined]  # of Python 3.15
    except (ValueError, ssl.SSLError):
        shown = ", ".join(tls.curves)
        raise ValueError(
            f"tls_server_config.curve_preferences: [{shown}]: this OpenSSL cannot; remove the key"
        ) from None


def admitted(tls: Tls, certificate: Mapping[str, Any] | None) -> bool:
    """Say whether a client may come in; `certificate` is what `getpeercert` returns of a verified one."""
    if tls.client_auth is not ClientAuth.REQUIRED:
        return True
    if not certificate:
        return False
    if tls.allowed_sans is None:
        return True
    return not tls.allowed_sans.isdisjoint(_names(certificate))


def _names(certificate: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of a client as people write them: OpenSSL has its own way with IPv6 addresses."""
    for kind, value in certificate.get("subjectAltName", ()):
        if kind == "IP Address":
            with suppress(ValueError):
                yield str(ipaddress.ip_address(value.strip()))
        elif kind in {"DNS", "email", "URI"}:
            yield value


def _no_passphrase(key: Pem) -> Callable[[], str]:
    """Instead of OpenSSL's own question on the terminal, at which a server would wait for ever."""

    def refuse() -> str:
        raise ValueError(f"{key.what} is encrypted; give a key without a passphrase")

    return refuse


@contextmanager
def _as_file(text: str) -> Iterator[str]:
    """Give the ssl module a file, which is all that it reads from; it is in memory where that can be."""
    data = text.encode("latin-1", "replace")
    if hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir():
        with open(os.memfd_create("pem"), "wb", buffering=0) as file:  # noqa: PTH123  # a descriptor has no path
            file.write(data)
            yield f"/proc/self/fd/{file.fileno()}"
    else:
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            yield file.name
