"""Where settings come from: flags over variables over the YAML file over the defaults."""

import argparse
import difflib
import re
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from exporter import configfile
from exporter.config import WAYS, ConfigError, Settings
from exporter.yandex.secrets import one_line, redact

PREFIX = "YC_WORKFLOW_"
CONFIG_VARIABLE = "YC_WORKFLOW_CONFIG__FILE"
FLAGS = {
    "executions": "--execution",
    "workflows": "--workflow",
    "folders": "--folder",
    "web.config_file": "--web.config.file",
}
"""The flags that do not have the name of their key."""
FALLBACKS = (
    ("YC_IAM_TOKEN", "iam_token"),
    ("YC_TOKEN", "iam_token"),
    ("YC_SERVICE_ACCOUNT_KEY_FILE", "service_account_key_file"),
)
SECRETS = {"auth.iam_token"}


@dataclass(frozen=True, slots=True)
class SettingRow:
    """A setting and all its names; `flag` is empty for secrets."""

    key: str
    flag: str
    variable: str
    default: str
    description: str
    kind: str


def settings_rows() -> list[SettingRow]:
    """Return every setting, in the order of its declaration."""
    return [_row(key, field, default) for key, field, default in _leaves(Settings, "")]


def _leaves(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, FieldInfo, Any]]:
    for name, field in model.model_fields.items():
        nested = _nested(field.annotation)
        key = prefix + name
        if nested is None or key == "auth.metadata":
            yield key, field, None if field.is_required() else field.default
        if nested is not None:
            yield from _leaves(nested, key + ".")


def _nested(annotation: Any) -> type[BaseModel] | None:
    options = (
        get_args(annotation)
        if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union
        else (annotation,)
    )
    for option in options:
        inner = get_args(option)[0] if typing.get_origin(option) is typing.Annotated else option
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            return inner
    return None


def _row(key: str, field: FieldInfo, default: Any) -> SettingRow:
    flag = FLAGS.get(key, "--" + key.replace("_", "-"))
    kind = "list" if isinstance(default, tuple) else "switch" if isinstance(default, bool) else "value"
    return SettingRow(
        key,
        "" if key in SECRETS else flag,
        PREFIX + key.upper().replace(".", "__"),
        _default_text(key, default),
        field.description or "",
        kind,
    )


def _default_text(key: str, default: Any) -> str:
    if default is None or default == ():
        return ""
    *levels, name = key.split(".")
    plain: Any = Settings.model_construct().model_dump(mode="json")
    for level in levels:
        plain = (plain.get(level) or {}) if isinstance(plain, dict) else {}
    value = plain.get(name, default) if isinstance(plain, dict) else default
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, list) else str(value)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Give a parser a flag for every setting; what is not given leaves no trace."""
    group = parser.add_argument_group("settings", "each is also a variable and a key of the YAML file")
    group.add_argument(
        "--config.file", dest="config.file", metavar="FILE", default=argparse.SUPPRESS,
        help=f"the YAML file ({CONFIG_VARIABLE})",
    )  # fmt: skip
    for row in settings_rows():
        if not row.flag:
            continue
        default = f"; default {row.default}" if row.default else ""
        text = f"{row.description} ({row.variable}{default})".replace("%", "%%")
        common: dict[str, Any] = {"dest": row.key, "default": argparse.SUPPRESS, "help": text}
        if row.kind == "switch":
            group.add_argument(row.flag, action=argparse.BooleanOptionalAction, **common)
        elif row.kind == "list":
            group.add_argument(row.flag, action="append", metavar="VALUE", **common)
        else:
            group.add_argument(row.flag, metavar="VALUE", **common)


def overrides(namespace: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that were given as flags, nested; the file's name is `config.file`."""
    keys = {row.key for row in settings_rows()} | {"config.file"}
    given: dict[str, Any] = {}
    for key, value in vars(namespace).items():
        if key in keys:
            many = isinstance(value, list)
            _put(given, key, [p for v in value for p in v.split(",") if p] if many else value)
    return given


def _put(tree: dict[str, Any], key: str, value: Any) -> None:
    *levels, name = key.split(".")
    for level in levels:
        if not isinstance(tree.get(level), dict):
            tree[level] = {}
        tree = tree[level]
    if not isinstance(tree.get(name), dict):
        tree[name] = value


_SECTIONS = {name for name, field in Settings.model_fields.items() if _nested(field.annotation)}


def load(flags: Mapping[str, Any], environ: Mapping[str, str], *, need_auth: bool = True) -> Settings:
    """Return the settings of these flags, these variables and the YAML file they name.

    Raises ConfigError, which names for each problem the place, the field, the value and the remedy.
    """
    given = {key: value for key, value in flags.items() if key != "config"}
    variables, problems = _variables(environ)
    path = flags.get("config", {}).get("file") or environ.get(CONFIG_VARIABLE)
    file: dict[str, Any] = {}
    if path:
        try:
            tree = configfile.read(Path(path))
            # `api:` with nothing below it is a section without keys.
            file = {k: {} if v is None and k in _SECTIONS else v for k, v in tree.items()}
        except ValueError as error:
            problems.append(f"{path}: {error}")
    if problems:
        raise ConfigError(problems)
    sources = {"flag": given, "variable": variables, str(path): file}
    for where, source in sources.items():
        ways = [way for way in WAYS if _auth(source).get(way) not in (None, False)]
        if len(ways) > 1:
            raise ConfigError([f"{where}: auth: {' and '.join(ways)} are given; exactly one way is wanted"])
    merged = _merged(file, variables, given)
    if not [way for way in WAYS if _auth(merged).get(way) not in (None, False, "")]:
        _fall_back(merged, environ, need_auth=need_auth)
    return _validated(merged, sources)


