"""How fast and how small the exporter is: `make bench` measures it in one run and prints ratios.

Each figure stands against something of the same run: the latency of the cloud, a bare loop, the writer of
prometheus-client, the figure with less to do. `--only NAME` measures single ones, `--markdown` prints the
table of the README. It exits with 1 if other calls were made than should have been; what is over its target
is told, no more.
"""

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TextIO

from benched import WrongCalls
from benchrows import ROWS, Figure, compiled


def measured(only: list[str], say: Callable[[str], None]) -> list[Figure]:
    """Measure the rows of these names, all if there are none."""
    figures = []
    with tempfile.TemporaryDirectory() as root:
        compiled(_folder(root, "first"))
        for name, measure in ROWS.items():
            if not only or name in only:
                say(f"measuring: {name}")
                figures.append(measure(_folder(root, name)))
    return figures


def table(figures: list[Figure], *, markdown: bool) -> str:
    """Return the figures as a table."""
    head = ("work", "figure", "ratio", "target", "")
    rows = [head, *((f.work, f.shown, f"{f.ratio:.2f}", f.target, f.verdict) for f in figures)]
    if markdown:
        cells = [row[:-1] for row in rows]
        lines = ["| " + " | ".join(row) + " |" for row in cells]
        return "\n".join([lines[0], "|" + " --- |" * len(cells[0]), *lines[1:]])
    widths = [max(len(row[place]) for row in rows) for place in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def machine() -> str:
    """Return what it was measured on."""
    libraries = ", ".join(f"{name} {version(name)}" for name in ("requests", "urllib3", "prometheus-client"))
    cpus = len(os.sched_getaffinity(0))
    load = f"load {os.getloadavg()[0]:.1f} before"
    return f"{cpus} CPUs, {load}, Python {platform.python_version()}, {libraries}"


def main() -> int:
    """Measure, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", action="append", default=[], choices=list(ROWS), metavar="NAME")
    parser.add_argument("--markdown", action="store_true")
    arguments = parser.parse_args()
    on = machine()
    try:
        figures = measured(arguments.only, lambda text: _say(sys.stderr, text))
    except WrongCalls as error:
        _say(sys.stderr, f"the bench is void: {error}")
        return 1
    _say(sys.stdout, on)
    _say(sys.stdout, table(figures, markdown=arguments.markdown))
    return 0


def _folder(root: str, name: str) -> Path:
    folder = Path(root, name)
    folder.mkdir()
    return folder


def _say(stream: TextIO, text: str) -> None:
    stream.write(f"{text}\n")
    stream.flush()


if __name__ == "__main__":
    sys.exit(main())
