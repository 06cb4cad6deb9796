"""Marked secrets in every place that can hold one are in nothing that the process emits."""

import base64
import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import echo
import planted
import processes
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from test_server import certificate, hashed
from wire import serving

from exporter.simulator import Simulator

CONFESS = Path(__file__).parent / "confess.py"
PATHS = (
    "/metrics",
    "/",
    "/config",
    "/sd",
    "/-/ready",
    "/-/healthy",
    "/nowhere",
    "/probe",
    "/probe?execution_id=",
)
SHAPES = ("t1.", "y0_", "AQVN", "eyJhbGciOiJQUzI1NiJ9.")


def work(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """Return a folder for all that the process writes, and an environment that sends it there."""
    folder = tmp_path / "work"
    folder.mkdir(exist_ok=True)
    return folder, processes.clean_environ(HOME=str(folder), TMPDIR=str(folder))


def key_file(path: Path, plants: planted.Plants) -> Path:
    """Write an authorized key with a secret in each line of its PEM, and one in its comment."""
    key = rsa.generate_private_key(65537, 2048)
    no_password = serialization.NoEncryption()
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, no_password
    ).decode()
    # The first line and the last are of every key, and of none.
    for number, line in enumerate(pem.splitlines()[2:-2]):
        plants.keep(f"line {number} of the key", line)
    comment = f"PLEASE DO NOT REMOVE THIS LINE! {plants.new('comment of the key')}"
    fields = {"id": "ajekey", "service_account_id": "ajeaccount", "private_key": f"{comment}\n{pem}"}
    path.write_text(json.dumps(fields))
    return path


def ways(folder: Path, url: str, plants: planted.Plants) -> dict[str, dict[str, Any]]:
    """Return the ways to authenticate at a cloud, as sections of the configuration."""
    for name in ("token file", "subject token"):
        (folder / name.replace(" ", "-")).write_text(plants.new(name))
    identity = {"service_account_id": "aje1", "token_file": str(folder / "subject-token"), "endpoint": url}
    return {
        "value": {"iam_token": plants.new("iam_token in the file")},
        "file": {"iam_token_file": str(folder / "token-file")},
        "key": {"service_account_key_file": str(key_file(folder / "key.json", plants))},
        "metadata": {"metadata": {"endpoint": url}},
        "identity": {"workload_identity": identity},
    }


def configured(path: Path, url: str, auth: dict[str, Any], **more: Any) -> str:
    """Write a configuration, and return its name."""
    api = {"endpoint": url, "iam_endpoint": url, "timeout": "2s"}
    quick = {"timeout": "3s", "timeout_offset": "0s"}
    path.write_text(
        json.dumps({"api": api, "auth": auth, "scrape": quick, "log": {"level": "debug"}, **more})
    )
    return str(path)


def asked(
    url: str, path: str, method: str = "GET", context: ssl.SSLContext | None = None, **headers: str
) -> bytes:
    """Return all of an answer: status, headers and body."""
    request = urllib.request.Request(url + path, method=method, headers=headers)
    https = urllib.request.HTTPSHandler(context=context)
    try:
        with urllib.request.build_opener(https).open(request, timeout=15) as answer:
            return b"%d %s\n%s\n%s" % (
                answer.status,
                answer.reason.encode(),
                bytes(answer.headers),
                answer.read(),
            )
    except urllib.error.HTTPError as error:
        with error:
            return b"%d %s\n%s\n%s" % (error.code, error.reason.encode(), bytes(error.headers), error.read())


def issued(plants: planted.Plants) -> dict[str, str]:
    """Return the tokens that the hostile cloud gives, by what is in the path that asks for one."""
    return {
        "/iam/v1/tokens": plants.new("answer of IAM"),
        "/computeMetadata/": plants.new("answer of the metadata service"),
        "/oauth/token": plants.new("answer of the token exchange"),
    }


