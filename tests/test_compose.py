"""compose.yaml and what it mounts, as far as that can be said without an engine."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.settings.arguments import parsed

ROOT = Path(__file__).parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
PROVISIONING = ROOT / "grafana" / "provisioning"


def mounts() -> list[tuple[str, str, Path, str]]:
    """Return service, source, the source's path and the target of each file or folder that is mounted."""
    found = []
    for name, service in SERVICES.items():
        for volume in service.get("volumes", []):
            source, target, *_ = volume.split(":")
            if source.startswith("."):
                found.append((name, source, ROOT / source, target))
    return found


def test_the_schema_of_compose_has_nothing_to_say() -> None:
    """The file is valid under the Compose specification."""
    checker = Path(sys.executable).parent / "check-jsonschema"
    command = [str(checker), "--builtin-schema", "vendor.compose-spec", str(ROOT / "compose.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_all_that_is_mounted_is_there_and_read_only() -> None:
    """A path that is not there would be made as an empty folder, owned by root, and nothing would say so."""
    assert len(mounts()) >= 5
    for service, source, path, _ in mounts():
        assert path.exists(), f"{service}: {source}"
        assert f"{source}:" in str(SERVICES[service]["volumes"])
    bound = [v for s in SERVICES.values() for v in s.get("volumes", []) if v.startswith(".")]
    assert all(volume.endswith(":ro") for volume in bound)


def test_named_volumes_are_declared_and_used() -> None:
    """Each service keeps its data in a volume of its own."""
    used = {v.split(":")[0] for s in SERVICES.values() for v in s.get("volumes", []) if v[0] not in "./"}
    assert used == set(COMPOSE["volumes"])


def test_the_services_find_each_other() -> None:
    """Prometheus' targets, Alertmanager and Grafana's data source are services at their own ports."""
    prometheus = yaml.safe_load((ROOT / "prometheus" / "prometheus.yml").read_text())
    source = yaml.safe_load((PROVISIONING / "datasources" / "prometheus.yml").read_text())["datasources"][0]
    assert prometheus["scrape_configs"][0]["static_configs"] == [{"targets": ["exporter:10317"]}]
    alertmanagers = prometheus["alerting"]["alertmanagers"][0]["static_configs"]
    assert alertmanagers == [{"targets": ["alertmanager:9093"]}]
    assert source["url"] == "http://prometheus:9090"
    published = {name: service["ports"][0].split(":")[-1] for name, service in SERVICES.items()}
    assert published == {"exporter": "10317", "prometheus": "9090", "alertmanager": "9093", "grafana": "3000"}
    assert source["jsonData"]["timeInterval"] == prometheus["global"]["scrape_interval"]


def test_ports_are_published_on_loopback_alone() -> None:
    """A demo with an open Grafana is nobody else's business."""
    assert all(port.startswith("127.0.0.1:") for s in SERVICES.values() for port in s["ports"])


def test_the_demo_takes_its_command() -> None:
    """The command line of the container is one that the exporter takes."""
    arguments = parsed(SERVICES["exporter"]["command"])
    assert (arguments.command, SERVICES["exporter"]["build"]) == ("demo", ".")


def test_grafana_finds_the_dashboards_where_they_are_mounted() -> None:
    """The provider's path is a mount of grafana/dashboards, and the first page is one of them."""
    provider = yaml.safe_load((PROVISIONING / "dashboards" / "yandex-workflows.yml").read_text())[
        "providers"
    ][0]
    target = next(t for _, _, path, t in mounts() if path == ROOT / "grafana" / "dashboards")
    assert provider["options"]["path"] == target
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home.startswith(target + "/")
    shown = ROOT / "grafana" / "dashboards" / home.rsplit("/", 1)[1]
    assert json.loads(shown.read_text())["uid"] == "ycwf-overview"


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_images_are_pinned_and_hardened(service: str) -> None:
    """No `latest`; no capabilities, no new privileges."""
    described = SERVICES[service]
    image = described.get("image", "built:here")
    assert ":" in image
    assert not image.endswith(":latest")
    assert described["cap_drop"] == ["ALL"]
    assert described["security_opt"] == ["no-new-privileges:true"]


def test_the_grafana_of_compose_is_one_that_the_dashboards_are_made_for() -> None:
    """From 10 to 13, pinned."""
    version = re.fullmatch(r"grafana/grafana:(\d+)\.\d+\.\d+", SERVICES["grafana"]["image"])
    assert version
    assert 10 <= int(version[1]) <= 13
