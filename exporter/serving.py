"""The life of a serving process: listen, reload when told, drain and end."""

import contextlib
import logging
import resource
import threading
from collections.abc import Callable

from exporter.application import Application
from exporter.config import ConfigError
from exporter.server import ListenFailed, Server
from exporter.signals import wait_for_the_end
from exporter.web import LANES, WebApp
from exporter.webconfig import WebConfigFile
from exporter.yandex.calls import SystemClock

log = logging.getLogger(__name__)

DRAIN_SECONDS = 5.0
"""How long requests may go on after the signal to end; a second before, they get what there is."""
FEWEST_FILES = 32
"""Open files without which no connection can be served and asked for."""
REMEDY = "correct the path or its permissions"


class Reloads:
    """Reloads in a thread of its own, so that a signal to end need not wait for one.

    What is asked for while one is under way is one more afterwards, however often it is asked.
    """

    def __init__(self, reload: Callable[[], None]) -> None:
        self._reload = reload
        self._asked = threading.Event()
        self._thread = threading.Thread(target=self._work, name="reload", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def ask(self) -> None:
        """Have the configuration read again, soon."""
        self._asked.set()

    def _work(self) -> None:
        while self._asked.wait():
            self._asked.clear()
            # Whatever goes wrong is in the log and in a metric, and the old configuration holds.
            with contextlib.suppress(Exception):
                self._reload()


def web_config(application: Application) -> WebConfigFile | None:
    """Return the web configuration file, read; raises ConfigError."""
    path = application.parts.settings.web.config_file
    try:
        return WebConfigFile(path) if path else None
    except OSError as error:
        raise ConfigError(
            [f"web.config_file: {str(path)!r} cannot be read: {error.strerror}; {REMEDY}"]
        ) from None
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
    reloads = Reloads(application.reload)
    try:
        _begin(server, reloads)
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
        number = wait_for_the_end(reloads.ask)
        log.info("stopping", extra={"fields": {"signal": number.name, "grace_seconds": DRAIN_SECONDS}})
    finally:
        _stop(server, application)
    log.info("stopped")
    return 0


def _begin(server: Server, reloads: Reloads) -> None:
    """Listen; raises ListenFailed, for want of files or threads, too."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files != resource.RLIM_INFINITY and files < FEWEST_FILES:
        raise ListenFailed(f"only {files} open files are allowed; raise the limit of open files (ulimit -n)")
    try:
        reloads.start()
        server.start()
    except RuntimeError as error:
        said = f"{error}; raise the limit of processes and threads (ulimit -u, TasksMax, pids limit)"
        raise ListenFailed(f"cannot serve: {said}") from None


def _stop(server: Server, application: Application) -> None:
    """Let requests end, and when that takes long let them have what has been read so far."""
    hurry = threading.Timer(DRAIN_SECONDS - 1.0, application.hurry)
    hurry.daemon = True
    # Where no thread can be had, nobody is hurried.
    with contextlib.suppress(RuntimeError):
        hurry.start()
    server.stop(DRAIN_SECONDS)
    hurry.cancel()
    application.close()