def confessed(tmp_path: Path, plan: dict[str, Any]) -> dict[str, bytes]:
    """Run the jobs of a plan, and return all that came out."""
    folder, environ = work(tmp_path)
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    done = subprocess.run(
        [sys.executable, str(CONFESS), str(tmp_path / "plan.json")],
        env={**environ, "PYTHONPATH": os.pathsep.join((str(CONFESS.parent), str(CONFESS.parent.parent)))},
        cwd=folder, capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return {"standard output": done.stdout, "standard error": done.stderr, **planted.files(folder)}


def test_the_search_finds_a_secret_in_every_spelling() -> None:
    """The guard of this file: whichever way a secret is written down, it is found."""
    plants = planted.Plants()
    secrets = [plants.new("one"), plants.new("two", "t1.")]
    for secret in secrets:
        for form, spelled in planted.spellings(secret):
            assert plants.found({"text": f"so: {spelled.upper()}!".encode()}), form
        for before in ("", "a", "ab"):
            encoded = base64.b64encode(f"{before}{secret}:more".encode())
            assert plants.found({"text": encoded})
    assert plants.found({"text": b"nothing of the kind"}) == []


def test_no_way_to_authenticate_tells_its_secret(tmp_path: Path) -> None:
    """Whatever a token's place answers, and however it repeats what it was sent: in no output, in no repr."""
    plants = planted.Plants()
    with serving(echo.echo(issued(plants))) as cloud:
        every = ways(tmp_path, cloud.url, plants)
        good = [configured(tmp_path / f"{way}.yml", cloud.url, auth) for way, auth in every.items()]
        jobs = []
        for mode in range(len(echo.MODES)):
            # Each way sees another spelling of the same answer.
            for spelling, way in enumerate(("key", "metadata", "identity"), mode):
                if mode > 2 and spelling % 3:
                    continue
                url = f"{cloud.url}/{echo.name(mode, spelling % len(echo.SPELLINGS))}"
                auth = ways(tmp_path, url, plants)[way] if way != "key" else every[way]
                path = configured(tmp_path / f"{way}-{mode}.yml", url, auth, executions=["dfq1"])
                jobs.append({"arguments": ["check", "--live", f"--config.file={path}"], "environ": {}})
        out = confessed(tmp_path, {"jobs": jobs, "applications": good})
        assert len(cloud.requests) > len(jobs)
    lines = out["standard output"].splitlines()
    assert sum(line.startswith(b"no IAM token: ") for line in lines) == len(jobs)
    assert b"tokens: 5" in out["standard output"]
    assert b"RuntimeError: cannot send" in out["standard error"]
    assert plants.found(out) == []


def misplaced(plants: planted.Plants, tmp_path: Path, url: str) -> Iterator[dict[str, Any]]:
    """Yield command lines with a secret where none belongs."""
    key = key_file(tmp_path / "other-key.json", plants).read_text()
    pem = json.loads(key)["private_key"]
    secrets = {shape: plants.new(f"misplaced {shape}", shape) for shape in SHAPES}
    password = plants.new("password in an address")
    usable = {"iam_token_file": str(tmp_path / "token-file")}
    trees: list[dict[str, Any]] = [
        {"auth": {"iam_token_file": key}},
        {"auth": {"service_account_key_file": pem}},
    ]
    trees += [
        {"auth": usable, "api": {name: f"https://ann:{quote(password, safe='')}@h"}}
        for name in ("endpoint", "iam_endpoint")
    ]
    for secret in secrets.values():
        trees += [
            {"auth": {"iam_token_file": secret}}, {"auth": {"service_account_key_file": secret}},
            {"auth": {"iam_token": secret, **usable}}, {"auth": {"metadata": secret}}, {"auth": secret},
            {"auth": {"token": secret}}, {"auth": {**usable, secret: 1}}, {secret: secret},
            {"log": {"level": secret}},
            {"executions": [secret], "auth": usable}, {"workflows": [{"id": secret}], "auth": usable},
            {"folders": [{"id": "b1g", "labels": secret}]}, {"api": {"timeout": secret}},
            {"api": {"endpoint": f"http://{secret}"}},
            {"web": {"listen_address": [secret]}}, {"state": {"file": f"/nowhere/{secret}"}, "auth": usable},
            {"executions_file": f"/nowhere/{secret}", "auth": usable},
        ]  # fmt: skip
    for number, tree in enumerate(trees):
        path = tmp_path / f"misplaced-{number}.yml"
        path.write_text(json.dumps(tree))
        yield {"arguments": ["check", f"--config.file={path}"], "environ": {}}
    for name, secret in secrets.items():
        (tmp_path / "broken.yml").write_text(f"auth: {{iam_token: {secret}\n  - {secret}: *{name}\n")
        for words in (
            [f"--iam-token={secret}"],
            ["--log.level", secret],
            [f"--execution={secret}"],
            [secret],
        ):
            yield {"arguments": ["check", "--api.endpoint", url, *words], "environ": {"YC_TOKEN": secret}}
        broken = ["check", f"--config.file={tmp_path}/broken.yml"]
        yield {
            "arguments": broken,
            "environ": {f"YC_WORKFLOW_{secret}": "x", "YC_WORKFLOW_AUTH__TOKEN": secret},
        }
    for variable in ("YC_WORKFLOW_AUTH__IAM_TOKEN", "YC_IAM_TOKEN", "YC_TOKEN"):
        bad = {variable: f"{plants.new(f'bad value of {variable}')} \u00e9"}
        yield {"arguments": ["check", "--live", f"--api.endpoint={url}"], "environ": bad}
    for proxy in (
        "http://ann:{}@127.0.0.1:9",
        "ann:{}@127.0.0.1:9",
        "socks5://ann:{}@127.0.0.1:9",
        "http://ann:{}@:x",
    ):
        given = {
            "HTTPS_PROXY": proxy.format(quote(password, safe="")),
            "YC_TOKEN": plants.new("token through a proxy"),
        }
        words = ["check", "--live", "--execution=dfq1", "--scrape.timeout=1s", "--log.level=debug"]
        yield {"arguments": [*words, "--api.endpoint=https://cloud.invalid"], "environ": given}


def test_a_secret_in_the_wrong_place_is_not_repeated(tmp_path: Path) -> None:
    """In a path, an ID, a key, a flag, a variable's name or an address: what is wrong is told without it."""
    plants = planted.Plants()
    with serving(echo.echo(issued(plants))) as cloud:
        ways(tmp_path, cloud.url, plants)
        jobs = list(misplaced(plants, tmp_path, cloud.url))
        out = confessed(
            tmp_path,
            {
                "jobs": jobs,
                "applications": [configured(tmp_path / "good.yml", cloud.url, {"metadata": cloud.url})],
            },
        )
    assert out["standard error"].count(b"\n") >= len(jobs) - 10
    assert plants.found(out) == []


def told(heard: dict[str, bytes], name: str, what: bytes) -> None:
    """Keep what was heard under a name of its own."""
    heard[f"{name} ({len(heard)})"] = what


def ask_everything(
    url: str, plants: planted.Plants, context: ssl.SSLContext | None, right: str
) -> dict[str, bytes]:
    """Ask for every page, well and badly, with secrets in every part of a request; return what was heard."""
    heard: dict[str, bytes] = {}
    secret = {shape: plants.new(f"query of a probe {shape}", shape) for shape in SHAPES}
    cookie, wrong = plants.new("cookie of a client"), plants.new("wrong password of a client")
    for user in (f"ann:{right}", f"ann:{wrong}", f"{secret['t1.']}:{wrong}", ""):
        basic = {"Authorization": "Basic " + base64.b64encode(user.encode()).decode()} if user else {}
        for path in PATHS:
            told(heard, path, asked(url, path, context=context, Cookie=f"session={cookie}", **basic))
    basic = {"Authorization": "Basic " + base64.b64encode(f"ann:{right}".encode()).decode()}
    for value in secret.values():
        for path in (
            f"/probe?execution_id={value}", f"/probe?workflow_id={value}&debug=true", f"/probe?{value}=1",
            f"/metrics?name[]={value}", f"/{value}", f"/config?{value}",
        ):  # fmt: skip
            told(heard, path[:10], asked(url, path, context=context, **basic))
    for method in ("PUT", "DELETE", "POST", "OPTIONS", "TRACE"):
        for path in ("/metrics", "/-/reload"):
            told(
                heard,
                f"{method} {path}",
                asked(url, path, method, context, Cookie=f"session={cookie}", **basic),
            )
    told(heard, "bearer", asked(url, "/metrics", context=context, Authorization=f"Bearer {cookie}"))
    return heard


def garbled(url: str, plants: planted.Plants, context: ssl.SSLContext | None) -> dict[str, bytes]:
    """Send what is no HTTP, with a secret in it; return what was heard."""
    heard: dict[str, bytes] = {}
    secret = plants.new("garbled request").encode()
    for request in (
        secret + b"\r\n\r\n", b"GET /" + secret + b" HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + secret + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: " + secret + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: " + secret + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: " + secret + b"\r\nConnection: close\r\n\r\n",
        b"POST /-/reload HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\nConnection: close\r\n\r\n" + secret,
    ):  # fmt: skip
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", urlsplit(url).port or 0), 5) as plain,
            context.wrap_socket(plain) if context else plain as sock,
        ):
            sock.sendall(request)
            sock.shutdown(socket.SHUT_WR)
            told(heard, "garbled", sock.recv(65536))
    return heard


