"""The arguments of the command line: every subcommand takes every flag; a mistyped one is told with the right name."""

import argparse
import platform
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Any

import shtab

from exporter import units
from exporter.flags import add_flags, nearest, settings_rows
from exporter.yandex.secrets import one_line, redact

EPILOG = """exit codes: 0 all went well; 1 a target failed (scrape, check --live);
2 the configuration or the command line is wrong; 3 the server could not start"""


def version() -> str:
    """Return the version of the installed package."""
    return metadata.version("yc-workflow-exporter")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line: every subcommand takes every flag."""
    top = argparse.ArgumentParser(
        prog="yc-workflow-exporter",
        description="Prometheus exporter for Yandex Cloud Serverless Workflows. Without a command it serves.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    about = f"%(prog)s {version()} (Python {platform.python_version()})"
    top.add_argument("--version", action="version", version=about)
    add_flags(top)
    commands = top.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    texts = {
        "serve": "serve metrics (the default)",
        "check": "validate the configuration; with --live also try the credentials and every target",
        "scrape": "print one collection to standard output; fails if a target failed",
        "demo": "start the simulator and the exporter over it: no account needed",
        "simulate": "start the simulator of the cloud alone",
        "completion": "print a completion script for a shell",
    }
    subparsers = {
        name: commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        for name, text in texts.items()
    }
    for subparser in subparsers.values():
        add_flags(subparser)
    subparsers["check"].add_argument("--live", action="store_true", help="ask the API for every target")
    subparsers["simulate"].add_argument("--port", type=int, default=10318, help="default: %(default)s")
    for name in ("simulate", "demo"):
        _add_simulation(subparsers[name])
    subparsers["completion"].add_argument("shell", choices=shtab.SUPPORTED_SHELLS)
    return top


def _add_simulation(subparser: argparse.ArgumentParser) -> None:
    """Add the flags of the simulated cloud."""
    group = subparser.add_argument_group("simulation")
    group.add_argument("--speed", type=float, default=1.0, help="how fast lives go by; default 1")
    group.add_argument("--seed", type=int, default=1, help="another seed is another life; default 1")
    group.add_argument("--executions", type=int, default=12, help="executions at the start; default 12")
    group.add_argument(
        "--latency", type=_written(units.duration), default=0.0, help="of each answer, as 50ms; default 0"
    )
    group.add_argument(
        "--payload", type=_written(units.size), default=0, help="size of each input and result, as 2MiB"
    )


def _written(parse: Callable[[object], Any]) -> Callable[[str], Any]:
    """Let argparse tell what a parser of ours says of a value."""

    def parsed(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None

    return parsed


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line; a flag that does not exist is told with the nearest that does."""
    top = parser()
    arguments, unknown = top.parse_known_args(argv)
    if unknown:
        flag = unknown[0].partition("=")[0]
        known = [row.flag for row in settings_rows() if row.flag] + ["--config.file", "--live"]
        top.error(f"{one_line(redact(flag), 80)}: unknown{nearest(flag, known)}")
    return arguments
