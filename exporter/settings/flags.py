"""The flags of the settings: what each takes, and how a shell completes it."""

import argparse
from typing import Any

import shtab

from exporter.settings.fields import listed
from exporter.settings.nearest import nearest
from exporter.settings.precedence import load
from exporter.settings.rows import CONFIG_FLAG, CONFIG_KEY, CONFIG_VARIABLE, SettingRow, grown, settings_rows

__all__ = ["SettingRow", "add_flags", "load", "nearest", "overrides", "settings_rows"]


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Give a parser a flag for every setting; what is not given leaves no trace."""
    group = parser.add_argument_group("settings", "each is also a variable and a key of the YAML file")
    _completed(
        group.add_argument(
            CONFIG_FLAG, dest=CONFIG_KEY, metavar="FILE", default=argparse.SUPPRESS,
            help=f"the YAML file ({CONFIG_VARIABLE})",
        ),
        shtab.FILE,
    )  # fmt: skip
    for row in settings_rows():
        if row.flag:
            _add_flag(group, row)


def _add_flag(group: argparse._ArgumentGroup, row: SettingRow) -> None:
    default = f"; default {row.default}" if row.default else ""
    text = f"{row.description} ({row.variable}{default})".replace("%", "%%")
    common: dict[str, Any] = {"dest": row.key, "default": argparse.SUPPRESS}
    if row.kind == "switch":
        switch = group.add_argument(row.flag, nargs="?", const="true", metavar="BOOL", help=text, **common)
        _completed(switch, shtab.cmd("echo true false"))
        no = f"--no-{row.flag.removeprefix('--')}"
        group.add_argument(
            no, action="store_const", const="false", help=f"the opposite of {row.flag}", **common
        )
        return
    many: dict[str, Any] = {"action": "append"} if row.kind == "list" else {}
    action = group.add_argument(
        row.flag, metavar="FILE" if row.path else "VALUE", help=text, **many, **common
    )
    if row.path:
        _completed(action, shtab.FILE)
    if row.choices:
        _completed(action, shtab.cmd(f"echo {' '.join(row.choices)}"))


def _completed(action: argparse.Action, how: object) -> None:
    """Say how a shell completes the value of a flag; shtab reads it from the action."""
    action.complete = how  # type: ignore[attr-defined]


def overrides(namespace: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that were given as flags, nested; the file's name is `config.file`."""
    known = {CONFIG_KEY, *(row.key for row in settings_rows())}
    given = {key: value for key, value in vars(namespace).items() if key in known}
    return grown({k: _parts(v) if isinstance(v, list) else v for k, v in given.items()})


def _parts(values: list[str]) -> list[Any]:
    """Return the items of a flag that is given many times; an empty one stays, to be refused."""
    found: list[Any] = []
    for value in values:
        items = _items(value)
        found.extend(items if isinstance(items, list) and (items or value.strip()) else [value])
    return found


def _items(value: str) -> object:
    try:
        return listed(value)
    except ValueError:
        return value
