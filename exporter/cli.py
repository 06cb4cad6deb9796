"""The command line, and the composition root: settings in, objects wired, a subcommand run.

Exit codes: 0 all went well; 1 a target failed (`scrape`, `check --live`); 2 the configuration or
the command line is wrong; 3 the server could not start.
"""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import shtab
from prometheus_client import generate_latest

from exporter import console
from exporter.application import Application
from exporter.arguments import parsed, parser, version
from exporter.config import ConfigError, Settings
from exporter.flags import load, overrides
from exporter.logformat import configure
from exporter.outcome import Collection
from exporter.server import ListenFailed, Server
from exporter.simulator import Simulator
from exporter.targets import ExecutionTarget, read_ids
from exporter.web import Runtime, WebApp
from exporter.webconfig import WebConfigFile
from exporter.yandex.errors import ApiError
from exporter.yandex.transport import Budget, SystemClock

log = logging.getLogger(__name__)

TARGET_FAILED = 1
BAD_CONFIGURATION = 2
CANNOT_START = 3
DRAIN_SECONDS = 5.0


def _simulator(arguments: argparse.Namespace, port: int) -> Simulator:
    """Return a started simulator; raises ConfigError, or ListenFailed if the port cannot be had."""
    try:
        cloud = Simulator(
            port=port, speed=arguments.speed, seed=arguments.seed, executions=arguments.executions,
            latency=arguments.latency, payload_bytes=arguments.payload,
        )  # fmt: skip
        cloud.start()
    except ValueError as error:
        raise ConfigError([f"--{error}"]) from None
    except OSError as error:
        raise ListenFailed(f"--port {port}: {error.strerror}; choose another port") from None
    return cloud


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand and return its exit code."""
    signals = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
    arguments = parsed(argv)
    run = {
        None: serve, "serve": serve, "check": check, "scrape": scrape, "demo": demo,
        "simulate": simulate, "completion": completion,
    }[arguments.command]  # fmt: skip
    if run in (serve, demo, simulate):
        # Before any thread is born, so that all inherit it and the main thread alone waits for signals.
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        return run(arguments, os.environ)
    except ConfigError as error:
        console.stderr_console(os.environ).say(f"{error}")
        return BAD_CONFIGURATION
    except ListenFailed as error:
        console.stderr_console(os.environ).say(f"{error}")
        return CANNOT_START
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _application(
    arguments: argparse.Namespace, environ: Mapping[str, str], forced: Mapping[str, Any] | None = None
) -> Application:
    """Read the settings, start the log and wire the objects."""
    given = {**overrides(arguments), **(forced or {})}

    def read() -> Settings:
        return load(given, environ)

    first = read()
    configure(first.log.level, first.log.format, sys.stderr)
    return Application(first, read, environ, SystemClock(), version())


def serve(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Serve until SIGTERM or SIGINT; SIGHUP reloads."""
    application = _application(arguments, environ)
    return _serve(application, lambda _: None)


def _serve(application: Application, tell: Callable[[Server], None]) -> int:
    web = application.parts.settings.web
    app = WebApp(
        application.runtime,
        metrics_registry=application.metrics_registry,
        probe_registry=application.probe_registry,
        reload=application.reload,
        clock=SystemClock(),
        version=version(),
    )
    try:
        web_config = WebConfigFile(web.config_file) if web.config_file else None
    except (OSError, ValueError) as error:
        raise ConfigError([f"web.config_file: {error}"]) from None
    server = Server(app, web.listen_address, web_config=web_config)
    server.start()
    addresses = ", ".join(f"{host}:{port}" for host, port in server.addresses)
    targets = len(application.runtime().executions())
    log.info(
        "serving", extra={"fields": {"addresses": addresses, "executions": targets, "version": version()}}
    )
    tell(server)
    while signal.sigwait({signal.SIGTERM, signal.SIGINT, signal.SIGHUP}) == signal.SIGHUP:
        try:
            application.reload()
        except ConfigError:
            continue
    log.info("stopping")
    server.stop(DRAIN_SECONDS)
    application.runtime().scraper.close()
    return 0


