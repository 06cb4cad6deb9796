"""Where a value of the settings comes from: a flag, a variable, or a line of the file."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from exporter.config import WAYS
from exporter.settings.configfile import Document
from exporter.settings.rows import Place, names_of


@dataclass(frozen=True, slots=True)
class Origin:
    """A source of settings: the tree that it says, and the names of its places."""

    tree: dict[str, Any]
    where: Callable[[Place], str]
    written: Callable[[Place], str | None]

    def leaves(self) -> dict[Place, Any]:
        """Return the values by their places; lists are values."""
        return dict(_leaves(self.tree, ()))

    def ways(self) -> set[str]:
        """Return the ways to authenticate that this source gives."""
        auth = self.tree.get("auth")
        return (
            {way for way in WAYS if auth.get(way) not in (None, False)} if isinstance(auth, dict) else set()
        )


def _leaves(tree: dict[str, Any], place: Place) -> Iterator[tuple[Place, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*place, key))
        else:
            yield (*place, key), value


def named(tree: dict[str, Any], names: Mapping[str, str]) -> Origin:
    """Return a source whose values are named one by one: flags and variables."""

    def where(place: Place) -> str:
        prefixes = (names_of(place[:end]) for end in range(len(place), 0, -1))
        return next((names[prefix] for prefix in prefixes if prefix in names), names_of(place))

    return Origin(tree, where, lambda _: None)


def of_file(tree: dict[str, Any], path: str, document: Document) -> Origin:
    """Return a source whose values are named by the line of a file."""

    def where(place: Place) -> str:
        line = document.line(place)
        return f"{path}:{line}" if line else path

    return Origin(tree, where, document.written)
