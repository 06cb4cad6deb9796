"""One collection without serving: `check`, which says what is wrong, and `scrape`, which prints the page."""

import argparse
import sys
from collections.abc import Mapping

from exporter import console, textformat
from exporter.application import Application, started
from exporter.exits import BAD_CONFIGURATION, TARGET_FAILED
from exporter.outcome import Collection
from exporter.serving import web_config
from exporter.settings.about import version
from exporter.settings.flags import overrides
from exporter.targets import read_ids
from exporter.workflowcollector import label_names
from exporter.yandex.calls import Budget, SystemClock
from exporter.yandex.errors import ApiError

PATIENCE = 60.0
"""Seconds that `check --live` may take, if scrape.timeout is not longer."""
SCRAPE_INTERVAL = 30.0
"""Seconds between the scrapes for which calls a day are estimated."""


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
    page = textformat.plain(application.metrics_registry(runtime, lambda: collection))
    sys.stdout.buffer.write(page)
    sys.stdout.flush()
    return _code(collection)


def _code(collection: Collection) -> int:
    return 0 if all(outcome.success for outcome in collection.all) else TARGET_FAILED
