"""An exporter as a user starts it, from its start to its end: asked to reload, ended, killed."""

import contextlib
import http.client
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import processes
from visitors import Door, Samples, samples

WITHIN = Path(__file__).parent / "within"
RELOADED = "yc_workflow_exporter_config_last_reload_success_timestamp_seconds"
REFUSED = "yc_workflow_exporter_config_last_reload_successful"
END_SECONDS = 15.0


class Life:
    """A process that serves; `door` is where, and may be any of the kinds of `doors` by and by."""

    def __init__(
        self, process: subprocess.Popen[bytes], door: Door, log: Path, doors: Sequence[str] = ()
    ) -> None:
        self.process = process
        self.door = door
        self.log = log
        self.doors = doors
        self.reloads = self.refusals = 0

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def in_use(self) -> tuple[int, int]:
        """Return the bytes that malloc has given, and how many small blocks Python has, garbage aside."""
        with socket.socket(socket.AF_UNIX) as asker:
            asker.settimeout(END_SECONDS)
            asker.connect(f"\0{_name(self.door)}")
            given, blocks = asker.recv(100).split()
        return int(given), int(blocks)

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.process.poll() is not None

    def values(self, *names: str) -> Samples:
        """Return samples of these names, for which no call is made."""
        query = "&".join(f"name[]={name}" for name in names)
        status, body = self.door.ask(f"/metrics?{query}")
        assert status == 200, body
        return samples(body.decode())

    def page(self) -> Samples:
        """Return the whole page."""
        status, body = self.door.ask("/metrics")
        assert status == 200, body
        return samples(body.decode())

    def answers(self) -> bool:
        """Whether it is healthy, for who may come in."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.door.ask("/-/healthy")[0] == 200
        return False

    def reload(self, *, by_signal: bool = False, refused: bool = False) -> None:
        """Have the configuration read again, and wait until it was, or was refused."""
        if self.is_over:
            return
        before = self.values(RELOADED, REFUSED)
        if by_signal:
            self.process.send_signal(signal.SIGHUP)
            processes.until(lambda: self._was_read(before, refused=refused))
        else:
            status, body = self.door.ask("/-/reload", "POST")
            assert status == (500 if refused else 200), body
        self.reloads += not refused
        self.refusals += refused

    def _was_read(self, before: Samples, *, refused: bool) -> bool:
        now = self.values(RELOADED, REFUSED)
        return not now[REFUSED] if refused else bool(now[REFUSED] and now[RELOADED] > before[RELOADED])

    def kill(self) -> None:
        """End it without a word."""
        self.process.kill()
        self.process.wait(END_SECONDS)

    def end(self) -> int:
        """Ask it to end and return its exit code."""
        self.process.terminate()
        return self.process.wait(END_SECONDS)


@contextlib.contextmanager
def lived(folder: Path, door: Door, *flags: str, doors: Sequence[str] = ()) -> Iterator[Life]:
    """Start an exporter on the port of a door and yield it when it answers; whatever happens, it ends."""
    folder.mkdir()
    log = folder / "exporter.log"
    command = processes.exporter_command(f"--web.listen-address=127.0.0.1:{door.port}", *flags)
    environ = processes.clean_environ(PYTHONPATH=str(WITHIN), TOLD_FROM_WITHIN=_name(door))
    with processes.running(command, log, environ) as process:
        life = Life(process, door, log, doors)
        processes.until(lambda: life.answers() or life.is_over)
        assert not life.is_over, log.read_text()
        yield life


def _name(door: Door) -> str:
    """Return what the socket is called that tells from within; a port is nobody else's."""
    return f"exporter-{door.port}"
