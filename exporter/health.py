"""`python -m exporter.health [URL]`: is the exporter there? Asked by an image that has no other program."""

import http.client
import ssl
import sys
from collections.abc import Sequence
from contextlib import closing
from urllib.parse import urlsplit

URL = "http://127.0.0.1:10317/-/healthy"
SECONDS = 4
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def status(url: str) -> int:
    """Return the HTTP status of the answer, over TLS where the port speaks that; 0 for no HTTP at all."""
    try:
        code = _asked(url)
    except (http.client.HTTPException, ConnectionResetError):
        code = 0
    # 400 is what a port that wants TLS says to a plain request.
    if code not in {0, 400} or not url.startswith("http:"):
        return code
    try:
        return _asked(url.replace("http:", "https:", 1))
    except (http.client.HTTPException, ConnectionError, ssl.SSLError):
        # It wants a client certificate, or speaks no TLS either: then what it said first holds.
        return code


def _asked(url: str) -> int:
    parts = urlsplit(url)
    host, target = parts.hostname or "", parts.path or "/"
    connection = http.client.HTTPConnection(host, parts.port, timeout=SECONDS)
    if parts.scheme == "https":
        context = ssl.create_default_context()
        if host in LOOPBACK:
            # The certificate is made for the name that others use; here nobody is in between.
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(host, parts.port, timeout=SECONDS, context=context)
    with closing(connection):
        connection.request("GET", target)
        return connection.getresponse().status


def main(arguments: Sequence[str]) -> int:
    """Ask, say so in one line, and return 0 for health: any answer of HTTP that is no server error."""
    url = arguments[0] if arguments else URL
    try:
        code = status(url)
        said = f"{url}: HTTP {code}" if code else f"{url}: does not speak HTTP"
    except (OSError, ValueError, http.client.HTTPException) as error:
        code, said = 0, f"{url}: {error}"
    sys.stdout.write(f"{said}\n")
    return 0 if 0 < code < 500 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
