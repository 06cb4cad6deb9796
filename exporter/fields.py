"""What a value of a setting may be: checks whose messages name the remedy, and the types made of them."""

import ipaddress
import json
import re
from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BeforeValidator, PlainSerializer, SecretStr

from exporter import units

ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
LABEL_KEY = re.compile(r"[a-z][-_./\\@0-9a-z]{0,62}")


def passes(test: Callable[[Any], bool], remedy: str) -> BeforeValidator:
    """Refuse a value that does not pass a test, with the remedy as the message."""

    def check(value: Any) -> Any:
        if not test(value):
            raise ValueError(remedy)
        return value

    return BeforeValidator(check)


def _positive(parse: Callable[[object], float]) -> Callable[[object], float]:
    def checked(value: object) -> float:
        number = parse(value)
        if number <= 0:
            raise ValueError("must be greater than 0")
        return number

    return checked


def listed(value: object) -> object:
    """Take `a,b` and JSON lists from flags and variables, and one value where a list is meant."""
    if isinstance(value, str):
        if value.lstrip().startswith("["):
            try:
                return json.loads(value)
            except ValueError:
                raise ValueError("not a JSON list") from None
        return [part.strip() for part in value.split(",") if part.strip()]
    if value is None:
        return []
    if not isinstance(value, list | tuple):
        raise ValueError("must be a list")  # noqa: TRY004  # pydantic reports ValueError
    return value


def identified(value: object) -> object:
    """Take a bare ID where an object with an `id` is meant."""
    if isinstance(value, int | float):
        raise ValueError('is a number to YAML; quote it, as "123"')  # noqa: TRY004  # pydantic reports ValueError
    return {"id": value} if isinstance(value, str) else value


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _link_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_link_local
    except ValueError:
        return False


def _url(value: object, *, plain: Callable[[str], bool]) -> str:
    try:
        parts = urlsplit(value if isinstance(value, str) else "")
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError("not a URL; write it like https://host") from None
    if parts.scheme not in {"http", "https"} or not host or not str(value).isascii():
        raise ValueError("not a base URL; write it like https://host")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("a base URL has no user, password, query or fragment")
    if parts.scheme == "http" and not plain(host):
        raise ValueError("must be https: a token must not travel in the clear (http is for loopback only)")
    return str(value).rstrip("/")


def _endpoint(value: object) -> str:
    return _url(value, plain=_loopback)


def metadata_url(value: object) -> str:
    """Take https, and http on loopback and link-local addresses."""
    return _url(value, plain=lambda host: _loopback(host) or _link_local(host))


def address(value: object) -> str:
    """Take `:port`, `host:port` and `[address]:port`."""
    text = value if isinstance(value, str) else ""
    match = re.fullmatch(r"([A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})", text)
    if match is None or int(match[2]) > 65535:
        raise ValueError("not an address; write it like :10317, 127.0.0.1:10317 or [::1]:10317")
    return text


def metadata_choice(value: object) -> object:
    """Take true, false, a URL, or an object."""
    if isinstance(value, str):
        value = {"true": True, "false": False}.get(value.lower(), {"endpoint": value})
    if isinstance(value, bool):
        return {} if value else None
    return value


def number(value: object) -> object:
    """Refuse true and false, which Python takes for 1 and 0."""
    if isinstance(value, bool):
        raise ValueError("must be a number")  # noqa: TRY004  # pydantic reports ValueError
    return value


def _secret(value: object) -> object:
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not isinstance(text, str) or not text.strip() or not text.strip().isascii():
        raise ValueError("must be an IAM token; get one with `yc iam create-token`")
    if text.strip().startswith("y0_"):
        raise ValueError("is an OAuth token, not an IAM token; get one with `yc iam create-token`")
    return text.strip()


Duration = Annotated[float, BeforeValidator(_positive(units.duration)), PlainSerializer(units.duration_text)]
Offset = Annotated[float, BeforeValidator(units.duration), PlainSerializer(units.duration_text)]
Size = Annotated[int, BeforeValidator(_positive(units.size)), PlainSerializer(units.size_text)]
Endpoint = Annotated[str, BeforeValidator(_endpoint)]
Id = Annotated[
    str,
    passes(lambda v: isinstance(v, str) and bool(ID.fullmatch(v)), "not an ID: 1 to 128 of A-Z a-z 0-9 _ -"),
]
Text = Annotated[
    str,
    passes(
        lambda v: isinstance(v, str) and v.isprintable() and len(v) <= 128, "at most 128 printable characters"
    ),
]
Token = Annotated[SecretStr, BeforeValidator(_secret)]
Count = Annotated[int, BeforeValidator(number)]
Globs = Annotated[tuple[Text, ...], BeforeValidator(listed)]
