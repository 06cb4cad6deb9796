"""A program that runs jobs of the exporter in one process and tells all that its objects say of themselves.

The argument is a JSON file: `jobs`, command lines with what they need of the environment, and
`applications`, configurations that are built, asked for a token and left standing.
"""

import gc
import json
import logging
import os
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

from exporter import cli
from exporter.application import Application, started
from exporter.logformat import JsonFormatter, LogfmtFormatter
from exporter.web import WebApp
from exporter.yandex.calls import Budget, SystemClock


def say(*words: object) -> None:
    """Write words to standard output."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")


def run(arguments: list[str]) -> None:
    """Run a command line; whatever it raises is told as Python tells it."""
    try:
        cli.main(arguments)
    except BaseException:  # noqa: BLE001  # what Python would print is what is wanted
        traceback.print_exc()


def run_with(job: dict[str, Any]) -> None:
    """Run a command line with more variables."""
    os.environ.update(job["environ"])
    run(job["arguments"])
    for variable in job["environ"]:
        del os.environ[variable]


def crash(application: Application, secret: str) -> None:
    """Ask for a page that fails in a way that nobody foresaw, with the secret in the exception's text."""

    def failing(*_: object) -> NoReturn:
        local = f"Authorization: Bearer {secret}"
        raise RuntimeError(f"cannot send {local!r}")

    clock = SystemClock()
    app = WebApp(
        application.runtime,
        metrics_registry=failing,
        probe_registry=failing,
        reload=failing,
        clock=clock,
        version="",
    )
    for formatter in (LogfmtFormatter(), JsonFormatter()):
        logging.getLogger().handlers[0].setFormatter(formatter)
        environ = {"PATH_INFO": "/metrics", "REQUEST_METHOD": "GET"}
        say(*app(environ, lambda *head: say(head)))  # type: ignore[arg-type]


def main() -> None:
    """Do what the file says."""
    plan = json.loads(Path(sys.argv[1]).read_text())
    for job in plan["jobs"]:
        if job["environ"]:
            run_with(job)
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(run, [job["arguments"] for job in plan["jobs"] if not job["environ"]]))
    standing = [started({"config": {"file": path}}, {}, "1", counting=False) for path in plan["applications"]]
    tokens = [app.runtime().authorizer.token(Budget.of(5.0, SystemClock())) for app in standing]
    crash(standing[0], tokens[0])
    ours = [each for each in gc.get_objects() if str(type(each).__module__).startswith("exporter")]
    for each in ours:
        say(repr(each), str(each))
    say("objects of ours:", len(ours), "tokens:", len(set(tokens)))
    say([thread.name for thread in threading.enumerate()])


if __name__ == "__main__":
    main()