def check(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Validate the configuration, and with --live the credentials and every target."""
    application = _application(arguments, environ)
    out = console.Console(sys.stdout, environ)
    settings, runtime = application.parts.settings, application.runtime()
    targets = runtime.executions()
    out.say(out.paint("configuration is valid", "green") + f": {len(targets)} executions, {runtime.endpoint}")
    if settings.executions_file is not None:
        for problem in read_ids(settings.executions_file).problems:
            out.say(out.paint("left out: ", "yellow") + problem)
    if not arguments.live:
        return 0
    budget = Budget.of(max(60.0, runtime.scrape_timeout), SystemClock())
    try:
        runtime.authorizer.token(budget)
    except ApiError as error:
        out.say(out.paint("no IAM token: ", "red") + str(error))
        return TARGET_FAILED
    out.say(out.paint("an IAM token was obtained", "green"))
    collection = _watched(runtime, targets, environ)
    console.report(out, collection)
    calls = console.calls_per_day(collection, 2 if runtime.history else 1, 30.0)
    out.say(f"\nat a scrape every 30 s this is about {calls:,} calls of the API a day")
    return 0 if all(o.success for o in collection.outcomes) else TARGET_FAILED


def _watched(runtime: Runtime, targets: Sequence[ExecutionTarget], environ: Mapping[str, str]) -> Collection:
    """Collect with patience, showing progress on a terminal."""
    terminal = console.stderr_console(environ)
    counter = console.CallCounter(terminal, len(targets))
    seconds = max(60.0, runtime.scrape_timeout)
    collection = runtime.scraper.collect(targets, Budget.of(seconds, SystemClock(), (counter,)))
    terminal.progress("")
    return collection


def scrape(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Print one collection as a page of metrics."""
    application = _application(arguments, environ)
    runtime = application.runtime()
    budget = Budget.of(runtime.scrape_timeout, SystemClock())
    collection = runtime.scraper.collect(runtime.executions(), budget)
    page = generate_latest(application.metrics_registry(runtime, lambda: collection))
    sys.stdout.buffer.write(page)
    sys.stdout.flush()
    return 0 if all(o.success for o in collection.outcomes) else TARGET_FAILED


def demo(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Serve over the simulator, on loopback, and say where to look."""
    out = console.Console(sys.stdout, environ)
    with _simulator(arguments, 0) as cloud:
        forced = {
            "api": {"endpoint": cloud.base_url},
            "auth": {"iam_token": cloud.token},
            "executions": [
                {"id": id_, "alias": f"demo-{n:02}"} for n, id_ in enumerate(cloud.execution_ids(), 1)
            ],
            "history": {"enabled": True},
        }
        given = overrides(arguments)
        web = given.get("web", {})
        forced["web"] = {"listen_address": ["127.0.0.1:10317"], **web}
        log_level = {"level": "warn", **given.get("log", {})}
        application = _application(arguments, _without_ours(environ), {**forced, "log": log_level})

        def tell(server: Server) -> None:
            host, port = server.addresses[0]
            for line in demo_text(out, f"http://{host}:{port}", cloud.base_url, len(cloud.execution_ids())):
                out.say(line)

        return _serve(application, tell)


def _without_ours(environ: Mapping[str, str]) -> dict[str, str]:
    """Leave out what would point the demo at a real account."""
    return {k: v for k, v in environ.items() if not k.startswith(("YC_", "yc_"))}


def demo_text(out: console.Console, url: str, cloud: str, executions: int) -> list[str]:
    """Return what the demo says of itself."""
    return [
        out.paint("yc-workflow-exporter demo", "bold"),
        f"A simulated Yandex Cloud runs at {cloud}; the exporter watches {executions} of its executions.",
        "",
        f"  look     {url}/",
        f"  metrics  {url}/metrics",
        f"  probe    {url}/probe?execution_id=... (debug=true shows the calls)",
        f'  break it curl -X POST {cloud}/_simulator/faults -d \'{{"kind": "status", "code": 503}}\'',
        "",
        "With a real account:  YC_IAM_TOKEN=$(yc iam create-token) yc-workflow-exporter --execution <ID>",
        "Ctrl-C ends the demo.",
    ]


def simulate(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Run the simulator alone until SIGTERM or SIGINT."""
    out = console.Console(sys.stdout, environ)
    with _simulator(arguments, arguments.port) as cloud:
        out.say(f"endpoint   {cloud.base_url}")
        out.say(f"token      {cloud.token}")
        out.say("executions " + " ".join(cloud.execution_ids()))
        out.say(f"faults     {cloud.base_url}/_simulator/faults (GET, POST, DELETE)")
        out.say(f"conditions {cloud.base_url}/_simulator/conditions (GET, POST: latency, payload_bytes)")
        while signal.sigwait({signal.SIGTERM, signal.SIGINT, signal.SIGHUP}) == signal.SIGHUP:
            pass
    return 0


def completion(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Print the completion script of a shell."""
    console.Console(sys.stdout, environ).say(shtab.complete(parser(), arguments.shell))
    return 0


def entry() -> None:
    """Run the program."""
    sys.exit(main())
