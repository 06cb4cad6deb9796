"""Log lines: one an event, readable by machines, without secrets."""

import io
import json
import logging
import sys

import pytest

from exporter.logformat import JsonFormatter, LogfmtFormatter, configure

TOKEN = "t1.9euelZqVmJKOmZWTnpKQj5mJy-3rnpWakZqSl.abcdefghijklmnopqrstuvwxyz"


def record(message: str, **fields: object) -> logging.LogRecord:
    """Return a record of a fixed moment."""
    made = logging.LogRecord("exporter.test", logging.WARNING, "", 0, message, None, None)
    made.created = 1741622400.25
    made.__dict__["fields"] = fields
    return made


def test_logfmt_is_one_line_of_pairs() -> None:
    """Values with spaces, quotes or newlines are quoted, the rest stands as it is."""
    line = LogfmtFormatter().format(record('he said "no"\nand left', code=404, id="dfq-1"))
    assert line == (
        'ts=2025-03-10T16:00:00.250Z level=warn msg="he said \\"no\\"\\nand left" code=404 id=dfq-1'
    )


def test_json_is_one_object_a_line() -> None:
    """The same keys, types kept."""
    line = JsonFormatter().format(record("a\nb", code=404))
    assert json.loads(line) == {"ts": "2025-03-10T16:00:00.250Z", "level": "warn", "msg": "a\nb", "code": 404}
    assert "\n" not in line


@pytest.mark.parametrize("formatter", [LogfmtFormatter(), JsonFormatter()])
def test_secrets_are_hidden_wherever_they_stand(formatter: logging.Formatter) -> None:
    """In the message, in a field and in a traceback."""
    made = record(f"token {TOKEN}", header=f"Bearer {TOKEN}")
    try:
        int(TOKEN)
    except ValueError:
        made.exc_info = sys.exc_info()
    line = formatter.format(made)
    assert TOKEN not in line
    assert "ValueError" in line
    assert len(line.splitlines()) == 1


def test_the_level_decides_what_is_written() -> None:
    """Below the level nothing is written; the root's old handlers are replaced."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    out = io.StringIO()
    try:
        configure("warn", "logfmt", out)
        logging.getLogger("exporter.test").info("quiet")
        logging.getLogger("exporter.test").warning("loud")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    assert [line.split()[2] for line in out.getvalue().splitlines()] == ["msg=loud"]
