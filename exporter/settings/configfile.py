"""The YAML file of settings, read strictly, each problem told with its line; keys mean nothing to it."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from exporter import files
from exporter.strictyaml import NotMeant, StrictLoader
from exporter.yandex.secrets import one_line, redact

MAX_FILE_BYTES = 16 * 1024 * 1024
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
_UNKNOWN_TAG = re.compile(r"could not determine a constructor for (the tag '.*')")
_REMEDIES = (
    ("undefined alias", '; quote names with *, as "*-order"'),
    ("tag", "; remove the tag"),
    ("unhashable key", "; a key is one word"),
    ("another document", "; a configuration is one document, without a second ---"),
    ("mapping values are not allowed", "; quote a value that has a colon, or begin a new line"),
    ("cannot start any token", "; indent with spaces, and quote values that begin with @, ` or %"),
)  # fmt: skip
"""What to do about what the YAML library says."""


class FileProblem(ValueError):
    """The file cannot be used; `line` is where, counted from 1, or 0 for the file as a whole."""

    def __init__(self, text: str, line: int = 0) -> None:
        self.line = line
        super().__init__(text)


class Unreadable(FileProblem):
    """The file cannot be had at all: its name may be wrong."""


@dataclass(frozen=True, slots=True)
class Document:
    """What a file says, and where it says it: a place is a path of keys and indexes into the tree."""

    tree: dict[Any, Any]
    root: Any

    def line(self, place: tuple[str | int, ...]) -> int:
        """Return the line of a place, or of the nearest thing around it that the file has."""
        node, key = self._nodes(place)
        return _line(key or node)

    def written(self, place: tuple[str | int, ...]) -> str | None:
        """Return the word of a place as it stands in the file; None if it is no single, unquoted word."""
        node, _ = self._nodes(place)
        return node.value if isinstance(node, yaml.ScalarNode) and not node.style else None

    def _nodes(self, place: tuple[str | int, ...]) -> tuple[Any, Any]:
        """Return the node of a place and the node of its key, as far as they can be followed."""
        node, key = self.root, None
        for part in place:
            below = _below(node, part)
            if below is None:
                break
            node, key = below
        return node, key


def _below(node: Any, part: str | int) -> tuple[Any, Any] | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], None
    if isinstance(node, yaml.MappingNode):
        # From the end: what is merged in with << stands before a mapping's own keys.
        for key, value in reversed(node.value):
            if key.value == part:
                return value, key
    return None


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1 if node is not None else 0


def read(path: Path) -> Document:
    """Return what the file says; raises FileProblem, which says where and why."""
    text = _text(path)
    try:
        loader = StrictLoader(text)
        root = loader.get_single_node()
        tree = loader.construct_document(root) if root is not None else None
    except NotMeant as error:
        said = f"{error.value}: {error.problem}" if error.value else str(error.problem)
        raise FileProblem(said, error.line) from None
    except yaml.YAMLError as error:
        raise _translated(error, text) from None
    except RecursionError:
        raise FileProblem("is nested too deep") from None
    if tree is None:
        return Document({}, root)
    if not isinstance(tree, dict):
        raise FileProblem("must be a mapping of keys to values, like `executions: [...]`", _line(root))
    return Document(tree, root)


def _text(path: Path) -> str:
    try:
        raw = files.read_once(path, MAX_FILE_BYTES)
        text = "" if len(raw) > MAX_FILE_BYTES else raw.decode("utf-8-sig")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise Unreadable(f"cannot be read: {reason}") from None
    except UnicodeDecodeError as error:
        raise FileProblem("is not UTF-8; save it as UTF-8", raw.count(b"\n", 0, error.start) + 1) from None
    except ValueError:  # a NUL in the path
        raise Unreadable("is not the name of a file") from None
    if len(raw) > MAX_FILE_BYTES:
        raise FileProblem(f"too large for a configuration: more than {MAX_FILE_BYTES // 1024**2} MiB")
    control = _CONTROL.search(text)
    if control is not None:
        line = text.count("\n", 0, control.start()) + 1
        raise FileProblem(f"has a control character, U+{ord(control[0]):04X}; remove it", line)
    return text


def _translated(error: yaml.YAMLError, text: str) -> FileProblem:
    """Return what the YAML library says as a problem with a line and a remedy."""
    said = _UNKNOWN_TAG.sub(r"\1 is not known", getattr(error, "problem", None) or "it cannot be read")
    if said.startswith("failed to decode base64"):
        said = "what is tagged !!binary is not base64"
    context = getattr(error, "context", None)
    mark = getattr(error, "problem_mark", None)
    # The library may point behind the last line.
    line = min(mark.line + 1, text.count("\n") + 1) if mark is not None else 0
    remedy = next((remedy for word, remedy in _REMEDIES if word in said), "")
    whole = f"{context}: {said}" if context else said
    return FileProblem(f"not YAML: {one_line(redact(whole))}{remedy}", line)
