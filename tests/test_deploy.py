"""The Kubernetes manifests: valid, hardened, they agree, and the exporter runs as they say."""

import copy
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from docs import label_names
from manifests import KUBERNETES, Manifests, built, containers, violations, with_workload_identity
from operatorrules import ROOT, prometheus_rules
from operatortypes import faults, install
from processes import clean_environ, get, run_exporter, serving, until
from rulebook import FOLDER, RULE_FILES, loaded, run

from exporter.serving import DRAIN_SECONDS
from exporter.settings.arguments import parsed
from exporter.settings.flags import settings_rows
from exporter.simulator import Simulator
from exporter.web import READY_SECONDS

_KNOWN = list(dict.fromkeys(each.removesuffix(".0") for each in kubernetes_validate.utils.all_versions()))
VERSIONS = sorted({*_KNOWN[::4], "1.27", _KNOWN[-1]}, key=_KNOWN.index)
DOCKERFILE = (ROOT / "Dockerfile").read_text()
OF_A_TARGET = {"job", "instance", "namespace", "pod", "service", "endpoint", "container", "node"}
"""What the operator makes of a target; a label of the exporter that is called so is renamed or lost."""
NAME = "yc-workflow-exporter"
EXAMPLE_ACCOUNT = "aje000000000example0"


@pytest.fixture(scope="module")
def usual() -> Manifests:
    """Return what is applied when nothing is changed."""
    return Manifests(built())


@pytest.fixture(scope="module", params=["key", "workload-identity"])
def manifests(
    request: pytest.FixtureRequest, usual: Manifests, tmp_path_factory: pytest.TempPathFactory
) -> Manifests:
    """Return what is applied, in each way to authenticate."""
    if request.param == "key":
        return usual
    return Manifests(with_workload_identity(tmp_path_factory.mktemp("identity")))


@pytest.fixture(scope="module")
def packages() -> Path:
    """Return where the types of the operator are."""
    return install()


# Schemas.


@pytest.mark.parametrize("version", VERSIONS)
def test_each_version_of_kubernetes_takes_the_objects(version: str, manifests: Manifests) -> None:
    """The oldest of the schemas, the newest, some between; strictly: an unknown field is an error."""
    own = [each for each in manifests.objects if each not in manifests.of_the_operator]
    assert len(own) == 6
    for each in own:
        kubernetes_validate.validate(each, version, strict=True)


@pytest.mark.parametrize("version", [VERSIONS[0], VERSIONS[-1]])
def test_the_schemas_tell_what_is_wrong(version: str, manifests: Manifests) -> None:
    """A field that is mistyped, one of another type, one that is missing."""

    def refused(change: Callable[[dict[str, Any]], object]) -> bool:
        wrong = copy.deepcopy(manifests.one("StatefulSet"))
        change(wrong["spec"])
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(wrong, version, strict=True)
        return True

    assert refused(lambda spec: spec["template"]["spec"]["containers"][0].update(livenesProbe={}))
    assert refused(lambda spec: spec.update(replicas="one"))
    assert refused(lambda spec: spec.pop("selector"))


