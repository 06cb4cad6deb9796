"""The name that was meant by one that does not exist."""

import difflib
from collections.abc import Iterable, Mapping

SIMILAR = 0.6


def close(word: str, known: Iterable[str], aliases: Mapping[str, str] | None = None) -> str | None:
    """Return the known name that is meant by a word; `aliases` are other words for known names."""
    plain = {_plain(name): name for name in known}
    meant = (aliases or {}).get(_plain(word))
    if meant is not None and meant in plain.values():
        return meant
    near = difflib.get_close_matches(_plain(word), plain, 1, SIMILAR)
    return plain[near[0]] if near else None


def nearest(word: str, known: Iterable[str], otherwise: str | None = None) -> str:
    """Return a hint at the name that was meant, or else at those that are known."""
    known = list(known)
    near = close(word, known)
    if near is not None:
        return f"; did you mean {near}?"
    return f"; {otherwise or 'known are ' + ', '.join(known)}"


def _plain(word: str) -> str:
    return word.lower().replace("-", "_").lstrip("_")
