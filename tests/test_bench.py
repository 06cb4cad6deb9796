"""The bench measures what it says: its cloud speaks the vendor's language, its rows are the README's."""

import json
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import bench
import pytest
from benched import Cloud, Exporter, WrongCalls, ids
from benchload import answers_a_second
from benchrows import ROWS
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from yandex.cloud.serverless.workflows.v1 import execution_service_pb2 as executions_pb2
from yandex.cloud.serverless.workflows.v1 import workflow_service_pb2 as workflows_pb2

TESTS = Path(__file__).parent
README = (TESTS.parent / "README.md").read_text()
FLOW = "dfqbench000000000000"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the bench."""
    command = [sys.executable, str(TESTS / "bench.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (f"/workflows/v1/execution/{ids(1)[0]}", executions_pb2.GetExecutionResponse()),
        (f"/workflows/v1/execution/{ids(1, 't-bench')[0]}", executions_pb2.GetExecutionResponse()),
        (f"/workflows/v1/execution?workflowId={FLOW}&pageSize=9", executions_pb2.ListExecutionsResponse()),
        (f"/workflows/v1/workflow/{FLOW}", workflows_pb2.GetWorkflowResponse()),
    ],
)
def test_the_cloud_of_the_bench_speaks_the_wire_format(path: str, message: Message) -> None:
    """Its answers are read by the vendor's own classes, payloads too."""
    with Cloud.running(0.0, 4000) as cloud, urllib.request.urlopen(f"{cloud.url}{path}") as answer:
        ParseDict(json.load(answer), message, ignore_unknown_fields=False)
    assert message.ByteSize() > 0


def test_a_payload_has_its_size() -> None:
    """What is said to weigh 4 MB does, half as input and half as result."""
    path = f"/workflows/v1/execution/{ids(1)[0]}"
    with Cloud.running(0.0, 4_000_000) as cloud, urllib.request.urlopen(f"{cloud.url}{path}") as answer:
        body = answer.read()
    assert len(body) == pytest.approx(4_000_000, rel=0.01)
    assert json.loads(json.loads(body)["execution"]["input"]["inputJson"])[0] == {"key": "value"}


def test_other_calls_than_expected_make_a_bench_void(tmp_path: Path) -> None:
    """A figure of an exporter that asks for less, or for more, is no figure."""
    with Cloud.running(0.0) as cloud, Exporter.running(tmp_path, cloud, 4, ids(3)) as exporter:
        exporter.get()
        cloud.expect(Execution_Get=3)
        exporter.get()
        with pytest.raises(WrongCalls, match=r"'Execution\.Get': 3.*'Execution\.Get': 2"):
            cloud.expect(Execution_Get=2)


def test_a_page_on_which_a_target_failed_makes_a_bench_void(tmp_path: Path) -> None:
    """An exporter that answers soon because it has read nothing is not fast; eight at once are heard, too."""
    with Cloud.running(0.0) as cloud, Exporter.running(tmp_path, cloud, 4, ids(3)) as exporter:
        exporter.together(2)
        cloud.process.terminate()
        cloud.process.wait()
        with pytest.raises(WrongCalls, match="targets failed"):
            exporter.get()
        with pytest.raises(WrongCalls, match="targets failed"):
            exporter.together(2)


def test_the_load_counts_answers() -> None:
    """What the cloud has answered is what the load has had, but for those on their way at the end."""
    with Cloud.running(0.0) as cloud:
        had = answers_a_second(cloud.port, 4, seconds=0.2)
        answered = cloud.calls()["Execution.Get"]
    assert 0 < had * 0.2 <= answered
    assert answered <= had * 0.5


def test_one_row_can_be_measured_alone() -> None:
    """`--only` prints the machine and that row: figure, ratio, target."""
    done = run("--only", "version")
    assert done.returncode == 0, done.stderr
    machine, _, row = done.stdout.splitlines()
    assert re.match(r"[0-9]+ CPUs, load [0-9.]+ before, Python 3", machine)
    assert re.search(r"`--version` +[0-9.]+ s +[0-9.]+ +0\.2 s +(ok|OVER)$", row)


def test_a_row_that_is_none_is_refused() -> None:
    """Who mistypes a name is told the names."""
    done = run("--only", "versoin")
    assert done.returncode == 2
    assert all(name in done.stderr for name in ROWS)


def test_the_table_of_the_readme_has_every_row() -> None:
    """What is promised there can be measured again, and nothing that is measured is left out."""
    section = README.split("<!-- bench -->\n")[1].split("<!-- /bench -->")[0]
    told = [line.split(" | ")[0].removeprefix("| ") for line in section.splitlines()[2:]]
    source = (TESTS / "benchrows.py").read_text()
    assert len(told) == len(ROWS)
    assert all(f'"{work}' in source for work in told), told


def test_the_machine_names_what_was_measured() -> None:
    """A figure means nothing without the versions under it."""
    versions = r"Python [0-9.]+, requests [0-9.]+, urllib3 [0-9.]+, prometheus-client [0-9.]+"
    assert re.fullmatch(rf"[0-9]+ CPUs, load [0-9.]+ before, {versions}", bench.machine())
