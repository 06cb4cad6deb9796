"""The command line, and the composition root: settings in, objects wired, a subcommand run.

Exit codes: 0 all went well; 1 a target failed (`scrape`, `check --live`), or the output could not be
written; 2 the configuration or the command line is wrong; 3 the server could not start; 130 Ctrl-C;
128 and the number of a second signal, which ends at once what is being ended.
"""

import argparse
import errno
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

import shtab
from prometheus_client import generate_latest

from exporter import console
from exporter.application import Application, started
from exporter.config import ConfigError
from exporter.demo import demo, simulate
from exporter.outcome import Collection
from exporter.server import ListenFailed
from exporter.serving import heed_signals, keep_signals, serve, web_config
from exporter.settings.arguments import parsed, parser, version
from exporter.settings.flags import overrides
from exporter.targets import read_ids
from exporter.workflowcollector import label_names
from exporter.yandex.calls import Budget, SystemClock
from exporter.yandex.errors import ApiError

TARGET_FAILED = 1
BAD_CONFIGURATION = 2
CANNOT_START = 3
PATIENCE = 60.0
"""Seconds that `check --live` may take, if scrape.timeout is not longer."""
SCRAPE_INTERVAL = 30.0
"""Seconds between the scrapes for which calls a day are estimated."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand and return its exit code."""
    arguments = parsed(argv)
    if arguments.command in {"check", "scrape", "completion"}:
        heed_signals()
    out, err = (console.Console(stream, os.environ) for stream in (sys.stdout, sys.stderr))
    try:
        return _run(arguments, os.environ, out)
    except ConfigError as error:
        err.say(f"{error}")
        return BAD_CONFIGURATION
    except ListenFailed as error:
        err.say(f"{error}")
        return CANNOT_START
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _run(arguments: argparse.Namespace, environ: Mapping[str, str], out: console.Console) -> int:
    command = arguments.command or "serve"
    if command == "completion":
        out.say(shtab.complete(parser(), arguments.shell))
        return 0
    if command == "check":
        return check(arguments, environ, out)
    if command == "scrape":
        return scrape(arguments, environ)
    keep_signals()
    if command == "demo":
        return demo(arguments, environ, out, version())
    if command == "simulate":
        return simulate(arguments, out)
    return serve(started(overrides(arguments), environ, version()), version())


def check(arguments: argparse.Namespace, environ: Mapping[str, str], out: console.Console) -> int:
    """Validate the configuration, and with --live the credentials and every target."""
    application = started(overrides(arguments), environ, version(), quiet=True, counting=False)
    web_config(application)
    settings, runtime = application.parts.settings, application.runtime()
    problems = read_ids(settings.executions_file).problems if settings.executions_file else ()
    for problem in problems:
        out.say(out.paint("left out: ", "yellow") + problem)
    for label, keys in label_names(settings.labels):
        if len(keys) > 1:
            what = f"{', '.join(keys)} all become {label}; a workflow shows the first that it has"
            out.say(out.paint("labels: ", "yellow") + what)
    watched = runtime.watched()
    valid = out.paint("configuration is valid", "green")
    out.say(f"{valid}: {console.watched_text(watched)}, {runtime.endpoint}")
    if not watched.all:
        out.say(
            "nothing to watch: name executions, workflows or folders; /probe and its parameters work without"
        )
    failed = _live(application, environ, out) if arguments.live else 0
    return BAD_CONFIGURATION if problems else failed


def _live(application: Application, environ: Mapping[str, str], out: console.Console) -> int:
    """Try the credentials and every target, and say what each answered."""
    settings, runtime = application.parts.settings, application.runtime()
    seconds = max(PATIENCE, runtime.scrape_timeout)
    try:
        runtime.authorizer.token(Budget.of(seconds, SystemClock()))
    except ApiError as error:
        out.say(out.paint("no IAM token: ", "red") + str(error))
        return TARGET_FAILED
    out.say(f"{out.paint('IAM token', 'green')}: had by {settings.auth.ways()[0]}")
    terminal = console.Console(sys.stderr, environ)
    counter = console.CallCounter(terminal, runtime.watched())
    collection = runtime.scraper.collect(runtime.watched(), Budget.of(seconds, SystemClock(), (counter,)))
    terminal.progress("")
    console.report(out, collection)
    console.say_calls(out, collection, SCRAPE_INTERVAL, history=runtime.history, window=runtime.recent_window)
    return _code(collection)


def scrape(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Print one collection as a page of metrics."""
    application = started(overrides(arguments), environ, version(), counting=False)
    runtime = application.runtime()
    collection = runtime.scraper.collect(runtime.watched(), Budget.of(runtime.scrape_timeout, SystemClock()))
    page = generate_latest(application.metrics_registry(runtime, lambda: collection))
    sys.stdout.buffer.write(page)
    sys.stdout.flush()
    return _code(collection)


def _code(collection: Collection) -> int:
    return 0 if all(outcome.success for outcome in collection.all) else TARGET_FAILED


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