@pytest.fixture(scope="module")
def told(usual: Manifests, packages: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return what is said of the operator's objects, 0 to 2, and of three that are wrong."""
    rule, other, monitor = usual.of_the_operator
    mistyped, timed, empty = copy.deepcopy(monitor), copy.deepcopy(monitor), copy.deepcopy(rule)
    mistyped["spec"]["endpoints"][0]["intervall"] = "30s"
    timed["spec"]["endpoints"][0]["interval"] = "30 s"
    del empty["spec"]["groups"][0]["rules"][0]["expr"]
    assert monitor["kind"] == "ServiceMonitor"
    return faults([rule, other, monitor, mistyped, timed, empty], tmp_path_factory.mktemp("types"), packages)


def test_the_operator_takes_its_objects(told: str) -> None:
    """By the types and the patterns of its own sources: what is said is said of the others."""
    assert all(re.match("[345]: | ", line) for line in told.splitlines())


@pytest.mark.parametrize("fault", ["3: .*intervall", "4: .*interval must match", "5: .*expr"])
def test_the_types_of_the_operator_tell_what_is_wrong(fault: str, told: str) -> None:
    """A field that is mistyped, a duration that is none, a rule without an expression."""
    assert re.search(f"^{fault}", told, re.MULTILINE)


def test_the_operator_is_told_the_same_in_each_way(manifests: Manifests, usual: Manifests) -> None:
    """What was looked at is what is applied."""
    assert manifests.of_the_operator == usual.of_the_operator


# Rules.


def test_the_rules_of_the_operator_are_those_of_prometheus() -> None:
    """With their comments, and no file more; `make docs` writes them."""
    wanted = prometheus_rules()
    assert len(wanted) == len(RULE_FILES)
    assert {path: path.read_text() for path in wanted} == wanted


def test_promtool_takes_the_rules_as_the_operator_writes_them(manifests: Manifests, tmp_path: Path) -> None:
    """The specification of each object is a file of rules, equal in content to one of prometheus/rules."""
    paths = []
    for number, each in enumerate(manifests.of("PrometheusRule")):
        paths.append(tmp_path / f"{number}.yml")
        paths[-1].write_text(yaml.safe_dump(each["spec"]))
    code, said = run("promtool", "check", "rules", "--lint=all", "--lint-fatal", *paths)
    assert code == 0, said
    known = [loaded(path) for path in RULE_FILES]
    assert all(loaded(path) in known for path in paths)


def test_the_operator_scrapes_as_the_example_of_prometheus_does(manifests: Manifests) -> None:
    """At the same interval, with the same timeout, which the exporter is told."""
    (endpoint,) = manifests.one("ServiceMonitor")["spec"]["endpoints"]
    example = loaded(FOLDER / "prometheus.yml")["global"]
    assert endpoint["interval"] == example["scrape_interval"]
    assert endpoint["scrapeTimeout"] == example["scrape_timeout"]


def test_no_label_of_the_exporter_is_lost(manifests: Manifests) -> None:
    """None is called like one that the operator gives to a target, so nothing needs to be honoured."""
    (endpoint,) = manifests.one("ServiceMonitor")["spec"]["endpoints"]
    assert endpoint["honorLabels"] is False
    assert label_names()
    for name, labels in label_names().items():
        assert not OF_A_TARGET & set(labels), name


def test_the_rules_find_the_job(manifests: Manifests) -> None:
    """The job is the name of the Service, by which YcWorkflowExporterAbsent and -Down look for it."""
    monitor, service = manifests.one("ServiceMonitor"), manifests.one("Service")
    assert "jobLabel" not in monitor["spec"]
    patterns = set(re.findall(r'up\{job=~"([^"]+)"\}', (FOLDER / "rules" / "alerts.yml").read_text()))
    assert patterns
    assert all(re.fullmatch(pattern, service["metadata"]["name"]) for pattern in patterns)


def test_counters_go_on_after_a_restart(manifests: Manifests) -> None:
    """Their series have the name of the pod, which stays, and not its address; their state is on a volume."""
    (endpoint,) = manifests.one("ServiceMonitor")["spec"]["endpoints"]
    named = {"sourceLabels": ["__meta_kubernetes_pod_name"], "targetLabel": "instance"}
    assert named in endpoint["relabelings"]
    (claim,) = manifests.one("StatefulSet")["spec"]["volumeClaimTemplates"]
    mounts = {each["name"]: each for each in manifests.container["volumeMounts"]}
    mount = mounts[claim["metadata"]["name"]]
    assert f"--state.file={mount['mountPath']}/state.db" in manifests.container["args"]
    assert "readOnly" not in mount


# Hardening.


def test_the_pod_is_restricted(manifests: Manifests) -> None:
    """By every control of the restricted standard, which the namespace enforces."""
    assert violations(manifests.pod) == []
    labels = manifests.one("Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


GONE = object()
_OWN = "containers.0.securityContext"
WEAKENED = (
    ("hostNetwork: is true", "hostNetwork", True),
    ("hostPID: is true", "hostPID", True),
    ("hostIPC: is true", "hostIPC", True),
    ("volumes.h.hostPath", "volumes", [{"name": "h", "hostPath": {"path": "/"}}]),
    ("runAsUser: is 0", "securityContext.runAsUser", 0),
    ("sysctls: kernel.x", "securityContext.sysctls", [{"name": "kernel.x"}]),
    ("seLinuxOptions", "securityContext.seLinuxOptions", {"user": "u"}),
    ("appArmorProfile.type", "securityContext.appArmorProfile", {"type": "Unconfined"}),
    ("exporter.runAsNonRoot: is not true", "securityContext.runAsNonRoot", GONE),
    ("exporter.runAsNonRoot: is not true", f"{_OWN}.runAsNonRoot", False),
    ("exporter.seccompProfile.type", "securityContext.seccompProfile", GONE),
    ("exporter.seccompProfile.type", f"{_OWN}.seccompProfile", {"type": "Unconfined"}),
    ("exporter.privileged", f"{_OWN}.privileged", True),
    ("exporter.allowPrivilegeEscalation: is not false", f"{_OWN}.allowPrivilegeEscalation", GONE),
    ("exporter.capabilities", f"{_OWN}.capabilities", GONE),
    ("exporter.capabilities", f"{_OWN}.capabilities.add", ["SYS_TIME"]),
    ("exporter.procMount", f"{_OWN}.procMount", "Unmasked"),
    ("exporter.windowsOptions.hostProcess", f"{_OWN}.windowsOptions", {"hostProcess": True}),
    ("exporter.ports.hostPort", "containers.0.ports.0.hostPort", 80),
    ("exporter.livenessProbe.host", "containers.0.livenessProbe.httpGet.host", "x"),
    ("exporter.lifecycle.preStop.host", "containers.0.lifecycle", {"preStop": {"tcpSocket": {"host": "x"}}}),
    (
        "i.capabilities",
        "initContainers",
        [{"name": "i", "securityContext": {"allowPrivilegeEscalation": False}}],
    ),
)
"""What the standard has to say when a field of the pod is changed: the words, the field, its value."""


@pytest.mark.parametrize(("told", "field", "value"), WEAKENED)
def test_what_is_weakened_is_told(told: str, field: str, value: object, usual: Manifests) -> None:
    """Each control of the standard on its own."""
    pod = copy.deepcopy(usual.pod)
    *path, last = field.split(".")
    inner: Any = pod
    for key in path:
        inner = inner[int(key) if key.isdigit() else key]
    if value is GONE:
        del inner[last]
    else:
        inner[last] = value
    assert violations(pod) == [told]


def test_the_pod_has_less_than_is_allowed(manifests: Manifests) -> None:
    """Nothing to write but its state, no token of Kubernetes, none of its variables."""
    pod = manifests.pod
    assert all(each["securityContext"]["readOnlyRootFilesystem"] is True for each in containers(pod))
    assert pod["automountServiceAccountToken"] is False
    assert manifests.one("ServiceAccount")["automountServiceAccountToken"] is False
    assert pod["serviceAccountName"] == manifests.one("ServiceAccount")["metadata"]["name"]
    assert pod["enableServiceLinks"] is False
    writable = [each["name"] for each in manifests.container["volumeMounts"] if not each.get("readOnly")]
    assert writable == ["state"]


def test_the_user_is_that_of_the_image(manifests: Manifests) -> None:
    """By number, and the volumes are of its group."""
    (user, group) = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)[-1]
    context = manifests.pod["securityContext"]
    assert (context["runAsUser"], context["runAsGroup"], context["fsGroup"]) == (
        int(user),
        int(group),
        int(group),
    )


def test_no_secret_is_in_the_manifests(manifests: Manifests) -> None:
    """The key is put there by hand, and read by the group of the exporter alone."""
    assert not manifests.of("Secret")
    key = next(each for each in manifests.pod["volumes"] if each["name"] == "key")
    (content,) = (value for name, value in key.items() if name != "name")
    assert content["defaultMode"] == 0o440


# How the objects go together.


def test_every_file_is_used() -> None:
    """What no kustomization names is applied by nobody."""
    for folder in (KUBERNETES, KUBERNETES / "prometheus-operator", KUBERNETES / "workload-identity"):
        text = (folder / "kustomization.yaml").read_text()
        others = {each.name for each in folder.iterdir()} - {"kustomization.yaml"}
        assert others
        assert all(re.search(rf"\b{re.escape(name)}\b", text) for name in others)


def test_the_labels_select_what_is_meant(manifests: Manifests) -> None:
    """The pods by the StatefulSet, the Service and the policy; the Service by the ServiceMonitor."""
    labels = manifests.template["metadata"]["labels"].items()
    stateful, service = manifests.one("StatefulSet")["spec"], manifests.one("Service")
    assert stateful["selector"]["matchLabels"].items() <= labels
    assert service["spec"]["selector"].items() <= labels
    assert manifests.one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"].items() <= labels
    assert stateful["serviceName"] == service["metadata"]["name"]
    wanted = manifests.one("ServiceMonitor")["spec"]["selector"]["matchLabels"]
    assert wanted.items() <= service["metadata"]["labels"].items()


def test_all_objects_are_in_one_namespace(manifests: Manifests) -> None:
    """The one that is made, and that the command for the Secret names."""
    namespace = manifests.one("Namespace")["metadata"]["name"]
    others = [each for each in manifests.objects if each["kind"] != "Namespace"]
    assert {each["metadata"]["namespace"] for each in others} == {namespace}
    (made,) = re.findall(
        r"kubectl -n (\S+) create secret generic (\S+) --from-file=(\S+)", _text("statefulset")
    )
    assert made == (namespace, f"{NAME}-key", "key.json")


def _text(name: str) -> str:
    return (KUBERNETES / f"{name}.yaml").read_text()


def test_there_is_one_port(manifests: Manifests) -> None:
    """Of the exporter by default, the image, container, Service, policy, scrape and probes."""
    (default,) = (row.default for row in settings_rows() if row.key == "web.listen_address")
    port = int(str(default).strip(":"))
    (own,) = manifests.container["ports"]
    (served,) = manifests.one("Service")["spec"]["ports"]
    (ingress,) = manifests.one("NetworkPolicy")["spec"]["ingress"]
    assert (own["containerPort"], served["port"], served["targetPort"]) == (port, port, own["name"])
    assert re.findall(r"^EXPOSE (\d+)$", DOCKERFILE, re.MULTILINE) == [str(port)]
    assert ingress["ports"] == [{"port": port, "protocol": "TCP"}]
    assert manifests.one("ServiceMonitor")["spec"]["endpoints"][0]["port"] == served["name"]
    assert {manifests.container[name]["httpGet"]["port"] for name in PROBES} == {own["name"]}


def test_the_exporter_reaches_names_and_https_alone(manifests: Manifests) -> None:
    """All endpoints that it asks by default are https."""
    policy = manifests.one("NetworkPolicy")["spec"]
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    (egress,) = policy["egress"]
    assert {(each["protocol"], each["port"]) for each in egress["ports"]} == {
        ("UDP", 53),
        ("TCP", 53),
        ("TCP", 443),
    }


def test_what_is_mounted_is_there_and_used(manifests: Manifests) -> None:
    """Each volume is mounted, each mount has its volume, and each file that an argument names lies on one."""
    claims = manifests.one("StatefulSet")["spec"]["volumeClaimTemplates"]
    volumes = [each["name"] for each in manifests.pod["volumes"]] + [
        each["metadata"]["name"] for each in claims
    ]
    mounts = manifests.container["volumeMounts"]
    assert sorted(each["name"] for each in mounts) == sorted(volumes)
    files = re.findall(r"=(/\S+)", " ".join(manifests.container["args"]))
    assert {path.rpartition("/")[0] for path in files} == {each["mountPath"] for each in mounts}


def test_a_change_of_the_configuration_is_a_rollout(manifests: Manifests) -> None:
    """The ConfigMap has the hash of its content in its name, and the pod names it so."""
    config = manifests.one("ConfigMap")
    assert re.fullmatch(rf"{NAME}-[a-z0-9]{{10}}", config["metadata"]["name"])
    volume = next(each for each in manifests.pod["volumes"] if each["name"] == "config")
    assert volume["configMap"] == {"name": config["metadata"]["name"]}
    assert f"--config.file=/etc/{NAME}/{next(iter(config['data']))}" in manifests.container["args"]


def test_the_image_is_of_this_version(manifests: Manifests) -> None:
    """The kustomization says where it is; nothing is called latest."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert manifests.container["image"] == f"registry.example/{NAME}:{version}"


def test_there_is_time_to_end(manifests: Manifests) -> None:
    """More than the exporter takes to let requests end."""
    assert manifests.pod["terminationGracePeriodSeconds"] >= DRAIN_SECONDS + 5


def test_a_probe_waits_for_as_long_as_an_answer_takes(manifests: Manifests) -> None:
    """Readiness may ask for a token first; a start may take a minute, and so may what ends a life."""
    probes = {name: manifests.container[name] for name in PROBES}
    assert probes["readinessProbe"]["timeoutSeconds"] > READY_SECONDS
    for name in ("startupProbe", "livenessProbe"):
        assert probes[name]["periodSeconds"] * probes[name]["failureThreshold"] >= 60


def test_resources_are_asked_for(manifests: Manifests) -> None:
    """CPU and memory; memory is limited, CPU is not, for a throttled exporter is late."""
    resources = manifests.container["resources"]
    assert set(resources["requests"]) == {"cpu", "memory"}
    assert set(resources["limits"]) == {"memory"}
    sizes = [re.fullmatch(r"(\d+)Mi", resources[kind]["memory"]) for kind in ("requests", "limits")]
    requested, limit = (int(size[1]) for size in sizes if size)
    assert requested < limit
    assert re.fullmatch(r"\d+m", resources["requests"]["cpu"])


# The exporter, run as the manifests say.

PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


@pytest.fixture
def cloud() -> Iterator[Simulator]:
    """Return a cloud with some lives in it."""
    with Simulator() as simulator:
        yield simulator


def mounted(folder: Path, files: Mapping[str, str]) -> None:
    """Lay out the files of a volume as the kubelet does: behind links, so that all change at once."""
    (folder / "..2026").mkdir(parents=True)
    (folder / "..data").symlink_to("..2026")
    for name, text in files.items():
        (folder / "..2026" / name).write_text(text)
        (folder / name).symlink_to(f"..data/{name}")


def arguments(manifests: Manifests, cloud: Simulator, root: Path) -> list[str]:
    """Lay out what is mounted below a folder, and return the arguments with that folder before each path."""
    root.mkdir()
    places = {
        each["name"]: root / each["mountPath"].lstrip("/") for each in manifests.container["volumeMounts"]
    }
    mounted(places["config"], manifests.one("ConfigMap")["data"])
    key = cloud.create_key(root)
    mounted(places["key"], {key.name: key.read_text(), "token": cloud.subject_token})
    places["state"].mkdir(parents=True)
    given = [each.replace("=/", f"={root}/") for each in manifests.container["args"]]
    return [each.replace(EXAMPLE_ACCOUNT, cloud.service_account_id) for each in given]


def environment(cloud: Simulator) -> Mapping[str, str]:
    """Return variables that lead the exporter to a cloud and to the folder there."""
    return clean_environ(
        YC_WORKFLOW_API__ENDPOINT=cloud.base_url,
        YC_WORKFLOW_API__IAM_ENDPOINT=cloud.base_url,
        YC_WORKFLOW_FOLDERS=cloud.folder_id,
    )


def federated(manifests: Manifests, cloud: Simulator) -> list[str]:
    """Return the flag that the endpoint of the exchange needs, where there is an exchange."""
    if any("workload-identity" in each for each in manifests.container["args"]):
        return [f"--auth.workload-identity.endpoint={cloud.base_url}"]
    return []


def test_the_configuration_is_valid(manifests: Manifests, cloud: Simulator, tmp_path: Path) -> None:
    """The real `check` has nothing to say of it; the arguments are those of a server."""
    given = arguments(manifests, cloud, tmp_path / "root")
    assert parsed(manifests.container["args"]).command is None
    done = run_exporter("check", *given)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert "configuration is valid" in done.stdout


def test_the_exporter_runs_as_the_manifests_say(
    manifests: Manifests, cloud: Simulator, tmp_path: Path
) -> None:
    """Over a cloud; all probes answer 200, and the page has the cloud's data."""
    given = [*arguments(manifests, cloud, tmp_path / "root"), *federated(manifests, cloud)]
    with serving(tmp_path, *given, environ=environment(cloud)) as (url, _):
        for name in PROBES:
            until(lambda name=name: get(url + manifests.container[name]["httpGet"]["path"])[0] == 200)  # type: ignore[misc]
        page = get(f"{url}/metrics")[1]
    assert "yc_workflow_up 1.0" in page
    assert "yc_workflow_active_executions{" in page


def test_an_exporter_that_is_not_ready_lives_and_is_scraped(
    manifests: Manifests, cloud: Simulator, tmp_path: Path
) -> None:
    """Without a token it is not ready, not restarted, and says yc_workflow_up 0: the Service keeps it."""
    given = [*arguments(manifests, cloud, tmp_path / "root"), *federated(manifests, cloud)]
    cloud.revoke_keys()
    cloud.rotate_subject_token()
    probes = {name: manifests.container[name]["httpGet"]["path"] for name in PROBES}
    with serving(tmp_path, *given, environ=environment(cloud)) as (url, _):
        found = {name: get(url + path)[0] for name, path in probes.items()}
        page = get(f"{url}/metrics")
    assert found == {"startupProbe": 200, "livenessProbe": 200, "readinessProbe": 503}
    assert (page[0], "yc_workflow_up 0.0" in page[1]) == (200, True)
    assert manifests.one("Service")["spec"]["publishNotReadyAddresses"] is True
    assert manifests.one("StatefulSet")["spec"]["podManagementPolicy"] == "Parallel"
