"""Whether a tree of settings has the shape of the models: right keys, sections where sections are meant.

Each source is looked at by itself and before any value is read, so that no source hides what is wrong
in another, and a mistyped key is told as such and not as one that is missing.
"""

from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from exporter.config import Settings
from exporter.settings.fields import listed
from exporter.settings.nearest import close
from exporter.settings.origin import Origin
from exporter.settings.rows import (
    Place,
    has_word,
    is_list,
    is_mapping,
    item,
    names_of,
    section,
    settings_rows,
)
from exporter.yandex.secrets import one_line, redact

ALIASES = {
    "url": "endpoint", "rps": "requests_per_second", "port": "listen_address", "name": "alias",
    "key_file": "service_account_key_file", "sa_key_file": "service_account_key_file",
    "path": "file", "token": "iam_token_file", "token_file": "iam_token_file",
}  # fmt: skip
"""Other words for keys, each taken only where that key can stand."""


@dataclass(slots=True)
class Shaped:
    """The part of a source that has the right shape, and a line for each thing that has not."""

    origin: Origin
    tree: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def refuse(self, place: Place, message: str) -> None:
        """Note what is wrong with a place."""
        key = one_line(redact(names_of(place)), 120)
        self.problems.append(f"{self.origin.where(place)}: {key}: {message}")


def shaped(origin: Origin) -> Shaped:
    """Return what of a source can be merged with others."""
    result = Shaped(origin)
    result.tree = _section(result, Settings, origin.tree, ())
    return result


def _section(result: Shaped, model: type[BaseModel], tree: dict[Any, Any], place: Place) -> dict[str, Any]:
    good = {}
    for key, value in tree.items():
        here = (*place, key if isinstance(key, str) else _word(key))
        if not isinstance(key, str) or key not in model.model_fields:
            result.refuse(here, f"unknown key; {_meant(_word(key), model, place)}")
            continue
        kept, keep = _value(result, model, key, value, here)
        if keep:
            good[key] = kept
    return good


def _value(result: Shaped, model: type[BaseModel], key: str, value: Any, place: Place) -> tuple[Any, bool]:
    """Return what of a value is kept, and whether any of it is."""
    declared = model.model_fields[key]
    nested, items = section(declared), item(declared)
    if nested is not None and isinstance(value, dict):
        return _section(result, nested, value, place), True
    if nested is not None and not has_word(declared):
        # `api:` with nothing below it is a section without keys.
        if value is not None:
            result.refuse(place, "must be a mapping of keys to values")
        return None, False
    if value is None:
        if not (is_list(declared) or is_mapping(declared)):
            result.refuse(place, _nothing(result, place))
        return None, False
    if is_list(declared):
        return _items(result, items, value, place), True
    return (_free(result, value, place) if is_mapping(declared) else value), True


def _free(result: Shaped, tree: Any, place: Place) -> Any:
    """Return a mapping of free keys without those that have no value."""
    if not isinstance(tree, dict):
        return tree  # left to its own check
    for key, value in tree.items():
        if value is None:
            here = (*place, _word(key))
            result.refuse(here, _nothing(result, here))
    return {key: value for key, value in tree.items() if value is not None}


def _items(result: Shaped, model: type[BaseModel] | None, value: Any, place: Place) -> Any:
    """Return the items of a list, those that are sections with the right keys only."""
    try:
        items = listed(value)
    except ValueError:
        return value  # told when the value is checked
    good = []
    for index, each in enumerate(items):
        here = (*place, index)
        if each is None:
            result.refuse(here, _nothing(result, here))
        good.append(_section(result, model, each, here) if model and isinstance(each, dict) else each)
    return good


def _word(key: object) -> str:
    """Return a key as YAML writes it."""
    if key is None:
        return "null"
    return str(key).lower() if isinstance(key, bool) else str(key)


def _nothing(result: Shaped, place: Place) -> str:
    """Return what to do about a value that is not there."""
    written = result.origin.written(place)
    if not written:
        return "is empty; remove the line or give a value"
    return f'{written}: is nothing to YAML; remove it, or quote it if the word is meant: "{written}"'


def _meant(key: str, model: type[BaseModel], place: Place) -> str:
    """Return a hint at the key that was meant, of this section only."""
    whole = [*(str(part) for part in place), *key.split(".")]
    if "." in key and (".".join(whole) in {row.key for row in settings_rows()}):
        first, *levels, last = key.split(".")
        inside = f"{{{last}: ...}}"
        for level in reversed(levels):
            inside = f"{{{level}: {inside}}}"
        return f"nest it: {first}: {inside}"
    near = close(key, model.model_fields, ALIASES)
    if near is not None:
        return f"did you mean {names_of((*place, near))}?"
    return f"known {f'in {names_of(place)}' if place else 'here'} are {', '.join(model.model_fields)}"