def _auth(source: Mapping[str, Any]) -> Mapping[str, Any]:
    auth = source.get("auth")
    return auth if isinstance(auth, dict) else {}


def _merged(*lowest_first: Mapping[str, Any]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for source in lowest_first:
        if [way for way in WAYS if _auth(source).get(way) not in (None, False)] and "auth" in merged:
            chosen = set(_auth(source))
            merged["auth"] = {k: v for k, v in _auth(merged).items() if k in chosen or k not in WAYS}
        merged = _over(merged, source)
    return merged


def _over(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    both = dict(low)
    for key, value in high.items():
        below = both.get(key)
        both[key] = _over(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return both


def _fall_back(merged: dict[str, Any], environ: Mapping[str, str], *, need_auth: bool) -> None:
    for variable, way in FALLBACKS:
        if environ.get(variable):
            merged["auth"] = {**_auth(merged), way: environ[variable]}
            return
    if need_auth:
        raise ConfigError(
            ["auth: no credentials; set exactly one of auth.service_account_key_file, auth.metadata, "
             "auth.workload_identity, auth.iam_token_file, or YC_IAM_TOKEN in the environment"]
        )  # fmt: skip


def _variables(environ: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    known = {row.variable: row.key for row in settings_rows()}
    tree: dict[str, Any] = {}
    problems = []
    for name, value in sorted(environ.items()):
        upper = name.upper()
        if not upper.startswith(PREFIX) or upper == CONFIG_VARIABLE or _of_kubernetes(name, value):
            continue
        if upper not in known:
            problems.append(f"{name}: unknown variable{nearest(upper, [*known, CONFIG_VARIABLE])}")
        elif value.strip():
            _put(tree, known[upper], value.strip())
    return tree, problems


_OF_A_SERVICE = re.compile(
    r"YC_WORKFLOW(?:_[A-Z0-9]+)*?_(?:SERVICE_(?:HOST|PORT)\w*|PORT_[0-9]+_(?:TCP|UDP|SCTP)\w*|(?P<link>PORT))"
)


def _of_kubernetes(name: str, value: str) -> bool:
    """Whether Kubernetes made a variable, of a Service whose name begins with yc-workflow.

    It puts YC_WORKFLOW_EXPORTER_SERVICE_HOST, YC_WORKFLOW_EXPORTER_PORT=tcp://... and their like into
    every pod beside a Service that is called yc-workflow-exporter.
    """
    match = _OF_A_SERVICE.fullmatch(name)
    return match is not None and (match["link"] is None or "://" in value)


def nearest(word: str, known: list[str]) -> str:
    """Return a hint at the name that was meant."""
    near = difflib.get_close_matches(word, known, 1, 0.5)
    return f"; did you mean {near[0]}?" if near else f"; known are {', '.join(known[:30])}"


def _validated(merged: dict[str, Any], sources: Mapping[str, Mapping[str, Any]]) -> Settings:
    try:
        return Settings(**{str(key): value for key, value in merged.items()})
    except ValidationError as error:
        found = [dict(each) for each in error.errors() if each["type"] != "too_short" or not each["input"]]
        raise ConfigError([_problem(each, merged, sources) for each in found]) from None


_MESSAGES = {
    "missing": "is missing; set it",
    "model_type": "must be a mapping of keys to values",
    "dict_type": "must be a mapping of keys to values",
    "path_type": "must be the path of a file",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "finite_number": "must be a number that is finite",
}
"""Words for people in place of pydantic's."""


def _problem(found: dict[str, Any], merged: Any, sources: Mapping[str, Any]) -> str:
    place = [part for part in found["loc"] if not str(part).startswith("function-")]
    key = ".".join(str(part) for part in place)
    where = next((name for name, source in sources.items() if _at(source, place[:2]) is not None), "")
    prefix = f"{where}: " if where else ""
    if found["type"] == "extra_forbidden":
        return f"{prefix}{key}: unknown key{nearest(key, _known(place))}"
    message = _MESSAGES.get(found["type"], found["msg"]).removeprefix("Value error, ")
    value = _at(merged, place)
    if value is None and isinstance(_at(merged, place[:-1]), str):
        value = _at(merged, place[:-1])
    if value is None or key in SECRETS or isinstance(value, dict | list | SecretStr):
        return f"{prefix}{key}: {message}" if key else f"{prefix}{message}"
    return f"{prefix}{key}: {one_line(redact(repr(value)), 80)}: {message}"


def _known(place: list[Any]) -> list[str]:
    """Return the keys that could stand where an unknown one does."""
    rows = [row.key for row in settings_rows()]
    if len(place) > 1 and isinstance(place[1], int):
        items = {
            "executions": ("id", "alias"),
            "workflows": ("id", "expected_success_interval"),
            "folders": ("id", "include", "exclude", "labels"),
        }
        return [f"{place[0]}.{place[1]}.{name}" for name in items.get(str(place[0]), ())]
    return rows + sorted({key.rpartition(".")[0] for key in rows if "." in key})


def _at(tree: Any, place: list[Any]) -> Any:
    for part in place:
        if isinstance(tree, Mapping):
            tree = tree.get(part)
        elif isinstance(tree, list | tuple) and isinstance(part, int) and part < len(tree):
            tree = tree[part]
        else:
            return None
    return tree
