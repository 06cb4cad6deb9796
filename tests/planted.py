"""Marked secrets, one for each place that can hold one, and the search for them in all that came out."""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

PART = 12
"""Characters of the beginning or the end of a secret that are too much of it."""


class Plants:
    """The secrets by the places they were planted in."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def new(self, place: str, shape: str = "") -> str:
        """Return the secret of a place, always the same; `shape` is what it begins with."""
        digest = hashlib.sha256(place.encode()).digest()
        marked = base64.b64encode(digest).decode().replace("=", "")
        # Both characters that a URL has to quote, wherever they do not stand at an end.
        secret = f"{shape}{marked[:20]}/q+{marked[20:]}" if not shape else f"{shape}{digest.hex()}"
        return self.keep(place, secret)

    def keep(self, place: str, secret: str) -> str:
        """Return a secret that was made elsewhere, to be searched for as well."""
        self.values[place] = secret
        return secret

    def found(self, texts: Mapping[str, bytes]) -> list[str]:
        """Return a line for each secret, or telling part of one, in each of the texts."""
        lowered = {where: text.lower() for where, text in texts.items()}
        return [
            f"{place}, {form}, in {where}"
            for place, secret in self.values.items()
            for form, spelled in spellings(secret)
            for where, text in lowered.items()
            if spelled.lower().encode() in text
        ]


def spellings(secret: str) -> Iterator[tuple[str, str]]:
    """Yield the ways to write a secret that anybody could read it from, each with its name."""
    yield "as it is", secret
    yield "its beginning", secret[:PART]
    yield "its end", secret[-PART:]
    yield "quoted", quote(secret, safe="")
    yield "in JSON", secret.replace("/", "\\/")
    yield "backwards", secret[::-1]
    yield "in hex", secret.encode().hex()
    for offset in range(3):
        # Base64 of something longer shows a secret in one of three ways; the edges depend on what is around.
        encoded = base64.b64encode(b"\0" * offset + secret.encode()).decode()
        yield f"in base64 after {offset}", encoded[4 if offset else 0 : -4]


def files(folder: Path) -> dict[str, bytes]:
    """Return what was written below a folder, with the names of the files."""
    found = {}
    for path in folder.rglob("*"):
        found[f"name of {path.name}"] = path.name.encode()
        if path.is_file():
            found[f"file {path.relative_to(folder)}"] = path.read_bytes()
    return found


def process(pid: int) -> dict[str, bytes]:
    """Return what every user of the machine can see of a process: its arguments and its threads' names."""
    home = Path(f"/proc/{pid}")
    names = b"\n".join((task / "comm").read_bytes() for task in (home / "task").iterdir())
    return {"arguments": (home / "cmdline").read_bytes(), "names of threads": names}
