"""The life of a serving process: listen, reload when told, drain and end."""

import contextlib
import logging
import signal
import threading
from collections.abc import Callable

from exporter.application import Application
from exporter.config import ConfigError
from exporter.server import Server
from exporter.web import LANES, WebApp
from exporter.webconfig import WebConfigFile
from exporter.yandex.calls import SystemClock

log = logging.getLogger(__name__)

SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
DRAIN_SECONDS = 5.0
"""How long requests may go on after the signal to end; a second before, they get what there is."""


def block_signals() -> None:
    """Keep the signals for `serve`; to be called before any thread is born, so that all inherit it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


def wait_for_the_end(on_reload: Callable[[], None]) -> None:
    """Wait for SIGTERM or SIGINT; SIGHUP calls `on_reload`. A second one ends the process at once."""
    while signal.sigwait(SIGNALS) == signal.SIGHUP:
        on_reload()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})


def web_config(application: Application) -> WebConfigFile | None:
    """Return the web configuration file, read; raises ConfigError."""
    path = application.parts.settings.web.config_file
    try:
        return WebConfigFile(path) if path else None
    except OSError as error:
        raise ConfigError([f"web.config_file: {str(path)!r} cannot be read: {error.strerror}"]) from None
    except ValueError as error:
        raise ConfigError([f"web.config_file: {error}"]) from None


def serve(application: Application, version: str, tell: Callable[[Server], None] = lambda _: None) -> int:
    """Serve until a signal ends it, and return the exit code; `tell` is called when it listens.

    Raises ConfigError, or ListenFailed.
    """
    app = WebApp(
        application.runtime,
        metrics_registry=application.metrics_registry,
        probe_registry=application.probe_registry,
        reload=application.reload,
        clock=SystemClock(),
        version=version,
    )
    listen = application.parts.settings.web.listen_address
    server = Server(app, listen, web_config=web_config(application), lanes=LANES)
    server.start()
    try:
        watched = application.runtime().watched()
        fields = {
            "urls": ",".join(server.urls),
            "executions": len(watched.executions),
            "workflows": len(watched.workflows),
            "folders": len(watched.folders),
            "version": version,
        }
        log.info("serving", extra={"fields": fields})
        tell(server)
        wait_for_the_end(lambda: _reload(application))
        log.info("stopping")
    finally:
        _stop(server, application)
    return 0


def _reload(application: Application) -> None:
    """Reload; whatever goes wrong is in the log and in a metric, and the old configuration holds."""
    with contextlib.suppress(Exception):
        application.reload()


def _stop(server: Server, application: Application) -> None:
    """Let requests end, and when that takes long let them have what has been read so far."""
    hurry = threading.Timer(DRAIN_SECONDS - 1.0, application.runtime().scraper.close)
    hurry.daemon = True
    hurry.start()
    server.stop(DRAIN_SECONDS)
    hurry.cancel()
    application.close()
