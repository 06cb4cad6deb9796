"""Settings from the environment: every variable that looks like ours is one of ours, or is told."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from exporter.settings.nearest import close
from exporter.settings.rows import CONFIG_KEY, CONFIG_VARIABLE, PREFIX, settings_rows
from exporter.yandex.secrets import one_line, redact

FALLBACKS = (
    ("YC_IAM_TOKEN", "iam_token"),
    ("YC_TOKEN", "iam_token"),
    ("YC_SERVICE_ACCOUNT_KEY_FILE", "service_account_key_file"),
)
"""What yc and Terraform use, taken where no way to authenticate is configured."""
_ALIASES = dict.fromkeys(("token", "iam_token", "auth_token"), "AUTH__IAM_TOKEN")
_OF_A_SERVICE = re.compile(
    r"YC_WORKFLOW[A-Z0-9]*(?:_[A-Z0-9]+)*?"
    r"_(?:SERVICE_(?:HOST|PORT)\w*|PORT_[0-9]+_(?:TCP|UDP|SCTP)\w*|(?P<link>PORT))"
)


@dataclass(frozen=True, slots=True)
class Variables:
    """The settings of an environment by their keys, the names they were given under, and what is wrong."""

    values: dict[str, str]
    names: dict[str, str]
    problems: list[str]


def read(environ: Mapping[str, str]) -> Variables:
    """Return the settings that are given as variables; a variable without anything in it is not given."""
    known = {row.variable: row.key for row in settings_rows()} | {CONFIG_VARIABLE: CONFIG_KEY}
    found = Variables({}, {}, [])
    for name, value in sorted(environ.items()):
        upper = name.upper()
        if not upper.startswith(PREFIX.rstrip("_")) or of_kubernetes(name, value):
            continue
        key = known.get(upper)
        if key is None:
            shown = one_line(redact(name), 80)
            found.problems.append(f"{shown}: unknown variable; {_meant(upper, known)}")
        elif key in found.names:
            found.problems.append(f"{found.names[key]} and {name}: differ in case only; keep one")
        elif value.strip():
            found.names[key] = name
            found.values[key] = value.strip()
    return found


def fallback(environ: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the usual variable that is set, and the way to authenticate that it gives."""
    return next(((name, way) for name, way in FALLBACKS if environ.get(name, "").strip()), None)


def _meant(name: str, known: Iterable[str]) -> str:
    """Return a hint at the variable that was meant; what all begin with makes none alike."""
    endings = [each.removeprefix(PREFIX) for each in known]
    near = close(name.removeprefix(PREFIX.rstrip("_")), endings, _ALIASES)
    return f"did you mean {PREFIX}{near}?" if near is not None else "yc-workflow-exporter --help lists them"


def of_kubernetes(name: str, value: str) -> bool:
    """Whether Kubernetes made a variable, of a Service whose name begins with yc-workflow.

    It puts YC_WORKFLOW_EXPORTER_SERVICE_HOST, YC_WORKFLOW_EXPORTER_PORT=tcp://... and their like into
    every pod beside a Service that is called yc-workflow-exporter.
    """
    match = _OF_A_SERVICE.fullmatch(name)
    return match is not None and (match["link"] is None or "://" in value)
