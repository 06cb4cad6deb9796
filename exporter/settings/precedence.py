"""The sources of settings laid over one another: flags over variables over the YAML file over defaults."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from exporter.config import NO_CREDENTIALS, WAYS, ConfigError, Settings
from exporter.settings import configfile, origin, problems, shape, variables
from exporter.settings.fields import home, is_content
from exporter.settings.origin import Origin
from exporter.settings.rows import CONFIG_FLAG, CONFIG_KEY, Place, grown, names_of, settings_rows, settled

MOST_PROBLEMS = 50
PIPES = (Path("/dev"), Path("/proc"))
"""Where files have no folder of their own."""


def load(flags: Mapping[str, Any], environ: Mapping[str, str]) -> Settings:
    """Return the settings of these flags, these variables and the YAML file they name, which is read once.

    Raises ConfigError, which names for each problem the place, the field, the value and the remedy.
    """
    found = variables.read(environ)
    wrong = list(found.problems)
    sources = [
        *_file(flags, found, wrong),
        _shaped(_of_variables(found), wrong),
        _shaped(_of_flags({key: value for key, value in flags.items() if key != "config"}), wrong),
    ]
    owned = _merged(sources)
    if not any(_is_way(place) and value is not False for place, (_, value) in owned.items()):
        owned |= _fallback(environ)
    return _validated(owned, wrong)


def _file(flags: Mapping[str, Any], found: variables.Variables, wrong: list[str]) -> list[Origin]:
    """Return what the YAML file says, if one is named; add to what is wrong."""
    given = flags.get("config", {})
    name = CONFIG_FLAG if "file" in given else found.names.get(CONFIG_KEY)
    path = given.get("file", found.values.get(CONFIG_KEY))
    if name is None:
        return []
    if not str(path).strip():
        wrong.append(f"{name}: is empty; give the name of a file")
        return []
    path = home(path)
    try:
        document = configfile.read(Path(path))
    except configfile.FileProblem as error:
        hint = f"; is {name} right?" if isinstance(error, configfile.Unreadable) else ""
        wrong.append(f"{path}{f':{error.line}' if error.line else ''}: {error}{hint}")
        return []
    if document.root is None and Path(path).is_fifo():
        # Else a reload would find nothing to watch, and be content.
        wrong.append(f"{path}: is empty: a pipe is read once; give the name of a file to reload from")
    source = origin.of_file(document.tree, path, document)
    good = shape.shaped(source)
    wrong += good.problems
    return [origin.of_file(settled(_rooted(good.tree, Path(path).parent)), path, document)]


def _rooted(tree: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Make the file's relative paths relative to the file, as Prometheus does; a pipe has no folder."""
    base = Path() if any(folder.is_relative_to(pipes) for pipes in PIPES) else folder
    for row in settings_rows():
        *levels, name = row.key.split(".")
        at = problems.at(tree, tuple(levels))
        value = at.get(name) if row.path and isinstance(at, dict) else None
        if isinstance(value, str) and value.strip() and not is_content(value):
            at[name] = str(base / home(value))
    return tree


def _of_variables(found: variables.Variables) -> Origin:
    tree = grown({key: value for key, value in found.values.items() if key != CONFIG_KEY})
    return origin.named(settled(tree), found.names)


def _of_flags(tree: dict[str, Any]) -> Origin:
    given = {names_of(place) for place in origin.named(tree, {}).leaves()}
    names = {row.key: row.flag or row.key for row in settings_rows() if row.key in given}
    return origin.named(settled(tree), names)


def _shaped(source: Origin, wrong: list[str]) -> Origin:
    good = shape.shaped(source)
    wrong += good.problems
    return Origin(good.tree, source.where, source.written)


Owned = dict[Place, tuple[Origin, Any]]
"""Each value by its place, with the source that gave it."""


def _merged(lowest_first: Iterable[Origin]) -> Owned:
    """Lay sources over one another; a way to authenticate takes the place of all ways below it."""
    owned: Owned = {}
    for source in lowest_first:
        ways = source.ways()
        if ways:
            owned = {place: held for place, held in owned.items() if not _is_way(place) or place[1] in ways}
        for place, value in source.leaves().items():
            _lay(owned, place, (source, value))
    return owned


def _is_way(place: Place) -> bool:
    return len(place) > 1 and place[0] == "auth" and place[1] in WAYS


def _lay(owned: Owned, place: Place, held: tuple[Origin, Any]) -> None:
    """Put a value in the place of what was there; a section without keys takes nothing away."""
    below = {other for other in owned if other[: len(place)] == place}
    above = {other for other in owned if place[: len(other)] == other}
    if held[1] == {} and (not _is_way(place) or below - {place}):
        return
    for other in below | above:
        del owned[other]
    owned[place] = held


def _fallback(environ: Mapping[str, str]) -> Owned:
    """Return the token or key of the variables that yc and Terraform use."""
    usual = variables.fallback(environ)
    if usual is None:
        return {}
    name, way = usual
    tree = {"auth": {way: environ[name].strip()}}
    return {("auth", way): (origin.named(tree, {f"auth.{way}": name}), environ[name].strip())}


def _validated(owned: Owned, wrong: Sequence[str]) -> Settings:
    tree: dict[str, Any] = {"auth": {}}
    for place, (_, value) in owned.items():
        *levels, name = place
        at: Any = tree
        for level in levels:
            at = at.setdefault(level, {})
        at[name] = value
    told = list(wrong)
    try:
        settings = Settings(**tree)
    except ValidationError as error:
        owners = {place: source for place, (source, _) in owned.items()}
        told += problems.lines(error, tree, owners, wrong)
        # What is mistyped may be the credentials.
        told = [line for line in told if not (wrong and NO_CREDENTIALS in line)]
    if not told:
        return settings
    more = [f"and {len(told) - MOST_PROBLEMS} more problems"] if len(told) > MOST_PROBLEMS else []
    raise ConfigError([*told[:MOST_PROBLEMS], *more])
