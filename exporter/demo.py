"""The product without an account: the simulator alone, and the exporter over it."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from exporter.application import started
from exporter.config import ConfigError
from exporter.console import Console
from exporter.server import ListenFailed, Server
from exporter.serving import serve
from exporter.settings.flags import overrides
from exporter.signals import wait_for_the_end
from exporter.simulator import Simulator

FAULT = '{"kind": "status", "code": 503}'
CONDITIONS = "latency, payload_bytes, page_limit, filters, overlap"
ITS_OWN = ("config", "auth", "executions", "executions_file", "workflows", "folders")
"""What the demo brings along, whatever else is given."""


def simulated(arguments: argparse.Namespace, port: int) -> Simulator:
    """Return a started simulator; raises ConfigError, or ListenFailed if the port cannot be had."""
    try:
        cloud = Simulator(
            port=port, speed=arguments.speed, seed=arguments.seed, executions=arguments.population,
            latency=arguments.latency, payload_bytes=arguments.payload,
        )  # fmt: skip
        cloud.start()
    except ValueError as error:
        raise ConfigError([f"--{error}"]) from None
    except OSError as error:
        raise ListenFailed(f"--port {port}: {error.strerror}; choose another port") from None
    return cloud


def simulate(arguments: argparse.Namespace, out: Console) -> int:
    """Run the simulator alone until SIGTERM or SIGINT."""
    with simulated(arguments, arguments.port) as cloud:
        admin = f"{cloud.base_url}/_simulator"
        out.table(
            [
                ("endpoint", cloud.base_url),
                ("token", cloud.token),
                *(("folder", id_) for id_ in cloud.folder_ids),
                *(("workflow", id_) for folder in cloud.folder_ids for id_ in cloud.workflow_ids(folder)),
                *(("execution", id_) for id_ in cloud.execution_ids()),
                ("faults", f"{admin}/faults (GET, POST, DELETE)"),
                ("conditions", f"{admin}/conditions (GET, POST: {CONDITIONS})"),
            ]
        )
        wait_for_the_end(lambda: None)
    return 0


def demo(arguments: argparse.Namespace, environ: Mapping[str, str], out: Console, version: str) -> int:
    """Serve over the simulator, on loopback, and say where to look."""
    given = overrides(arguments)
    with simulated(arguments, 0) as cloud:
        settings = _settings(given, cloud)
        # What is set for a real account is not for the demo.
        theirs = {k: v for k, v in environ.items() if not k.upper().startswith("YC_")}
        application = started(settings, theirs, version)

        def tell(server: Server) -> None:
            unused = [key for key in ITS_OWN if key in given]
            for line in told(out, server.urls[0], cloud, unused):
                out.say(line)

        return serve(application, version, tell)


def _settings(given: Mapping[str, Any], cloud: Simulator) -> dict[str, Any]:
    named = [{"id": id_, "alias": f"demo-{n:02}"} for n, id_ in enumerate(cloud.execution_ids(), 1)]
    return {
        **{key: value for key, value in given.items() if key not in ITS_OWN},
        "api": {**given.get("api", {}), "endpoint": cloud.base_url},
        "auth": {"iam_token": cloud.token},
        "executions": named,
        "folders": list(cloud.folder_ids),
        "history": {"enabled": True, **given.get("history", {})},
        "web": {"listen_address": ["127.0.0.1:10317"], **given.get("web", {})},
        "log": {"level": "warn", **given.get("log", {})},
    }


def told(out: Console, url: str, cloud: Simulator, unused: Sequence[str]) -> list[str]:
    """Return what the demo says of itself."""
    faults = f"{cloud.base_url}/_simulator/faults"
    executions, folders = len(cloud.execution_ids()), len(cloud.folder_ids)
    return [
        out.paint("yc-workflow-exporter demo", "bold"),
        f"A simulated Yandex Cloud runs at {cloud.base_url}; the exporter watches",
        f"{executions} executions and the workflows of {folders} folders of it.",
        *([f"Not used by the demo, which brings its own: {', '.join(unused)}."] if unused else []),
        "",
        f"  look      {url}/",
        f"  metrics   {url}/metrics",
        f"  probe     {url}/probe?workflow_id=... or ?execution_id=... (debug=true shows the calls)",
        f"  discover  {url}/sd",
        f"  break it  curl -X POST {faults} -d '{FAULT}'",
        f"  heal it   curl -X DELETE {faults}",
        "",
        "With a real account:  YC_IAM_TOKEN=$(yc iam create-token) yc-workflow-exporter --folder <ID>",
        "Ctrl-C ends the demo.",
    ]
