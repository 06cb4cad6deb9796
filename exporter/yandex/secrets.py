"""What must not be shown: text for people, cleaned of secrets and of control characters."""

import re
from urllib.parse import quote

MASK = "<secret>"
_SHORTEST = 4  # what is shorter is no secret, and hiding it would tear every message to pieces
_LONG = 24  # of what is longer, half of this much is enough to be hidden

_SHAPES = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)"  # PEM
    r"|(?<![A-Za-z0-9])eyJ[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_=-]*){0,4}"  # JWT
    r"|(?<![A-Za-z0-9])t1\.[A-Za-z0-9_=.-]{8,}"  # IAM token
    r"|(?<![A-Za-z0-9])y[0-3]_[A-Za-z0-9_-]{8,}"  # OAuth token
    r"|(?<![A-Za-z0-9])AQVN[A-Za-z0-9_-]{8,}",  # API key
    re.DOTALL,
)
_BEARER = re.compile(r"\b(bearer|api-key)(\s+)[^\s\"',;]+", re.IGNORECASE)


def redact(text: str, *known: str) -> str:
    """Return the text with every secret replaced by `<secret>`.

    `known` are values that are secret whatever they look like; IAM and OAuth tokens, API keys, JWTs
    and PEM private keys are found by their shape.
    """
    values = {form for value in known if len(value) >= _SHORTEST for form in (value, quote(value, safe=""))}
    # The longest first: a secret that begins with another one must not leave its tail.
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, MASK)
        if len(value) >= _LONG:
            # Cut short or in capitals it is still too much of it.
            text = re.sub(re.escape(value[: _LONG // 2]) + r"[^\s\"',;]*", MASK, text, flags=re.IGNORECASE)
    text = _SHAPES.sub(MASK, text)
    return _BEARER.sub(rf"\1\2{MASK}", text)


def one_line(text: str, limit: int = 200) -> str:
    """Return the text as one printable line of at most `limit` characters."""
    head = text[: limit + 1]
    line = head if head.isprintable() else "".join(c if c.isprintable() else _escape(c) for c in head)
    return line if len(line) <= limit else line[: max(0, limit - 1)] + "…"


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
