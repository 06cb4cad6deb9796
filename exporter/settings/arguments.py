"""The arguments of the command line: every subcommand takes every flag; what is wrong is told in one line."""

import argparse
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NoReturn

import shtab

from exporter.settings import units
from exporter.settings.about import PROGRAM, about
from exporter.settings.commandline import Flag, Grammar, Mistyped, ordered
from exporter.settings.flags import add_flags
from exporter.yandex.secrets import one_line, redact

EPILOG = """exit codes: 0 all went well; 1 a target failed (scrape, check --live);
2 the configuration or the command line is wrong; 3 the server could not start"""
COMMANDS = {
    "serve": "serve metrics (the default)",
    "check": "validate the configuration; with --live also try the credentials and every target",
    "scrape": "print one collection to standard output; fails if a target failed",
    "demo": "start the simulator and the exporter over it: no account needed",
    "simulate": "start the simulator of the cloud alone",
    "completion": "print a completion script for a shell",
}


class _Parser(argparse.ArgumentParser):
    """A parser that tells what is wrong in one line, without listing every flag."""

    def error(self, message: str) -> NoReturn:
        """Tell what is wrong and end the program with 2."""
        text = one_line(redact(message.removeprefix("argument ")), 1000)
        self.exit(2, f"usage: {PROGRAM} COMMAND [flags]; --help lists them\n{PROGRAM}: {text}\n")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line: every subcommand takes every flag."""
    return _parsers()[0]


def _parsers() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """Return the parser, and those of the subcommands by their names."""
    top = _Parser(
        prog=PROGRAM,
        usage="%(prog)s [COMMAND] [flags]",
        description="Prometheus exporter for Yandex Cloud Serverless Workflows. Without a command it serves.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    line = about()
    _add_common(top, line)
    commands = top.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    subparsers: dict[str, argparse.ArgumentParser] = {}
    for name, text in COMMANDS.items():
        words = " SHELL" if name == "completion" else ""
        subparsers[name] = commands.add_parser(
            name, usage=f"{PROGRAM} {name}{words} [flags]", help=text, description=text, allow_abbrev=False
        )
        _add_common(subparsers[name], line)
    subparsers["check"].add_argument("--live", action="store_true", help="ask the API for every target")
    subparsers["simulate"].add_argument(
        "--port", type=_written(_port), default=10318, help="default: %(default)s"
    )
    for name in ("simulate", "demo"):
        _add_simulation(subparsers[name])
    subparsers["completion"].add_argument("shell", choices=shtab.SUPPORTED_SHELLS)
    return top, subparsers


def _add_common(some: argparse.ArgumentParser, line: str) -> None:
    """Add what every command takes; `line` is what it says of its version."""
    some.add_argument("--version", action="version", version=line)
    add_flags(some)


def _add_simulation(subparser: argparse.ArgumentParser) -> None:
    """Add the flags of the simulated cloud."""
    group = subparser.add_argument_group("simulation")
    group.add_argument("--speed", type=_written(_speed), default=1.0, help="how fast lives go by; default 1")
    group.add_argument(
        "--seed", type=_written(_whole), default=1, help="another seed is another life; default 1"
    )
    group.add_argument(
        "--population", type=_written(_whole), default=12, help="executions at the start; default 12"
    )
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
            raise argparse.ArgumentTypeError(f"{redact(text)!r}: {error}") from None

    return parsed


def _whole(text: object) -> int:
    """Return a whole number; raises ValueError."""
    if not re.fullmatch(r"[0-9]{1,9}", str(text).strip()):
        raise ValueError("must be a whole number")
    return int(str(text))


def _port(text: object) -> int:
    """Return the number of a port; raises ValueError."""
    if not re.fullmatch(r"[0-9]{1,5}", str(text).strip()) or int(str(text)) > 65535:
        raise ValueError("must be a port, from 0 to 65535")
    return int(str(text))


def _speed(text: object) -> float:
    """Return a number; raises ValueError."""
    if not re.fullmatch(r"-?[0-9]{1,9}(\.[0-9]{1,9})?", str(text).strip()):
        raise ValueError("must be a number, as 10 or 0.5")
    return float(str(text))


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line, or end the program with what is wrong, told with the nearest right name."""
    top, subparsers = _parsers()
    try:
        words = ordered(sys.argv[1:] if argv is None else argv, _grammar(subparsers))
    except Mistyped as error:
        top.error(str(error))
    return top.parse_args(words)


def _grammar(subparsers: Mapping[str, argparse.ArgumentParser]) -> Grammar:
    """Return what a command line may be made of, read from its parsers."""
    takers: dict[str, set[str]] = {}
    takes: dict[str, Literal["none", "one", "maybe"]] = {}
    for command, subparser in subparsers.items():
        for action in subparser._actions:  # noqa: SLF001  # argparse has no other list of its flags
            for name in action.option_strings:
                takers.setdefault(name, set()).add(command)
                takes[name] = "none" if action.nargs == 0 else "maybe" if action.nargs == "?" else "one"
    flags = {name: Flag(name, takes[name], frozenset(commands)) for name, commands in takers.items()}
    return Grammar(flags, tuple(subparsers), {"completion": tuple(shtab.SUPPORTED_SHELLS)}, "serve")
