"""The door of a WSGI application: who may come in, and the headers that every answer bears."""

import base64
from collections.abc import Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from exporter.webconfig import Admission, WebConfigFile

RETRY = ("Retry-After", "5")
REALM = ("WWW-Authenticate", 'Basic realm="yc-workflow-exporter"')


def guarded(app: WSGIApplication, web_config: WebConfigFile | None) -> WSGIApplication:
    """Return the application behind the users and headers of a web configuration file, as it is by then."""
    if web_config is None:
        return app

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        extra = list(web_config.current().headers)

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            replaced = {name.lower() for name, _ in extra}
            kept = [(name, value) for name, value in headers if name.lower() not in replaced]
            return start_response(status, kept + extra, exc_info)

        admission = web_config.admits(_credentials(environ.get("HTTP_AUTHORIZATION", "")))
        if admission is Admission.GRANTED:
            return app(environ, start)
        if admission is Admission.TOO_MANY:
            retry = ("Retry-After", str(web_config.retry_after))
            return _turned_away(environ, start, "429 Too Many Requests", retry)
        if admission is Admission.LATER:
            return _turned_away(environ, start, "503 Service Unavailable", RETRY)
        return _turned_away(environ, start, "401 Unauthorized", REALM)

    return answer


def _credentials(authorization: str) -> tuple[str, bytes] | None:
    """Return the name and the password of an Authorization header; None where it has none."""
    scheme, _, encoded = authorization.partition(" ")
    try:
        user, colon, password = base64.b64decode(encoded, validate=True).partition(b":")
        return (user.decode(), password) if colon and scheme.lower() == "basic" else None
    except ValueError:
        return None


def _turned_away(
    environ: WSGIEnvironment, start: StartResponse, status: str, header: tuple[str, str]
) -> Iterable[bytes]:
    body = f"{status}\n".encode()
    start(status, [header, ("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]