def test_a_serving_process_tells_no_secret_to_a_hostile_cloud_or_to_its_clients(tmp_path: Path) -> None:
    """Behind TLS and passwords, over a cloud that repeats the token in all its answers, reloaded badly."""
    plants = planted.Plants()
    folder, environ = work(tmp_path)
    right = plants.new("right password of a client")
    users = {"ann": plants.keep("bcrypt hash", hashed(right))}
    certificate(tmp_path, "server")
    for number, line in enumerate((tmp_path / "server.key").read_text().splitlines()[2:-2]):
        plants.keep(f"line {number} of the TLS key", line)
    tls = {"cert_file": "server.crt", "key_file": "server.key"}
    (tmp_path / "web.yml").write_text(json.dumps({"tls_server_config": tls, "basic_auth_users": users}))
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    ids = [echo.name(m, s) for m in range(len(echo.MODES) - 1) for s in range(len(echo.SPELLINGS))]
    more: dict[str, Any] = {
        "web": {"config_file": "web.yml", "enable_lifecycle": True},
        "executions": ids[:3],
    }
    more["history"] = {"enabled": True}
    with serving(echo.echo(issued(plants))) as cloud:
        auth = ways(tmp_path, cloud.url, plants)["key"]
        path = configured(tmp_path / "config.yml", cloud.url, auth, **more)
        port = processes.free_port()
        url = f"https://127.0.0.1:{port}"
        command = processes.exporter_command(
            f"--config.file={path}", f"--web.listen-address=127.0.0.1:{port}"
        )
        with processes.running(command, folder / "log", environ) as process:
            processes.until(lambda: asked(url, "/-/healthy", context=context))
            heard = ask_everything(url, plants, context, right) | garbled(url, plants, context)
            basic = {"Authorization": "Basic " + base64.b64encode(f"ann:{right}".encode()).decode()}
            for parts in (ids[::2], ids[1::2], [echo.name(len(echo.MODES) - 1, 3)]):
                query = "&".join(f"execution_id={each}" for each in parts)
                told(heard, "debugged", asked(url, f"/probe?debug=true&{query}", context=context, **basic))
            query = "&".join(f"workflow_id={each}" for each in ids[::7])
            told(heard, "debugged", asked(url, f"/probe?debug=true&{query}", context=context, **basic))
            Path(path).write_text(json.dumps({plants.new("key of a bad reload", "t1."): 1, "auth": auth}))
            told(heard, "reload", asked(url, "/-/reload", "POST", context, **basic))
            (tmp_path / "web.yml").write_text(
                json.dumps({"basic_auth_users": {"ann": plants.new("no hash")}})
            )
            told(heard, "after a bad web file", asked(url, "/metrics", context=context, **basic))
            heard |= planted.process(process.pid)
            process.send_signal(signal.SIGHUP)
        assert len(cloud.requests) > len(ids)
    said = b"".join(heard.values())
    assert said.count(b"&lt;secret&gt;") + said.count(b"<secret>") > len(ids) // 2
    for code in (b"200 OK", b"400 ", b"401 ", b"404 ", b"405 ", b"500 "):
        assert any(each.startswith(code) for each in heard.values()), code
    assert plants.found(heard | planted.files(folder)) == []


