"""Compare servers for the exporter: in peace and under each attack (`make servers`).

`python tests/servers.py` prints a table for each; `python tests/servers.py NAME PORT` serves with one.
Each serves the same WSGI application, a page of 100 kB, with as many threads as it is allowed here.
"""

import contextlib
import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import siege
from processes import free_port, until

THREADS = 96
SIZE = 1000
ATTACK_SECONDS = 4.0
PEACE_SECONDS = 2.0
PAGE = b"yc_workflow_up 1\n" * 6000
ATTACKS = (
    "idle",
    "dripping heads",
    "dripping bodies",
    "readers that never read",
    "pipelines",
    "connect and close",
    "flood",
)


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer with a page, or with 404."""
    found = environ["PATH_INFO"] == "/metrics"
    body = PAGE if found else b"No such page.\n"
    start_response("200 OK" if found else "404 Not Found", [("Content-Length", str(len(body)))])
    return [body]


def with_exporter(port: int) -> None:
    """Serve with the exporter's own server."""
    server = importlib.import_module("exporter.server").Server(app, [f"127.0.0.1:{port}"], threads=THREADS)
    server.start()
    threading.Event().wait()


def with_wsgiref(port: int) -> None:
    """Serve with the standard library."""
    simple = importlib.import_module("wsgiref.simple_server")

    class Quiet(simple.WSGIRequestHandler):  # type: ignore[name-defined,misc]  # a module found at run time
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    simple.make_server("127.0.0.1", port, app, handler_class=Quiet).serve_forever()


def with_cheroot(port: int) -> None:
    """Serve with cheroot."""
    wsgi = importlib.import_module("cheroot.wsgi")
    wsgi.Server(("127.0.0.1", port), app, numthreads=THREADS, timeout=10).start()


def with_waitress(port: int) -> None:
    """Serve with waitress."""
    waitress = importlib.import_module("waitress")
    listen = f"127.0.0.1:{port}"
    waitress.serve(app, listen=listen, threads=THREADS, connection_limit=SIZE, channel_timeout=10)


def with_gunicorn(port: int) -> None:
    """Serve with gunicorn's threads."""
    base = importlib.import_module("gunicorn.app.base")

    class Application(base.BaseApplication):  # type: ignore[name-defined,misc]  # a module found at run time
        def load_config(self) -> None:
            """Say how."""
            given = {"bind": f"127.0.0.1:{port}", "worker_class": "gthread", "threads": THREADS}
            for name, value in {**given, "worker_connections": SIZE, "keepalive": 10, "timeout": 10}.items():
                self.cfg.set(name, value)

        def load(self) -> WSGIApplication:
            """Return the application."""
            return app

    Application().run()


def with_uvicorn(port: int) -> None:
    """Serve with uvicorn, which speaks ASGI, and a2wsgi."""
    a2wsgi, uvicorn = importlib.import_module("a2wsgi"), importlib.import_module("uvicorn")
    wrapped: Any = a2wsgi.WSGIMiddleware(app, workers=THREADS)
    uvicorn.run(wrapped, host="127.0.0.1", port=port, http="h11", log_level="error", limit_concurrency=SIZE)


def with_hypercorn(port: int) -> None:
    """Serve with hypercorn."""
    asyncio, config = importlib.import_module("asyncio"), importlib.import_module("hypercorn.config").Config()
    config.bind, config.keep_alive_timeout, config.read_timeout = [f"127.0.0.1:{port}"], 10, 10
    wrapped = importlib.import_module("hypercorn.middleware").AsyncioWSGIMiddleware(app)
    asyncio.run(importlib.import_module("hypercorn.asyncio").serve(wrapped, config))


SERVERS = {
    "exporter": with_exporter,
    "cheroot": with_cheroot,
    "waitress": with_waitress,
    "gunicorn": with_gunicorn,
    "uvicorn": with_uvicorn,
    "hypercorn": with_hypercorn,
    "wsgiref": with_wsgiref,
}


def family(pid: int) -> list[int]:
    """Return a process and its children: gunicorn's master only watches."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def in_peace(port: int, pid: int) -> tuple[float, float]:
    """Return requests per second over four connections, and milliseconds of CPU for one."""
    end = time.monotonic() + PEACE_SECONDS

    def client() -> int:
        number, connection = 0, HTTPConnection("127.0.0.1", port, timeout=10)
        while time.monotonic() < end:
            connection.request("GET", "/metrics")
            assert connection.getresponse().read() == PAGE
            number += 1
        connection.close()
        return number

    before = siege.Footprint.of(pid).cpu
    with ThreadPoolExecutor(4) as clients:
        number = sum(clients.map(lambda _: client(), range(4)))
    return number / PEACE_SECONDS, 1000 * (siege.Footprint.of(pid).cpu - before) / number


def tell(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


@contextlib.contextmanager
def served(name: str) -> Iterator[tuple[int, int, float]]:
    """Serve with one of them; return the port, the process and the seconds until the first answer."""
    port, began = free_port(), time.monotonic()
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}
    command = [sys.executable, __file__, name, str(port)]
    with subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: siege.asked(port), every=0.005)
            yield port, family(process.pid)[-1], time.monotonic() - began
        finally:
            for pid in reversed(family(process.pid)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def compare(name: str) -> None:
    """Print what one server does, a new one for each attack."""
    with served(name) as (port, pid, started):
        resident = siege.Footprint.of(pid).resident / 1024
        speed, cpu = in_peace(port, pid)
        tell(f"{name}: start {started:.2f} s, {resident:.0f} MB, {speed:.0f}/s, {cpu:.2f} ms of CPU")
    for attack in ATTACKS:
        with served(name) as (port, pid, _), siege.under_attack(port, attack, SIZE):
            report = siege.observed(port, pid, ATTACK_SECONDS, pause=0.05)
        tell(f"| {name} | {attack} | {report.said()} |")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        SERVERS[sys.argv[1]](int(sys.argv[2]))
    else:
        tell("| server | attack | median ms | worst ms | failures | threads | open files | MB |")
        for chosen in sys.argv[1:] or SERVERS:
            compare(chosen)
