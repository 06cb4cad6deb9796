"""What must not be shown: text for people, cleaned of secrets and of control characters."""

import base64
import re
import string
from urllib.parse import quote

MASK = "<secret>"
_SHORTEST = 4  # what is shorter is no secret, and hiding it would tear every message to pieces
_LONG = 24  # of what is longer, half of this much, from its beginning or its end, is enough to be hidden

_SHAPES = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)"  # PEM
    r"|(?<![A-Za-z0-9])eyJ[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_=-]*){0,4}"  # JWT
    r"|(?<![A-Za-z0-9])t1\.[A-Za-z0-9_=.-]{8,}"  # IAM token
    r"|(?<![A-Za-z0-9])y[0-3]_[A-Za-z0-9_-]{8,}"  # OAuth token
    r"|(?<![A-Za-z0-9])AQVN[A-Za-z0-9_-]{8,}"  # API key
    r"|(?<=://)[^\s/@\"'<>]+(?=@)"  # user and password in a URL
    r"|(?<![A-Za-z0-9])\$2[abxy]\$[0-9]{2}\$[./A-Za-z0-9]{8,}",  # bcrypt
    re.DOTALL,
)
_BEARER = re.compile(r"\b(bearer|api-key)(\s+)[^\s\"',;]+", re.IGNORECASE)
# A word of small letters is a word, as in "basic authentication".
_BASIC = re.compile(r"\b((?i:basic)\s+)(?=[a-z]*[A-Z0-9+/=])[A-Za-z0-9+/_-]{4,}={0,2}")
_WORD = re.compile(r"[^\s\"',;]+")
_SMALL = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)  # `lower` may change the length


def redact(text: str, *known: str) -> str:
    """Return the text with every secret replaced by `<secret>`.

    `known` are values that are secret whatever they look like; IAM and OAuth tokens, API keys, JWTs, PEM
    private keys, bcrypt hashes and the user and password of a URL are found by their shape.
    """
    values = {form for value in known if len(value) >= _SHORTEST for form in _forms(value)}
    # The longest first: a secret that begins with another one must not leave its tail.
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, MASK)
        if len(value) >= _LONG:
            text = _without_parts(
                text, value[: _LONG // 2].translate(_SMALL), value[-_LONG // 2 :].translate(_SMALL)
            )
    text = _SHAPES.sub(MASK, text)
    text = _BASIC.sub(rf"\1{MASK}", text)
    return _BEARER.sub(rf"\1\2{MASK}", text)


def _forms(value: str) -> tuple[str, str, str]:
    """Return a secret as it is, as a URL has it, and as a header has it."""
    return value, quote(value, safe=""), base64.b64encode(value.encode()).decode().rstrip("=")


def _without_parts(text: str, head: str, tail: str) -> str:
    """Hide a secret that was cut short, or is in capitals: it is still too much of it."""
    lowered = text.translate(_SMALL)
    if head not in lowered and tail not in lowered:
        return text

    def hidden(word: re.Match[str]) -> str:
        whole, small = word[0], word[0].translate(_SMALL)
        begin, end = small.find(head), small.rfind(tail)
        if begin >= 0:
            return whole[:begin] + MASK
        return whole if end < 0 else MASK + whole[end + len(tail) :]

    return _WORD.sub(hidden, text)


def one_line(text: str, limit: int = 200) -> str:
    """Return the text as one printable line of at most `limit` characters."""
    head = text[: limit + 1]
    line = head if head.isprintable() else "".join(c if c.isprintable() else _escape(c) for c in head)
    return line if len(line) <= limit else line[: max(0, limit - 1)] + "…"


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
