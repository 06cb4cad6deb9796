"""The subcommands: a command line is read, and what it asks for is loaded and run.

The one place that loads what only some need: to load all would take longer than most of them run.
"""

import argparse
import gc
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import TextIO

import shtab

from exporter.config import ConfigError
from exporter.exits import BAD_CONFIGURATION, CANNOT_START
from exporter.settings.about import version
from exporter.settings.arguments import parsed, parser
from exporter.settings.flags import overrides
from exporter.signals import heed_signals, keep_signals


def run(argv: Sequence[str]) -> int:
    """Run what a command line asks for and return the exit code."""
    arguments = parsed(argv)
    try:
        if arguments.command in {"check", "scrape", "completion"}:
            heed_signals()
            return _tell(arguments, os.environ)
        keep_signals()
        return _serve(arguments, os.environ)
    except ConfigError as error:
        _say(sys.stderr, str(error))
        return BAD_CONFIGURATION
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _tell(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Run a subcommand that ends by itself."""
    if arguments.command == "completion":
        _say(sys.stdout, shtab.complete(parser(), arguments.shell))
        return 0
    from exporter.console import Console
    from exporter.trial import check, scrape

    gc.enable()
    if arguments.command == "check":
        return check(arguments, environ, Console(sys.stdout, environ))
    return scrape(arguments, environ)


def _serve(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Run a subcommand that listens until a signal ends it."""
    from exporter.server import ListenFailed

    try:
        if arguments.command in {"demo", "simulate"}:
            from exporter.console import Console
            from exporter.demo import demo, simulate

            _loaded()
            out = Console(sys.stdout, environ)
            if arguments.command == "demo":
                return demo(arguments, environ, out, version())
            return simulate(arguments, out)
        from exporter.application import started
        from exporter.serving import serve

        _loaded()
        release = version()
        return serve(started(overrides(arguments), environ, release), release)
    except ListenFailed as error:
        _say(sys.stderr, str(error))
        return CANNOT_START


def _loaded() -> None:
    """Let garbage be looked for from here on, and never in what was loaded."""
    gc.collect()
    gc.freeze()
    gc.enable()


def _say(stream: TextIO, text: str) -> None:
    stream.write(f"{text}\n")
    stream.flush()