def private(plants: planted.Plants, execution_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return an execution and its history with a secret in each field that is never exported."""
    error = {"message": plants.new("error message"), "errorCode": "STEP_FAIL"}
    execution = {
        "id": execution_id, "workflowId": "dfqw", "status": "FAILED",
        "startedAt": "2025-03-10T15:54:44Z", "duration": "2s",
        "input": {"inputJson": json.dumps({"password": plants.new("input")})},
        "result": {"resultJson": json.dumps(plants.new("result"))}, "error": error,
    }  # fmt: skip
    entry = {
        "id": "step", "title": "Step", "status": "FAILED",
        "startedAt": "2025-03-10T15:54:44Z", "duration": "1s",
        "description": plants.new("description of a step"), "type": "HTTP_CALL", "attempts": "2",
        "input": {"inputJson": plants.new("input of a step")},
        "output": {"outputJson": plants.new("output of a step")},
        "error": error, "lastError": {"message": plants.new("last error"), "errorCode": "HTTP_CALL_500"},
    }  # fmt: skip
    return {"execution": execution}, {"execution": {"id": execution_id}, "entries": [entry]}


@pytest.mark.parametrize("variable", ["YC_WORKFLOW_AUTH__IAM_TOKEN", "YC_IAM_TOKEN"])
def test_what_executions_hold_is_not_exported(variable: str, tmp_path: Path) -> None:
    """Inputs, results, outputs, messages and the token: on no page, in no log and not in the state file."""
    plants = planted.Plants()
    folder, environ = work(tmp_path)
    with Simulator(executions=0) as cloud:
        execution, history = private(plants, "dfqw-1")
        cloud.put_workflow(
            "dfqw", name="orders", description=plants.new("description"), specification=plants.new("yawl")
        )
        cloud.put("dfqw-1", workflow_id="dfqw", status="FAILED", raw=execution, raw_history=history)
        plants.keep("token of the environment", cloud.token)
        path = tmp_path / "config.yml"
        state = {"file": str(folder / "state.db")}
        path.write_text(json.dumps({
            "api": {"endpoint": cloud.base_url}, "executions": ["dfqw-1"], "workflows": ["dfqw"],
            "folders": [cloud.folder_id],
            "history": {"enabled": True}, "log": {"level": "debug", "format": "json"}, "state": state,
            "lookback": "3650d",
        }))  # fmt: skip
        given = {**environ, variable: cloud.token}
        command = ["--config.file", str(path)]
        texts: dict[str, bytes] = {}
        with processes.serving(folder, *command, environ=given) as (url, process):
            texts = ask_everything(url, plants, None, "none")
            told(texts, "probe", asked(url, "/probe?execution_id=dfqw-1&workflow_id=dfqw&debug=true"))
            texts |= planted.process(process.pid)
        for words in (["check"], ["check", "--live"], ["scrape"]):
            done = processes.run_exporter(*words, *command, environ=given)
            told(texts, " ".join(words), (done.stdout + done.stderr).encode())
    assert any(b'error_code="STEP_FAIL"' in text for text in texts.values())
    assert any(b'step_id="step"' in text for text in texts.values())
    assert (folder / "state.db").exists()
    assert plants.found(texts | planted.files(folder)) == []
