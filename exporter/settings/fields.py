"""What a value of a setting may be: checks whose messages name the remedy, and the types made of them."""

import json
import os
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, SecretStr

from exporter.settings import addresses, units
from exporter.settings.refusal import Refused
from exporter.yandex.models import ID_PATTERN
from exporter.yandex.secrets import MASK, redact

LABEL_KEY = re.compile(r"[a-z][-_./\\@0-9a-z]{0,62}")
SWITCH_WORDS = {
    "true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False,
}  # fmt: skip
"""How people say yes and no, in any case."""
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]{1,18}\.?[0-9]{0,18}|\.[0-9]{1,18})(?:[eE][+-]?[0-9]{1,3})?")
_JSON_LIST = re.compile(r"\[\s*[\"{\]]")


def text(test: Callable[[str], bool], remedy: str) -> BeforeValidator:
    """Take text that passes a test; what YAML reads as something else is to be quoted."""

    def check(value: Any) -> str:
        for kind, types in (
            ("true or false", bool), ("a number", int | float), ("a date", date), ("nothing", type(None)),
        ):  # fmt: skip
            if isinstance(value, types):
                raise Refused(f"is {kind}, not text; quote it", quote=True)
        if not isinstance(value, str) or not test(value):
            raise Refused(remedy)
        return value

    return BeforeValidator(check)


def listed(value: object) -> list[Any]:
    """Take `a,b`, `a b` and JSON lists from flags and variables, and one value where a list is meant."""
    if isinstance(value, str):
        if value.lstrip().startswith("["):
            try:
                return list(json.loads(value))
            except (ValueError, RecursionError):
                # An address like [::1]:10317 begins like a list.
                if _JSON_LIST.match(value.lstrip()):
                    raise Refused('not a JSON list; write it like a,b or ["a", "b"]') from None
        parts = [part for part in re.split(r"[,\s]+", value) if part]
        if redact(value).count(MASK) > sum(redact(part).count(MASK) for part in parts):
            # The words of a key, one by one, look like nothing that has to be hidden.
            raise Refused("holds a secret; give IDs or names, as a,b", shown=False)
        return parts
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def identified(value: object) -> object:
    """Take a bare ID where an object with an `id` is meant."""
    return value if isinstance(value, dict) else {"id": value}


def one_of_each(key: Callable[[Any], str], *, mergeable: bool) -> AfterValidator:
    """Take each item once: of those that are mergeable the fuller one, if no two differ in what they say."""

    def check(items: tuple[Any, ...]) -> tuple[Any, ...]:
        kept: dict[str, Any] = {}
        for index, item in enumerate(items):
            name = key(item)
            before = kept.setdefault(name, item)
            if before is item:
                continue
            if not mergeable:
                raise Refused("is given twice; keep one", item=index)
            bare = type(item)(id=name)
            if before not in (bare, item) and item != bare:
                raise Refused(f"{name!r} is given twice, with different words; keep one", item=index)
            kept[name] = item if before == bare else before
        return tuple(kept.values())

    return AfterValidator(check)


@AfterValidator
def filled(items: tuple[Any, ...]) -> tuple[Any, ...]:
    """Refuse a list without anything in it."""
    if not items:
        raise Refused("is empty; give at least one")
    return items


