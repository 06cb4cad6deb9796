"""One line an event, as logfmt or JSON, without secrets."""

import json
import logging
import re
from datetime import UTC, datetime
from typing import TextIO

from exporter.yandex.secrets import redact

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
_PLAIN = re.compile(r"[^\s\"=\\\x00-\x1f\x7f]+")


def event(record: logging.LogRecord, formatter: logging.Formatter) -> dict[str, object]:
    """Return what a record says, in the order in which it is written."""
    at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    said: dict[str, object] = {
        "ts": at.replace("+00:00", "Z"),
        "level": {"WARNING": "warn", "CRITICAL": "error"}.get(record.levelname, record.levelname.lower()),
        "msg": redact(record.getMessage()),
    }
    for key, value in getattr(record, "fields", {}).items():
        said[key] = redact(value) if isinstance(value, str) else value
    if record.exc_info:
        said["traceback"] = redact(formatter.formatException(record.exc_info))
    return said


class LogfmtFormatter(logging.Formatter):
    """`ts=... level=... msg="..." key=value`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return " ".join(f"{key}={_quoted(value)}" for key, value in event(record, self).items())


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return json.dumps(event(record, self), default=str, ensure_ascii=True)


def _quoted(value: object) -> str:
    text = str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def configure(level: str, format_: str, stream: TextIO) -> None:
    """Write the log of the whole process to this stream."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if format_ == "json" else LogfmtFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(LEVELS[level])
    logging.getLogger("urllib3").setLevel(logging.ERROR)
