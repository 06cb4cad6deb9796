"""The YAML file of settings: read strictly, each problem told with its place; keys mean nothing to it."""

from pathlib import Path
from typing import Any

import yaml

from exporter.yandex.secrets import one_line, redact

MAX_FILE_BYTES = 16 * 1024 * 1024
PATHS = (
    "executions_file", "auth.iam_token_file", "auth.service_account_key_file",
    "auth.workload_identity.token_file", "state.file", "web.config_file",
)  # fmt: skip
"""The settings that are paths of files."""


class _Loader(yaml.SafeLoader):
    """YAML in which a key that comes twice is an error."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = key_node.value
            if isinstance(key, str):
                if key in seen and key != "<<":
                    line = key_node.start_mark.line + 1
                    raise ValueError(f"line {line}: the key {key} comes twice; keep one")
                seen.add(key)
        return super().construct_mapping(node, deep)


def read(path: Path) -> dict[str, Any]:
    """Return what the file says, its paths made absolute; raises ValueError that says where and why."""
    try:
        raw = path.read_bytes()
        if len(raw) > MAX_FILE_BYTES:
            raise ValueError("too large for a configuration")
        tree = yaml.load(raw.decode("utf-8-sig"), _Loader)  # noqa: S506  # a SafeLoader
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}; is --config.file right?") from None
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8; save it as UTF-8") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        said = getattr(error, "problem", None) or "not YAML"
        raise ValueError(f"{where}{one_line(redact(said))}") from None
    except RecursionError:
        raise ValueError("is nested too deep") from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ValueError("must be a mapping of keys to values, like `executions: [...]`")  # noqa: TRY004  # as above
    return _rooted(tree, path.parent)


def _rooted(tree: dict[str, Any], base: Path) -> dict[str, Any]:
    """Make the file's relative paths relative to the file, as Prometheus does."""
    for key in PATHS:
        *levels, name = key.split(".")
        at: Any = tree
        for level in levels:
            at = at.get(level) if isinstance(at, dict) else None
        if isinstance(at, dict) and isinstance(at.get(name), str):
            at[name] = str(base / at[name])
    return tree
