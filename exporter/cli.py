"""The program to who started it: its streams and its exit code, whatever is run.

The exit codes are those of `exits`.
"""

import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from exporter.exits import BAD_CONFIGURATION, TARGET_FAILED
from exporter.settings.about import about


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code."""
    words = sys.argv[1:] if argv is None else list(argv)
    # The parser would say the same; but all settings are loaded to build it.
    if words == ["--version"]:
        sys.stdout.write(f"{about()}\n")
        return 0
    from exporter.commands import run  # noqa: PLC0415  # what takes long to load

    return run(words)


def entry() -> None:
    """Run the program, and end it at once: calls under way would keep it for as long as they take."""
    # A stream that was closed is None.
    sys.stdout = sys.stdout or _nowhere()
    sys.stderr = sys.stderr or _nowhere()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # for terminals of ASCII
    code = _ended()
    sys.stderr.flush()
    os._exit(code)


def _ended() -> int:
    try:
        code = main()
        sys.stdout.flush()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else BAD_CONFIGURATION
    except OSError as error:
        if error.errno not in {errno.EPIPE, errno.ENOSPC, errno.EIO}:
            raise
        # Who closed the pipe has read enough.
        if error.errno != errno.EPIPE:
            sys.stderr.write(f"the output cannot be written: {error.strerror}\n")
        return TARGET_FAILED
    return code


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")
