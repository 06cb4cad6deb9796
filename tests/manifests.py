"""The manifests of deploy/kubernetes as they are applied, and what the restricted standard asks of a pod."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

KUBERNETES = Path(__file__).parent.parent / "deploy" / "kubernetes"
KUBECTL = Path(sys.executable).parent / "kubectl"
SAFE_VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected",
    "secret",
}  # fmt: skip
SAFE_SYSCTLS = {
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ping_group_range", "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem", "net.ipv4.tcp_syncookies", "net.ipv4.tcp_wmem",
}  # fmt: skip
SAFE_SELINUX = {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}


def built(folder: Path = KUBERNETES) -> list[dict[str, Any]]:
    """Return the objects that `kubectl apply -k` would apply; AssertionError with what kubectl says."""
    done = subprocess.run(
        [KUBECTL, "kustomize", folder], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def with_workload_identity(work: Path) -> list[dict[str, Any]]:
    """Return the objects when the line of the component is taken in, as the kustomization says."""
    folder = work / "kubernetes"
    shutil.copytree(KUBERNETES, folder)
    path = folder / "kustomization.yaml"
    text, number = re.subn(
        r"^  # - workload-identity$", "  - workload-identity", path.read_text(), flags=re.MULTILINE
    )
    assert number == 1
    path.write_text(text)
    return built(folder)


@dataclass(frozen=True, slots=True)
class Manifests:
    """What is built, with the parts that the tests ask for."""

    objects: list[dict[str, Any]]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return the objects of a kind."""
        return [each for each in self.objects if each["kind"] == kind]

    def one(self, kind: str) -> dict[str, Any]:
        """Return the only object of a kind; ValueError if there is another number of them."""
        (found,) = self.of(kind)
        return found

    @property
    def of_the_operator(self) -> list[dict[str, Any]]:
        """The objects of the Prometheus operator."""
        return [each for each in self.objects if each["apiVersion"] == "monitoring.coreos.com/v1"]

    @property
    def template(self) -> dict[str, Any]:
        """The template of the pods."""
        template: dict[str, Any] = self.one("StatefulSet")["spec"]["template"]
        return template

    @property
    def pod(self) -> dict[str, Any]:
        """The specification of the pods."""
        pod: dict[str, Any] = self.template["spec"]
        return pod

    @property
    def container(self) -> dict[str, Any]:
        """The only container."""
        (container,) = self.pod["containers"]
        found: dict[str, Any] = container
        return found


def containers(pod: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Return the containers of each kind."""
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        yield from pod.get(kind, [])


def violations(pod: Mapping[str, Any]) -> list[str]:
    """Return what the restricted Pod Security Standard forbids in a pod, by the paths of the fields.

    Source: the Kubernetes documentation, Pod Security Standards, all controls of Baseline and Restricted.
    """
    found = [f"{field}: is true" for field in ("hostNetwork", "hostPID", "hostIPC") if pod.get(field)]
    for volume in pod.get("volumes", []):
        found += [f"volumes.{volume['name']}.{kind}" for kind in volume.keys() - {"name"} - SAFE_VOLUMES]
    shared = pod.get("securityContext", {})
    found += _of_any_context(shared)
    found += [
        f"sysctls: {each['name']}" for each in shared.get("sysctls", []) if each["name"] not in SAFE_SYSCTLS
    ]
    for container in containers(pod):
        found += [f"{container['name']}.{fault}" for fault in _of_container(container, shared)]
    return found


def _of_any_context(context: Mapping[str, Any]) -> Iterator[str]:
    options = context.get("seLinuxOptions", {})
    if options.get("type", "") not in SAFE_SELINUX or options.get("user") or options.get("role"):
        yield "seLinuxOptions"
    if context.get("windowsOptions", {}).get("hostProcess"):
        yield "windowsOptions.hostProcess"
    if context.get("appArmorProfile", {}).get("type") == "Unconfined":
        yield "appArmorProfile.type"
    if context.get("runAsUser") == 0:
        yield "runAsUser: is 0"


def _of_container(container: Mapping[str, Any], shared: Mapping[str, Any]) -> Iterator[str]:
    own = container.get("securityContext", {})
    yield from _of_any_context(own)
    if own.get("privileged"):
        yield "privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation: is not false"
    capabilities = own.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", []) or set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        yield "capabilities"
    if own.get("runAsNonRoot", shared.get("runAsNonRoot")) is not True:
        yield "runAsNonRoot: is not true"
    profile = own.get("seccompProfile", shared.get("seccompProfile", {}))
    if profile.get("type") not in {"RuntimeDefault", "Localhost"}:
        yield "seccompProfile.type"
    if own.get("procMount", "Default") != "Default":
        yield "procMount"
    if any(port.get("hostPort") for port in container.get("ports", [])):
        yield "ports.hostPort"
    for name, handler in _handlers(container):
        if any(handler.get(way, {}).get("host") for way in ("httpGet", "tcpSocket")):
            yield f"{name}.host"


def _handlers(container: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        yield name, container.get(name, {})
    for name, handler in container.get("lifecycle", {}).items():
        if isinstance(handler, Mapping):
            yield f"lifecycle.{name}", handler