def whole(low: int, high: int) -> BeforeValidator:
    """Take a whole number between two bounds, both included."""

    def check(value: object) -> int:
        found: float | None = None
        if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
            found = int(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found = value
        if found is None or not low <= found <= high or found != int(found):
            raise Refused(f"must be a whole number from {low} to {high}")
        return int(found)

    return BeforeValidator(check)


def decimal(low: float, high: float) -> BeforeValidator:
    """Take a number between two bounds, both included."""

    def check(value: object) -> float:
        found: float | None = None
        if isinstance(value, str) and _DECIMAL.fullmatch(value.strip()):
            found = float(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found = value
        if found is None or not low <= found <= high:
            raise Refused(f"must be a number from {low:g} to {high:.0f}")
        return float(found)

    return BeforeValidator(check)


def switched(value: object) -> object:
    """Return the yes or no of a word; anything else stays as it is."""
    word = str(value).strip().lower() if isinstance(value, str) or value in (0, 1) else ""
    return SWITCH_WORDS.get(word, value)


def _switch(value: object) -> bool:
    found = switched(value)
    if not isinstance(found, bool):
        raise Refused("must be true or false")
    return found


def metadata_choice(value: object) -> object:
    """Return the section that a word stands for: yes, no or a URL; False is "not given"."""
    value = switched(value)
    if isinstance(value, dict):
        return value
    if isinstance(value, bool):
        return {} if value else False
    if isinstance(value, str) and "://" in value:
        return {"endpoint": value}
    raise Refused(f"must be true, false, or a URL like {addresses.METADATA}", shown=False)


def metadata_section(value: object) -> object:
    """Take what `metadata_choice` takes, and nothing for "not given"."""
    choice = None if value is None else metadata_choice(value)
    return None if choice is False else choice


def chosen(*words: str, **also: str) -> BeforeValidator:
    """Take one of some words, in any case; `also` are other words for them."""

    def check(value: object) -> str:
        word = value.strip().lower() if isinstance(value, str) else ""
        word = also.get(word, word)
        if word not in words:
            raise Refused(f"must be {', '.join(words[:-1])} or {words[-1]}")
        return word

    return BeforeValidator(check)


def _path(value: object) -> str:
    """Take the name of a file; a leading ~ is the home of the user."""
    name = str(value) if isinstance(value, str | Path) else None
    if name is None or "\0" in name:
        raise Refused("must be the name of a file")
    if not name.strip():
        raise Refused("is empty; give the name of a file", shown=False)
    if "://" in name:
        raise Refused("is an address; give the name of a file", shown=False)
    if is_content(name):
        what = "key" if name.lstrip().startswith("{") else "secret"
        raise Refused(f"holds the {what} itself; give the name of a file", shown=False)
    return home(name)


def is_content(name: str) -> bool:
    """Whether what should be the name of a file is what the file should hold, or an address of it."""
    # A key may follow a comment in a line of its own; as a path an address loses a slash, and its look.
    return "\n" in name.strip() or "://" in name or redact(name.lstrip()).startswith(("{", MASK))


def home(name: str) -> str:
    """Return a path with a leading ~ made the home of the user."""
    return os.path.expanduser(name)  # noqa: PTH111  # Path.expanduser raises for users that do not exist


def _secret(value: object) -> str:
    token = value.get_secret_value() if isinstance(value, SecretStr) else value
    token = token.strip() if isinstance(token, str) else ""
    if token == MASK:
        raise Refused("is what /config shows in the place of a token; give the token itself", shown=False)
    if not re.fullmatch(r"[!-~]+", token):
        raise Refused("must be an IAM token; get one with `yc iam create-token`", shown=False)
    if token.startswith("y0_"):
        raise Refused("is an OAuth token, not an IAM token; get one with `yc iam create-token`", shown=False)
    return token


def _duration(value: object) -> float:
    seconds = units.duration(value)
    if seconds < units.DURATION_UNITS["ms"]:
        raise Refused("must be at least 1ms")
    return seconds


def _size(value: object) -> int:
    number = units.size(value)
    if number < 1:
        raise Refused("must be at least 1 byte")
    return number


Duration = Annotated[float, BeforeValidator(_duration), PlainSerializer(units.duration_text)]
Offset = Annotated[float, BeforeValidator(units.duration), PlainSerializer(units.duration_text)]
Size = Annotated[int, BeforeValidator(_size), PlainSerializer(units.size_text)]
Switch = Annotated[bool, BeforeValidator(_switch)]
FileName = Annotated[Path, BeforeValidator(_path)]
Endpoint = Annotated[str, BeforeValidator(addresses.endpoint)]
MetadataEndpoint = Annotated[str, BeforeValidator(addresses.metadata_endpoint)]
Address = Annotated[str, BeforeValidator(addresses.listening)]
Id = Annotated[str, text(lambda v: bool(ID_PATTERN.fullmatch(v)), "not an ID: 1 to 128 of A-Z a-z 0-9 _ -")]
Text = Annotated[
    str, text(lambda v: v.isprintable() and len(v) <= 128, "must be at most 128 printable characters")
]
LabelKey = Annotated[
    str,
    text(
        lambda v: bool(LABEL_KEY.fullmatch(v)),
        r"not a label key: a lower-case letter, then at most 62 of a-z 0-9 - _ . / \ @",
    ),
]
Token = Annotated[SecretStr, BeforeValidator(_secret)]
Globs = Annotated[tuple[Text, ...], BeforeValidator(listed)]
