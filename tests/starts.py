"""Ways in which a start fails: what the program is given, and the one line that it must say."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import processes
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

AS_NOBODY = (
    'exec setpriv --reuid=65534 --regid=65534 --clear-groups "$@"' if os.getuid() == 0 else 'exec "$@"'
)
"""Runs a program as a user for whom permissions hold; the superuser has all."""
MOUNTED = 'exec unshare --mount sh -c \'mount -t tmpfs -o {} none "$0" && exec "$@"\' {{}}/mount "$@"'
if os.getuid():
    MOUNTED = MOUNTED.replace("unshare", "unshare --map-root-user")


@dataclass(frozen=True, slots=True)
class Row:
    """A start that fails: flags (`{}` is the folder of files), exit code, words of its line, circumstances.

    `shell` is a line of the shell that runs the program, its "$@".
    """

    flags: Sequence[str]
    code: int
    words: Sequence[str]
    shell: str = 'exec "$@"'
    environ: Mapping[str, str] = field(default_factory=dict)
    lines: int = 1


def listen(address: str, *words: str, **more: str) -> Row:
    """Return a row of an address that cannot be had."""
    return Row((f"--web.listen-address={address}",), 3, (address, "--web.listen-address", *words), **more)  # type: ignore[arg-type]  # the circumstances


def setting(flag: str, file: str, *words: str, shell: str = 'exec "$@"', code: int = 2) -> Row:
    """Return a row of a file that a flag names and that is not right."""
    return Row((f"--{flag}={file}",), code, (flag.removeprefix("--").replace("-", "_"), *words), shell)


def key(file: str, *words: str, shell: str = 'exec "$@"') -> Row:
    """Return a row of a key file that is not right; the remedy is the command that makes a new one."""
    flags = ("--auth.service-account-key-file={}/" + file,)
    return Row(flags, 2, ("auth", file, *words), shell)


def token(file: str, *words: str, shell: str = 'exec "$@"') -> Row:
    """Return a row of a token file that is not right."""
    return Row(("--auth.iam-token-file={}/" + file,), 2, ("auth", file, *words), shell)


def state(file: str, *words: str, shell: str = 'exec "$@"') -> Row:
    """Return a row of a state file that cannot be used."""
    return Row(("--state.file={}/" + file,), 2, ("state.file", file, *words), shell)


ADDRESSES = {
    "port in use": listen("127.0.0.1:{port}", "in use", "choose another"),
    "one of two ports in use": Row(
        ("--web.listen-address=127.0.0.1:0", "--web.listen-address=127.0.0.1:{port}"), 3, ("{port}", "in use")
    ),
    "privileged port": listen("127.0.0.1:80", "no permission", "above 1023", shell=AS_NOBODY),
    "not of this machine": listen("192.0.2.1:10317", "no such address"),
    "name that does not resolve": listen("no-such-host.invalid:10317"),
    "port too large": Row(("--web.listen-address=:70000",), 2, ("web.listen_address", "70000")),
    "not an address": Row(("--web.listen-address=here",), 2, ("web.listen_address", "here")),
}
CONFIGS = {
    "config missing": Row(("--config.file={}/none.yml",), 2, ("none.yml", "No such file")),
    "config unreadable": Row(("--config.file={}/secret",), 2, ("secret", "denied"), AS_NOBODY),
    "config a folder": Row(("--config.file={}",), 2, ("directory",)),
    "config a pipe without a writer": Row(("--config.file={}/pipe",), 2, ("pipe", "nobody has written")),
    "config binary": Row(("--config.file={}/binary",), 2, ("binary", "UTF-8")),
    "config endless": Row(("--config.file=/dev/zero",), 2, ("/dev/zero", "too large")),
    "config empty": Row(
        ("--config.file={}/empty",), 2, ("auth", "no credentials"), environ={"YC_IAM_TOKEN": ""}
    ),
}
KEYS = {
    "key missing": key("none.json", "No such file"),
    "key unreadable": key("secret", "denied", shell=AS_NOBODY),
    "key a folder": key("", "directory"),
    "key a pipe": key("pipe", "regular file"),
    "key not JSON": key("text", "JSON", "yc iam key create"),
    "key without fields": key("fields.json", "`id`", "yc iam key create"),
    "key public only": key("public.json", "`private_key`", "yc iam key create"),
    "key encrypted": key("encrypted.json", "`private_key`", "yc iam key create"),
}
TOKENS = {
    "token missing": token("none", "No such file"),
    "token unreadable": token("secret", "denied", shell=AS_NOBODY),
    "token a pipe": token("pipe", "regular file"),
    "token empty": token("empty", "empty", "yc iam create-token"),
    "no credentials": Row((), 2, ("auth", "no credentials"), environ={"YC_IAM_TOKEN": ""}),
}
IDS = {
    "IDs missing": setting("executions-file", "{}/none", "none", "No such file"),
    "IDs unreadable": setting("executions-file", "{}/secret", "denied", shell=AS_NOBODY),
    "IDs a pipe": setting("executions-file", "{}/pipe", "regular file"),
    "IDs huge": setting("executions-file", "{}/huge", "larger"),
}
STATES = {
    "state without its folder": state("none/state.db", "create the folder"),
    "state of another user": state("secret", "right", shell=AS_NOBODY),
    "state in a folder that is closed": state("closed/state.db", "writable", shell=AS_NOBODY),
    "state on a read-only disk": state("mount/state.db", "read-only", shell=MOUNTED.format("ro")),
    "state on a full disk": state("mount/state.db", "disk is full", shell=MOUNTED.format("size=4k")),
    "state corrupt": state("text", "not a state file"),
    "state in use": state("held.db", "in use by another process"),
    "state of a newer version": state("newer.db", "newer version"),
    "state in a link to itself": state("loop/state.db", "symbolic links"),
    "state a pipe": state("pipe", "a pipe", "regular file"),
}
WEBS = {
    "web file missing": Row(
        ("--web.config.file={}/none.yml",), 2, ("web.config_file", "none.yml", "No such file")
    ),
    "web file unreadable": Row(("--web.config.file={}/secret",), 2, ("web.config_file", "denied"), AS_NOBODY),
    "web file a pipe": Row(("--web.config.file={}/pipe",), 2, ("web.config_file", "regular file")),
    "web file with a missing certificate": Row(
        ("--web.config.file={}/web.yml",), 2, ("web.config_file", "cert_file", "none.crt", "correct the path")
    ),
    "web file with bad certificates": Row(
        ("--web.config.file={}/badweb.yml",), 2, ("web.config_file", "cert_file", "cannot be used", "PEM")
    ),
}
SURROUNDINGS = {
    "certificates missing": Row(
        (),
        2,
        ("SSL_CERT_FILE", "No such file", "unset"),
        environ={"SSL_CERT_FILE": "/none.pem", "REQUESTS_CA_BUNDLE": ""},
    ),
    "bundle missing": Row(
        (), 2, ("REQUESTS_CA_BUNDLE", "No such file", "unset"), environ={"REQUESTS_CA_BUNDLE": "/none.pem"}
    ),
    "proxy nonsense": Row((), 2, ("HTTPS_PROXY", "unset it"), environ={"HTTPS_PROXY": "::nonsense::"}),
    "proxy of SOCKS": Row((), 2, ("HTTPS_PROXY", "SOCKS"), environ={"HTTPS_PROXY": "socks5://proxy:1080"}),
    "unknown subcommand": Row(("chek",), 2, ("chek", "check"), lines=2),
    "unknown flag": Row(("--execuion=a",), 2, ("--execuion", "--execution"), lines=2),
    "unknown variable": Row((), 2, ("YC_WORKFLOW_FOLDRS", "FOLDERS"), environ={"YC_WORKFLOW_FOLDRS": "a"}),
    "no threads": Row((), 3, ("thread", "limit"), AS_NOBODY.replace("exec", "exec prlimit --nproc=1")),
    "few files": Row((), 3, ("open files", "ulimit -n"), 'ulimit -n 8; exec "$@"'),
}
ROWS = {**ADDRESSES, **CONFIGS, **KEYS, **TOKENS, **IDS, **STATES, **WEBS, **SURROUNDINGS}

TOGETHER = tuple(
    name
    for rows in (CONFIGS, KEYS, TOKENS, IDS, STATES, WEBS, SURROUNDINGS)
    for name, row in list(rows.items())[1:]
    if row.code == 2 and row.shell == 'exec "$@"' and "pipe" not in name
)
"""The rows that need no process of their own: of each kind, all but the first."""

CHECKED = (
    "key not JSON",
    "token missing",
    "IDs missing",
    "state without its folder",
    "web file missing",
    "proxy nonsense",
)
"""The rows that `check` is tried with as well, one of each kind of file."""


def missing(row: Row, folder: Path) -> str:
    """Return what of the circumstances of a row this machine cannot have; nothing if it can."""
    first_free = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    if "--web.listen-address=127.0.0.1:80" in row.flags and int(first_free.read_text()) <= 80:
        return "everybody may listen on port 80 here"
    shell = row.shell.replace("{}", str(folder))
    tried = subprocess.run(["sh", "-c", shell, "sh", "true"], capture_output=True, check=False, timeout=20)
    return "" if tried.returncode == 0 or "prlimit" in shell or "ulimit" in shell else tried.stderr.decode()


def prepare(folder: Path) -> None:
    """Write all files of the rows."""
    folder.chmod(0o755)
    (folder / "secret").write_text("t1.secret")
    (folder / "secret").chmod(0o600 if os.getuid() == 0 else 0)
    (folder / "closed").mkdir(0o555)
    (folder / "binary").write_bytes(b"a: \xff\xfe\x00\x80")
    (folder / "empty").write_text("")
    (folder / "text").write_text("neither this nor that")
    (folder / "oauth").write_text("y0_AgAAAA")
    (folder / "huge").touch()
    os.truncate(folder / "huge", 64 << 20)
    os.mkfifo(folder / "pipe")
    (folder / "mount").mkdir()
    (folder / "loop").symlink_to("loop")
    (folder / "web.yml").write_text("tls_server_config: {cert_file: none.crt, key_file: none.key}\n")
    (folder / "badweb.yml").write_text("tls_server_config: {cert_file: text, key_file: text}\n")
    header = bytearray(100)
    header[:16], header[60:64], header[68:72] = b"SQLite format 3\0", b"\0\0\0\x63", b"YCWF"
    (folder / "newer.db").write_bytes(header)
    _prepare_keys(folder)


def _prepare_keys(folder: Path) -> None:
    private = rsa.generate_private_key(65537, 2048)
    encrypted = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"word"),
    )
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    for name, pem in (("encrypted", encrypted), ("public", public)):
        fields = {"id": "aje", "service_account_id": "aje", "private_key": pem.decode()}
        (folder / f"{name}.json").write_text(json.dumps(fields))
    (folder / "fields.json").write_text("{}")


def asked(row: Row, folder: Path, port: int, command: str) -> tuple[list[str], dict[str, str]]:
    """Return the arguments and the environment of a row."""
    flags = [flag.replace("{}", str(folder)).replace("{port}", str(port)) for flag in row.flags]
    given = [] if any("listen" in flag for flag in flags) else ["--web.listen-address=127.0.0.1:0"]
    subcommand = [] if command == "serve" else [command]
    has_way = any("auth" in flag for flag in flags)
    environ = processes.clean_environ(**{**({} if has_way else {"YC_IAM_TOKEN": "t1.token"}), **row.environ})
    return [*subcommand, *flags, *given], {name: value for name, value in environ.items() if value}


def launched(row: Row, folder: Path, port: int) -> subprocess.CompletedProcess[str]:
    """Start the program in the circumstances of a row, and return how it ended."""
    arguments, environ = asked(row, folder, port, "serve")
    return subprocess.run(
        ["sh", "-c", row.shell.replace("{}", str(folder)), "sh", *processes.exporter_command(*arguments)],
        env=environ,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=40,
        check=False,
    )


SEVERAL = """
import contextlib, json, os, sys, tempfile
from exporter.cli import main
for arguments, environ in json.load(sys.stdin):
    os.environ.clear()
    os.environ.update(environ)
    out, err = (tempfile.TemporaryFile("w+", buffering=1) for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(arguments)
        except SystemExit as ended:
            code = ended.code
    said = [stream.seek(0) or stream.read() for stream in (out, err)]
    print(json.dumps((code, *said)), flush=True)
"""
"""A program that starts again and again in one process, most of whose time would go into loading."""


def launched_together(
    asked: Sequence[tuple[Sequence[str], Mapping[str, str]]],
) -> list[subprocess.CompletedProcess[str]]:
    """Start the program with arguments and environments, one after the other, and return how each ended."""
    done = subprocess.run(
        [*processes.exporter_command()[:1], "-c", SEVERAL],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    ends = [json.loads(line) for line in done.stdout.splitlines()]
    return [subprocess.CompletedProcess((), *end) for end in ends]
