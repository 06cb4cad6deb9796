"""The settings as rows, each with all its names, and as sections, read from the models that declare them."""

import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from exporter.config import Settings
from exporter.settings.fields import metadata_choice

PREFIX = "YC_WORKFLOW_"
CONFIG_KEY = "config.file"
CONFIG_FLAG = "--config.file"
CONFIG_VARIABLE = "YC_WORKFLOW_CONFIG__FILE"
FLAGS = {
    "executions": "--execution",
    "workflows": "--workflow",
    "folders": "--folder",
    "web.config_file": "--web.config.file",
}
"""The flags that do not have the name of their key."""
SECRETS = {"auth.iam_token"}

Place = tuple[str | int, ...]
"""Where a value stands in a tree of settings: keys and indexes from the root."""
Kind = Literal["list", "switch", "value"]


@dataclass(frozen=True, slots=True)
class SettingRow:
    """A setting and all its names; `flag` is empty for secrets, `choices` for what takes any word."""

    key: str
    flag: str
    variable: str
    default: str
    description: str
    kind: Kind
    path: bool
    choices: tuple[str, ...]


@cache
def settings_rows() -> tuple[SettingRow, ...]:
    """Return every setting, in the order of its declaration; what is declared does not change."""
    plain = Settings.model_construct().model_dump(mode="json")
    return tuple(_row(key, field, plain) for key, field in _leaves(Settings, ""))


def _leaves(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        nested = section(field)
        if nested is None or has_word(field):
            yield prefix + name, field
        if nested is not None:
            yield from _leaves(nested, f"{prefix}{name}.")


def section(field: FieldInfo) -> type[BaseModel] | None:
    """Return the model of a field that is a section."""
    return next((kind for kind in _kinds(field.annotation) if issubclass(kind, BaseModel)), None)


def has_word(field: FieldInfo) -> bool:
    """Whether a single word may stand for a section, as `true` for the metadata service."""
    return section(field) is not None and bool(field.metadata)


def item(field: FieldInfo) -> type[BaseModel] | None:
    """Return the model of the items of a field that is a list of sections."""
    if not is_list(field):
        return None
    inner = get_args(field.annotation)[0]
    return next((kind for kind in _kinds(inner) if issubclass(kind, BaseModel)), None)


def is_list(field: FieldInfo) -> bool:
    """Whether a field is a list."""
    return get_origin(field.annotation) is tuple


def is_mapping(field: FieldInfo) -> bool:
    """Whether a field is a mapping of free keys."""
    return get_origin(field.annotation) is dict


def _kinds(annotation: Any) -> list[type]:
    """Return the classes of an annotation, whatever it is wrapped in."""
    if get_origin(annotation) in {typing.Union, types.UnionType}:
        return [kind for option in get_args(annotation) for kind in _kinds(option)]
    if get_origin(annotation) is typing.Annotated:
        return _kinds(get_args(annotation)[0])
    return [annotation] if isinstance(annotation, type) else []


def _row(key: str, field: FieldInfo, plain: dict[str, Any]) -> SettingRow:
    classes = _kinds(field.annotation)
    kind: Kind = (
        "list" if is_list(field) else
        "switch" if bool in classes or has_word(field) else
        "value"
    )  # fmt: skip
    return SettingRow(
        key,
        "" if key in SECRETS else FLAGS.get(key, "--" + key.replace("_", "-")),
        PREFIX + key.upper().replace(".", "__"),
        "" if has_word(field) or field.is_required() else _default_text(key, field.default, plain),
        field.description or "",
        kind,
        Path in classes,
        get_args(field.annotation) if get_origin(field.annotation) is Literal else (),
    )


def _default_text(key: str, default: Any, plain: Any) -> str:
    """Return a default as people write it; `plain` has those of sections that are there by default."""
    if default is None or default == ():
        return ""
    value = plain
    for name in key.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    value = default if value is None else value
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, list) else str(value)


def names_of(place: Place) -> str:
    """Return a place with dots."""
    return ".".join(str(part) for part in place)


def grown(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tree of values by their keys; below a switch that is off nothing grows."""
    order = [CONFIG_KEY, *(row.key for row in settings_rows())]
    tree: dict[str, Any] = {}
    for key in sorted(values, key=order.index):
        *levels, name = key.split(".")
        at: Any = tree
        for level in levels:
            if not isinstance(at, dict):
                break
            at[level] = _word(at.get(level, {}))
            at = at[level]
        if isinstance(at, dict):
            at[name] = values[key]
    return tree


def settled(tree: dict[str, Any]) -> dict[str, Any]:
    """Return a tree in which the section that a word stands for is a section, or False for "not given"."""
    auth = tree.get("auth")
    if not isinstance(auth, dict) or "metadata" not in auth:
        return tree
    return {**tree, "auth": {**auth, "metadata": _word(auth["metadata"])}}


def _word(value: Any) -> Any:
    try:
        return metadata_choice(value)
    except ValueError:  # told when the value is checked, with the source it came from
        return value
