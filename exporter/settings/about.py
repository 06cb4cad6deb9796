"""What the program says of itself: its name and its version. It loads next to nothing."""

import platform
from importlib import metadata

PROGRAM = "yc-workflow-exporter"


def version() -> str:
    """Return the version of the installed package."""
    return metadata.version(PROGRAM)


def about() -> str:
    """Return the line that `--version` prints."""
    return f"{PROGRAM} {version()} (Python {platform.python_version()})"
