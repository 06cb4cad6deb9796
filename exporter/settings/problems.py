"""What is wrong with a value, as one line for a person: its source, its key, the value, the remedy."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from pydantic import ValidationError

from exporter.settings.origin import Origin
from exporter.settings.refusal import Refused
from exporter.settings.rows import SECRETS, Place, names_of
from exporter.yandex.secrets import one_line, redact

Owners = Mapping[Place, Origin]
"""Which source each value of a merged tree came from."""
_MESSAGES = {
    "missing": "is missing; set it",
    "extra_forbidden": "unknown key; remove it",
    "model_type": "must be a mapping of keys to values",
    "dict_type": "must be a mapping of keys to values",
}
"""Words for people in place of pydantic's."""
_KEY = ("[key]",)
"""How pydantic ends the place of what is wrong with a key."""


def lines(
    error: ValidationError, merged: Mapping[str, Any], owners: Owners, told: Sequence[str]
) -> list[str]:
    """Return a line for each thing that is wrong and not told yet, what is missing last."""
    found = sorted(error.errors(include_url=False), key=lambda each: each["type"] == "missing")
    old = {": ".join(line.split(": ", 2)[:2]) for line in told}
    fresh: dict[str, None] = {}
    for each in found:
        place, said = _line(dict(each), merged, owners)
        if place not in old:
            fresh[f"{place}: {said}"] = None
    return list(fresh)


def _line(found: dict[str, Any], merged: Mapping[str, Any], owners: Owners) -> tuple[str, str]:
    """Return the source and the key of a problem, and what is said of them."""
    cause = found.get("ctx", {}).get("error")
    refused = cause if isinstance(cause, Refused) else Refused(
        str(cause) if isinstance(cause, ValueError) else _MESSAGES.get(found["type"], "cannot stand here")
    )  # fmt: skip
    place = _place(found, refused, merged)
    source, written = _where(place, owners)
    of_key = found["loc"][-1:] == _KEY
    value = one_line(redact(str(place[-1])), 80) if of_key else _shown(place, at(merged, place), written)
    message = f'{refused}, as "{value}"' if refused.quote else str(refused)
    key = one_line(redact(names_of(place)), 120)
    said = source.removeprefix("--").replace("-", "_") == key
    return (
        ": ".join(part for part in (source, "" if said else key) if part),
        ": ".join(part for part in (value if refused.shown else "", message) if part),
    )


def _place(found: dict[str, Any], refused: Refused, merged: Mapping[str, Any]) -> Place:
    """Return the place of a problem in the merged tree."""
    place: Place = found["loc"][:-1] if found["loc"][-1:] == _KEY else found["loc"]
    if refused.item is not None:
        return (*place, refused.item)
    bare = place[-1:] == ("id",) and not isinstance(at(merged, place[:-1]), dict)
    return place[:-1] if bare else place  # a bare ID in place of {id: ...}


def _where(place: Place, owners: Owners) -> tuple[str, str | None]:
    """Return the source of a place and the word as it was written there.

    For a place that no source gives, it is the source of what is around it.
    """
    for end in range(len(place), 0, -1):
        prefix = place[:end]
        if prefix in owners:
            return owners[prefix].where(place), owners[prefix].written(place)
        below = [origin.where(leaf) for leaf, origin in owners.items() if leaf[:end] == prefix]
        if below:
            return " and ".join(dict.fromkeys(below)), None
    return "", None


def _shown(place: Place, value: Any, written: str | None) -> str:
    """Return the value as it may be shown; empty if it may not."""
    if names_of(place) in SECRETS or isinstance(value, dict | list | tuple | set | None):
        return ""
    if isinstance(value, str):
        # Before repr, which puts a letter of its own before what follows a line break.
        return one_line(redact(repr(redact(value))), 80)
    if written is None:
        written = str(value).lower() if isinstance(value, bool | date) else repr(value)
    return one_line(redact(written), 80)


def at(tree: Any, place: Place) -> Any:
    """Return the value of a place, None if there is none."""
    for part in place:
        if isinstance(tree, Mapping):
            tree = tree.get(part)
        elif isinstance(tree, list | tuple) and isinstance(part, int) and part < len(tree):
            tree = tree[part]
        else:
            return None
    return tree
