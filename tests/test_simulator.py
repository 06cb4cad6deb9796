"""The simulator is the only fake, so it is proved: against the vendor's classes, and fault by fault."""

import http.client
import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from google.protobuf import duration_pb2, timestamp_pb2
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated import BORN, DEADLINE, EXECUTION, WORKFLOW, Caller, HandClock, Reply, get, same
from yandex.cloud.serverless.workflows.v1 import execution_service_pb2 as executions_pb2
from yandex.cloud.serverless.workflows.v1 import workflow_service_pb2 as workflows_pb2

from exporter.simulator import Entry, Failure, Fault, FaultRule, Simulator, Status, wire
from exporter.simulator.iam import AUDIENCE

assert error_details_pb2  # its types must be known to print google.rpc.Status


@pytest.fixture
def clock() -> HandClock:
    """Return a clock that stands still."""
    return HandClock()


@pytest.fixture
def cloud(clock: HandClock) -> Iterator[Simulator]:
    """Run the demo's world at a fixed moment."""
    with Simulator(clock=clock) as running:
        yield running


@pytest.fixture
def empty(clock: HandClock) -> Iterator[Simulator]:
    """Run a world with nothing in it."""
    with Simulator(clock=clock, executions=0) as running:
        yield running


# What it says is the vendor's wire format


@pytest.mark.parametrize("minutes", [0, 0.5, 1, 1.5, 2.1, 3, 11, 100])
def test_every_answer_is_the_vendors_message_at_any_age(
    cloud: Simulator, clock: HandClock, minutes: float
) -> None:
    """Get, GetHistory and List of every execution and workflow parse strictly and come back equal."""
    clock.now += minutes * 60
    caller = Caller(cloud)
    for workflow_id in cloud.workflow_ids():
        same(caller.ask(f"{WORKFLOW}/{workflow_id}").json, workflows_pb2.GetWorkflowResponse())
        page = caller.ask(EXECUTION, workflowId=workflow_id, pageSize=1000).json
        same(page, executions_pb2.ListExecutionsResponse())
        for preview in page["executions"]:
            path = f"{EXECUTION}/{preview['id']}"
            same(caller.ask(path).json, executions_pb2.GetExecutionResponse())
            same(caller.ask(f"{path}/history").json, executions_pb2.GetExecutionHistoryResponse())
    flows = caller.ask(WORKFLOW, folderId=cloud.folder_id).json
    same(flows, workflows_pb2.ListWorkflowsResponse())


@pytest.mark.parametrize("status", list(Status))
def test_what_a_test_puts_is_the_vendors_message_too(empty: Simulator, status: Status) -> None:
    """Every field of an execution and of a history entry survives the vendor's classes."""
    entries: list[Entry | Mapping[str, Any]] = [
        Entry(
            id="charge",
            status="FAILED",
            title="Charge",
            description="d",
            started_at=1,
            duration=10**9 + 1,
            output_json="{}",
            error=Failure("STEP_TIMEOUT", "m"),
            attempts=3,
            last_error=Failure("X"),
        ),
        {"id": "raw", "attempts": "2"},
    ]
    put: dict[str, Any] = {"started_at": BORN, "duration": 1.070697344, "error": ("STEP_TIMEOUT", "late")}
    empty.put("e-1", status=status, payload_bytes=100, history=entries, **put)
    body = Caller(empty).ask(f"{EXECUTION}/e-1").json
    same(body, executions_pb2.GetExecutionResponse())
    assert body["execution"]["duration"] == "1.070697344s"
    assert len(body["execution"]["input"]["inputJson"]) == 100
    history = Caller(empty).ask(f"{EXECUTION}/e-1/history").json
    same(history, executions_pb2.GetExecutionHistoryResponse())
    assert "input" not in history["execution"]


@given(st.integers(-62135596800 * 10**9, 253402300799 * 10**9 + 999_999_999))
@settings(deadline=None)
def test_a_timestamp_is_printed_as_protobuf_prints_it(nanos: int) -> None:
    """Any instant of the years 1 to 9999, to the nanosecond."""
    stamp = timestamp_pb2.Timestamp(seconds=nanos // 10**9, nanos=nanos % 10**9)
    assert wire.timestamp(nanos) == stamp.ToJsonString()


@given(st.integers(-(10**20), 10**20))
@settings(deadline=None)
def test_a_duration_is_printed_as_protobuf_prints_it(nanos: int) -> None:
    """Any length of either sign, to the nanosecond."""
    sign = -1 if nanos < 0 else 1
    value = duration_pb2.Duration(seconds=sign * (abs(nanos) // 10**9), nanos=sign * (abs(nanos) % 10**9))
    assert wire.duration(nanos) == value.ToJsonString()


@pytest.mark.parametrize(
    ("path", "query", "code"),
    [
        (f"{EXECUTION}/unknown", {}, 404),
        (f"{EXECUTION}/unknown/history", {}, 404),
        (f"{WORKFLOW}/unknown", {}, 404),
        (EXECUTION, {"workflowId": "unknown"}, 404),
        (EXECUTION, {}, 400),
        (WORKFLOW, {}, 400),
        (EXECUTION, {"workflowId": "dfqud9cbc4k5m0a1b2c3", "pageSize": "-1"}, 400),
        (EXECUTION, {"workflowId": "dfqud9cbc4k5m0a1b2c3", "pageSize": "many"}, 400),
        (EXECUTION, {"workflowId": "dfqud9cbc4k5m0a1b2c3", "pageToken": "bm9uZQ"}, 400),
        (EXECUTION, {"workflow_id": "dfqud9cbc4k5m0a1b2c3"}, 400),
        ("/elsewhere", {}, 404),
    ],
)
def test_a_refusal_is_a_google_rpc_status(
    cloud: Simulator, path: str, query: dict[str, str], code: int
) -> None:
    """Unknown ids are 404, bad arguments 400, each with a body that parses."""
    answer = Caller(cloud).ask(f"{path}?{urlencode(query)}")
    assert answer.code == code
    same(answer.json, status_pb2.Status())


# A population that lives


def test_the_first_moment_shows_every_status_and_several_errors(cloud: Simulator) -> None:
    """Someone who starts the demo sees all there is to see."""
    shown = [get(cloud, execution_id) for execution_id in cloud.execution_ids()]
    assert {e["status"] for e in shown} == set(Status)
    assert len({e["error"]["errorCode"] for e in shown if e["status"] == "FAILED"}) >= 3


def test_state_moves_with_the_clock_and_only_with_it(cloud: Simulator, clock: HandClock) -> None:
    """Queued, running, finished, at the planned moments; the same answer at the same moment."""
    first = cloud.execution_ids()[0]
    seen = []
    for seconds in (0, 0, 26, 84, 86):
        clock.now = BORN + seconds
        seen.append(get(cloud, first)["status"])
    assert seen == ["QUEUED", "QUEUED", "RUNNING", "RUNNING", "FINISHED"]
    clock.now = BORN
    assert get(cloud, first)["status"] == "QUEUED"


def test_speed_makes_lives_shorter(clock: HandClock) -> None:
    """At speed 60 a minute's life takes a second, and its duration says so."""
    with Simulator(clock=clock, speed=60) as cloud:
        clock.now += 2
        execution = get(cloud, cloud.execution_ids()[0])
        assert execution["status"] == "FINISHED"
        assert float(execution["duration"].rstrip("s")) == pytest.approx(1.5)


def test_new_executions_come_finish_and_fail(cloud: Simulator, clock: HandClock) -> None:
    """After an hour there are new ones of every fate, and every documented class of error was seen."""
    workflow_id = cloud.workflow_ids()[0]
    before = {e["id"] for e in Caller(cloud).listed(workflow_id)}
    clock.now += 3600
    new = [e for e in Caller(cloud).listed(workflow_id) if e["id"] not in before]
    ends = Counter(e["status"] for e in new)
    assert len(new) > 50
    assert {"FINISHED", "FAILED"} <= set(ends)
    failed = [get(cloud, e["id"]) for e in new if e["status"] == "FAILED"]
    failed += [get(cloud, e) for e in cloud.execution_ids() if get(cloud, e)["status"] == "FAILED"]
    codes = " ".join(e["error"]["errorCode"] for e in failed)
    for prefix in ("STEP", "HTTP_CALL", "GRPC_CALL", "FUNCTION_CALL", "CONTAINER_CALL", "YDB_CALL", "AGENT"):
        assert f"{prefix}_" in codes


def test_the_same_seed_is_the_same_life(clock: HandClock) -> None:
    """Two simulators of one seed agree, of another they do not."""
    ids = [Simulator(clock=clock, seed=seed).execution_ids() for seed in (7, 7, 8)]
    assert ids[0] == ids[1]
    assert ids[0] != ids[2]


def test_a_history_repeats_steps_retries_and_says_what_is_next(cloud: Simulator) -> None:
    """Foreach brings an id many times, attempts are text, a running execution has a step under way."""
    caller = Caller(cloud)
    histories = {
        get(cloud, e)["status"]: caller.ask(f"{EXECUTION}/{e}/history").json["entries"]
        for e in cloud.execution_ids()
    }
    finished = Counter(e["id"] for e in histories["FINISHED"])
    assert finished["send_item"] == 3
    assert {"HttpCall", "FunctionCall", "GRPCCall", "Foreach"} == {e["type"] for e in histories["FINISHED"]}
    assert histories["FAILED"][-1]["status"] == "FAILED"
    assert histories["FAILED"][-1]["attempts"] == "3"
    assert [e["status"] for e in histories["RUNNING"]][-2:] == ["STARTED", "SCHEDULED"]
    assert [e["status"] for e in histories["QUEUED"]] == ["SCHEDULED"]


def test_what_is_removed_is_not_found_and_raw_is_served_as_it_is(empty: Simulator) -> None:
    """Exact control: any JSON or bytes, null too, and 404 after a removal."""
    caller = Caller(empty)
    answers: tuple[Any, ...] = (None, [], "text", {"execution": {"status": 5}})
    for raw in answers:
        empty.put("e", raw=raw)
        assert caller.ask(f"{EXECUTION}/e").json == raw
    empty.put("e", raw=b'{"execution": NaN')
    assert caller.ask(f"{EXECUTION}/e").raw == b'{"execution": NaN'
    empty.remove("e")
    assert caller.ask(f"{EXECUTION}/e").code == 404


def test_texts_are_served_as_they_stand(empty: Simulator) -> None:
    """A test can serve a time, a duration and a status that no API ever said."""
    empty.put("e", status="THINKING", started_at="soon", duration="1h", workflow_id="")
    expected = {"id": "e", "status": "THINKING", "startedAt": "soon", "duration": "1h"}
    assert get(empty, "e") == expected | {"input": {"inputJson": "{}"}}


def test_workflows_can_be_put_and_removed(empty: Simulator) -> None:
    """A workflow's fields are told, and its removal takes its executions along."""
    caller = Caller(empty)
    empty.put_workflow("w", name="n", labels={"a": "b"}, created_at=BORN, express=True, cron="0 3 * * ? *")
    empty.put("e", workflow_id="w")
    body = caller.ask(f"{WORKFLOW}/w").json
    same(body, workflows_pb2.GetWorkflowResponse())
    assert body["workflow"]["schedule"] == {"cronExpression": "0 3 * * ? *"}
    assert "schedule" not in caller.ask(WORKFLOW, folderId=empty.folder_id).json["workflows"][0]
    empty.remove_workflow("w")
    assert caller.ask(f"{WORKFLOW}/w").code == 404
    assert caller.ask(f"{EXECUTION}/e").code == 404


# Lists


def fill(cloud: Simulator, count: int) -> set[str]:
    """Put executions a minute apart, of all statuses in turn, and return their ids."""
    statuses = list(Status)
    for n in range(count):
        cloud.put(f"e-{n}", status=statuses[n % 6], started_at=BORN + 60 * n, duration=1.5, workflow_id="w")
    return {f"e-{n}" for n in range(count)}


@pytest.mark.parametrize("size", [1, 7, 100, 250, 1000])
def test_pages_give_each_execution_exactly_once(empty: Simulator, size: int) -> None:
    """Whatever the page's size, and in no order of time."""
    ids = fill(empty, 250)
    listed = Caller(empty).listed("w", pageSize=size)
    assert Counter(e["id"] for e in listed) == Counter(ids)
    starts = [e["startedAt"] for e in listed]
    assert starts not in (sorted(starts), sorted(starts, reverse=True))


def test_the_default_page_holds_a_hundred(empty: Simulator) -> None:
    """As documented; and the last page has no token."""
    fill(empty, 101)
    page = Caller(empty).ask(EXECUTION, workflowId="w").json
    assert len(page["executions"]) == 100
    rest = Caller(empty).ask(EXECUTION, workflowId="w", pageToken=page["nextPageToken"]).json
    assert (len(rest["executions"]), "nextPageToken" in rest) == (1, False)


def test_what_comes_between_two_pages_moves_nothing(empty: Simulator) -> None:
    """Those that were there are each listed once, though others came and went."""
    ids = fill(empty, 50)
    first = Caller(empty).ask(EXECUTION, workflowId="w", pageSize=20).json
    for n in range(100):
        empty.put(f"new-{n}", workflow_id="w")
    rest = Caller(empty).ask(EXECUTION, workflowId="w", pageSize=1000, pageToken=first["nextPageToken"]).json
    seen = Counter(e["id"] for e in first["executions"] + rest["executions"])
    assert all(seen[execution_id] == 1 for execution_id in ids)


def test_a_token_is_good_for_its_own_query_only(empty: Simulator) -> None:
    """Another filter with an old token is refused."""
    fill(empty, 50)
    token = Caller(empty).ask(EXECUTION, workflowId="w", pageSize=5).json["nextPageToken"]
    answer = Caller(empty).ask(EXECUTION, workflowId="w", pageToken=token, filter="status = FAILED")
    assert answer.code == 400


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("status = FAILED", lambda n: n % 6 == 4),
        ("status='RUNNING'", lambda n: n % 6 == 1),
        ('started_at > "2025-03-10T16:04:44.304781Z"', lambda n: n > 10),
        ("started_at = 2025-03-10T19:04:44.304781+03:00", lambda n: n == 10),
        ("started_at < 2025-03-10T16:04:44.304782Z", lambda n: n <= 10),
        ("finished_at > 2025-03-10T16:04:45.804780Z", lambda n: n >= 10 and n % 6 >= 3),
    ],
)
def test_a_filter_keeps_exactly_what_it_says(empty: Simulator, condition: str, expected: Any) -> None:
    """One condition on status, started_at or finished_at, over all pages."""
    fill(empty, 40)
    listed = Caller(empty).listed("w", filter=condition, pageSize=3)
    assert sorted(e["id"] for e in listed) == sorted(f"e-{n}" for n in range(40) if expected(n))


@pytest.mark.parametrize(
    "condition",
    [
        "status",
        "status = DONE",
        "status > FAILED",
        "id = x",
        "started_at > yesterday",
        "status = FAILED AND 1",
    ],
)
def test_a_bad_filter_is_refused(cloud: Simulator, condition: str) -> None:
    """400 with the reason, never an unfiltered list."""
    answer = Caller(cloud).ask(EXECUTION, workflowId=cloud.workflow_ids()[0], filter=condition)
    assert answer.code == 400


# Tokens


def sign(cloud: Simulator, path: Path, **changes: Any) -> dict[str, Any]:
    """Return an exchange request as the documentation has it, with changes."""
    key = json.loads(path.read_text())
    comment, _, pem = key["private_key"].partition("\n")
    assert comment.startswith("PLEASE DO NOT REMOVE THIS LINE!")
    claims = {
        "iss": key["service_account_id"],
        "aud": AUDIENCE,
        "iat": int(BORN),
        "exp": int(BORN) + 3600,
    }
    claims |= {k: v for k, v in changes.items() if k in claims}
    kid, algorithm = changes.get("kid", key["id"]), changes.get("alg", "PS256")
    token = jwt.encode(claims, changes.get("key", pem), algorithm, headers={"kid": kid})
    assert key["service_account_id"] == cloud.service_account_id
    return {"jwt": token}


def exchange(cloud: Simulator, body: object) -> Reply:
    """Ask IAM for a token."""
    return Caller(cloud).ask("/iam/v1/tokens", "POST", json.dumps(body).encode(), {})


def bearer(token: str) -> dict[str, str]:
    """Return the header that carries a token."""
    return {"Authorization": f"Bearer {token}"}


def test_a_signed_jwt_is_a_token_until_it_expires(cloud: Simulator, clock: HandClock, tmp_path: Path) -> None:
    """Issued for token_lifetime, told in expiresAt, refused afterwards."""
    cloud.token_lifetime = 100
    answer = exchange(cloud, sign(cloud, cloud.create_key(tmp_path)))
    assert answer.code == 200
    assert answer.json["expiresAt"] == "2025-03-10T15:56:24.304781Z"
    headers, path = bearer(answer.json["iamToken"]), f"{EXECUTION}/{cloud.execution_ids()[0]}"
    assert Caller(cloud).ask(path, headers=headers).code == 200
    clock.now += 100
    assert Caller(cloud).ask(path, headers=headers).code == 401


@pytest.mark.parametrize(
    "changes",
    [
        {"kid": "ajeunknown"},
        {"iss": "ajesomebodyelse"},
        {"aud": "https://iam.api.cloud.yandex.net"},
        {"aud": [AUDIENCE]},
        {"alg": "RS256"},
        {"alg": "PS384"},
        {"alg": "HS256", "key": "0" * 64},
        {"exp": int(BORN) + 3601},
        {"exp": int(BORN) - 1, "iat": int(BORN) - 3600},
        {"iat": int(BORN) + 600},
        {"iat": None},
        {"key": rsa.generate_private_key(public_exponent=65537, key_size=2048)},
    ],
    ids=", ".join,
)
def test_a_jwt_with_anything_wrong_is_refused(
    cloud: Simulator, tmp_path: Path, changes: dict[str, Any]
) -> None:
    """Signature, key, algorithm, issuer, audience and times are all verified."""
    answer = exchange(cloud, sign(cloud, cloud.create_key(tmp_path), **changes))
    assert answer.code == 401
    same(answer.json, status_pb2.Status())


@pytest.mark.parametrize(("body", "code"), [({}, 400), ([], 400), ({"jwt": 1}, 400), ({"jwt": "x"}, 401)])
def test_a_malformed_exchange_is_refused(cloud: Simulator, body: object, code: int) -> None:
    """IAM says what is missing."""
    assert exchange(cloud, body).code == code


def test_a_revoked_key_opens_nothing(cloud: Simulator, tmp_path: Path) -> None:
    """And a new key in the same file does again."""
    path = cloud.create_key(tmp_path)
    cloud.revoke_keys()
    assert exchange(cloud, sign(cloud, path)).code == 401
    assert exchange(cloud, sign(cloud, cloud.create_key(tmp_path))).code == 200


def test_the_key_file_is_for_its_owner_alone(cloud: Simulator, tmp_path: Path) -> None:
    """Nobody else may read it."""
    assert cloud.create_key(tmp_path).stat().st_mode & 0o777 == 0o600


def test_metadata_gives_a_token_to_who_says_google(cloud: Simulator) -> None:
    """Without the header it is refused."""
    path = "/computeMetadata/v1/instance/service-accounts/default/token"
    assert Caller(cloud).ask(path, headers={}).code == 403
    body = Caller(cloud).ask(path, headers={"Metadata-Flavor": "Google"}).json
    assert (body["expires_in"], body["token_type"]) == (43200, "Bearer")
    assert Caller(cloud).ask(WORKFLOW, folderId="f", headers=bearer(body["access_token"])).code == 200


def federate(cloud: Simulator, **changes: str) -> Reply:
    """Exchange the subject token, with changes to the form."""
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
        "audience": cloud.service_account_id,
        "subject_token": cloud.subject_token,
    }
    return Caller(cloud).ask("/oauth/token", "POST", urlencode(form | changes).encode(), {})


def test_a_federated_token_needs_the_whole_form(cloud: Simulator) -> None:
    """Every field is checked, and a rotated subject token replaces the old one."""
    old = cloud.subject_token
    assert federate(cloud).code == 200
    for name in ("grant_type", "requested_token_type", "subject_token_type", "audience", "subject_token"):
        assert federate(cloud, **{name: "wrong"}).code == 400
    cloud.rotate_subject_token()
    assert (federate(cloud, subject_token=old).code, federate(cloud).code) == (400, 200)


def test_a_revoked_token_is_refused_and_the_next_is_good(cloud: Simulator) -> None:
    """401 without a token, with a wrong one and with one that was revoked."""
    caller, old = Caller(cloud), cloud.token
    cloud.revoke_tokens()
    codes = [
        caller.ask(WORKFLOW, folderId="f", headers=headers).code
        for headers in ({}, bearer("t1.wrong"), bearer(old), bearer(cloud.token))
    ]
    assert codes == [401, 401, 401, 200]
    assert [call.authorization_ok for call in cloud.calls] == [False, False, False, True]


# Faults


def first_answer(cloud: Simulator, timeout: float = DEADLINE) -> Reply:
    """Ask for the first execution."""
    return Caller(cloud).ask(f"{EXECUTION}/{cloud.execution_ids()[0]}", timeout=timeout)


@pytest.mark.parametrize("code", [400, 401, 403, 404, 418, 429, 499, 500, 501, 502, 503, 504])
def test_a_status_fault_answers_with_that_status(cloud: Simulator, code: int) -> None:
    """Any 4xx and 5xx, as google.rpc.Status, with Retry-After as it was given."""
    cloud.faults.add(FaultRule(Fault.STATUS, code=code, retry_after="Wed, 21 Oct 2015 07:28:00 GMT"))
    answer = first_answer(cloud)
    assert answer.code == code
    assert answer.headers["Retry-After"] == "Wed, 21 Oct 2015 07:28:00 GMT"
    same(answer.json, status_pb2.Status())


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (Fault.REFUSE, http.client.RemoteDisconnected),
        (Fault.RESET, ConnectionResetError),
        (Fault.RESET_MID_BODY, (ConnectionResetError, http.client.IncompleteRead)),
        (Fault.TRUNCATED, http.client.IncompleteRead),
        (Fault.STALL, TimeoutError),
        (Fault.DRIP_HEADERS, TimeoutError),
        (Fault.DRIP_BODY, TimeoutError),
    ],
)
def test_a_broken_line_breaks_as_it_should_and_heals(cloud: Simulator, kind: Fault, error: Any) -> None:
    """The client sees the failure that was asked for, and the right answer once it is cleared."""
    cloud.faults.add(FaultRule(kind, interval=5))
    with pytest.raises(error):
        first_answer(cloud, timeout=0.2 if error is TimeoutError else DEADLINE)
    cloud.faults.clear()
    assert first_answer(cloud).code == 200


@pytest.mark.parametrize(
    ("rule", "field", "expected"),
    [
        (FaultRule(Fault.WRONG_ID, value="other"), "id", "other"),
        (FaultRule(Fault.UNKNOWN_STATUS), "status", "HIBERNATED"),
        (FaultRule(Fault.UNKNOWN_STATUS, value=17), "status", 17),
        (FaultRule(Fault.BAD_DURATION), "duration", "an hour"),
        (FaultRule(Fault.BAD_STARTED_AT), "startedAt", "yesterday"),
    ],
)
def test_a_bad_field_is_bad_and_the_others_are_right(
    cloud: Simulator, rule: FaultRule, field: str, expected: object
) -> None:
    """One field is spoiled, nothing else is."""
    right = get(cloud, cloud.execution_ids()[0])
    cloud.faults.add(rule)
    assert first_answer(cloud).json["execution"] == right | {field: expected}


def test_a_body_can_be_no_answer_of_this_api(cloud: Simulator) -> None:
    """HTML, broken JSON, an empty object, a redirect and too much of it."""
    for kind in (Fault.HTML, Fault.NOT_JSON, Fault.NO_EXECUTION, Fault.REDIRECT):
        cloud.faults.add(FaultRule(kind, times=1, value="/there" if kind is Fault.REDIRECT else None))
    cloud.faults.add(FaultRule(Fault.HUGE, size=3_000_000))
    html, broken, nothing, redirect, huge = [first_answer(cloud) for _ in range(5)]
    assert html.headers["Content-Type"].startswith("text/html")
    with pytest.raises(ValueError, match="Expecting"):
        broken.json  # noqa: B018 - reading it is the test
    assert nothing.json == {}
    assert (redirect.code, redirect.headers["Location"]) == (302, "/there")
    assert len(huge.json["execution"]["input"]["inputJson"]) == 3_000_000


def test_a_fault_keeps_to_its_target_method_and_times(cloud: Simulator) -> None:
    """One bad execution leaves the others alone, and two times are two times."""
    bad, good = cloud.execution_ids()[:2]
    cloud.faults.add(FaultRule(Fault.STATUS, target=bad, method="Execution.Get", code=503, times=2))
    caller = Caller(cloud)
    asked = [bad, good, f"{bad}/history", bad, bad]
    assert [caller.ask(f"{EXECUTION}/{path}").code for path in asked] == [503, 200, 200, 503, 200]
    assert cloud.faults.rules() == ()


@pytest.mark.parametrize("method", ["Iam.CreateToken", "Metadata.Token", "OAuth.Token"])
def test_tokens_fail_by_the_same_rules(cloud: Simulator, tmp_path: Path, method: str) -> None:
    """A door to a token can be shut like any call."""
    cloud.faults.add(FaultRule(Fault.STATUS, method=method, code=503))
    codes = {
        "Iam.CreateToken": exchange(cloud, sign(cloud, cloud.create_key(tmp_path))).code,
        "Metadata.Token": Caller(cloud)
        .ask(
            "/computeMetadata/v1/instance/service-accounts/default/token",
            headers={"Metadata-Flavor": "Google"},
        )
        .code,
        "OAuth.Token": federate(cloud).code,
    }
    assert {name for name, code in codes.items() if code == 503} == {method}


def test_latency_comes_before_the_right_answer_or_another_fault(cloud: Simulator) -> None:
    """It delays, and joins with what else is wrong."""
    cloud.faults.add(FaultRule(Fault.LATENCY, latency=0.1))
    cloud.faults.add(FaultRule(Fault.STATUS, code=500, times=1))
    began = time.monotonic()
    assert [first_answer(cloud).code, first_answer(cloud).code] == [500, 200]
    assert time.monotonic() - began >= 0.2


def test_faults_are_switched_over_http(cloud: Simulator) -> None:
    """POST adds, GET lists, DELETE lifts what the query names, or all."""
    caller, path = Caller(cloud), "/_simulator/faults"
    for rule in ({"kind": "status", "code": 503, "times": 3}, {"kind": "html", "target": "x"}):
        assert caller.ask(path, "POST", json.dumps(rule).encode()).code == 201
    assert first_answer(cloud).code == 503
    listed = [{"kind": "status", "code": 503, "times": 2}, {"kind": "html", "target": "x"}]
    assert caller.ask(path).json == {"faults": listed}
    assert caller.ask(path, "DELETE", kind="status").json == {"cleared": 1}
    assert caller.ask(path, "DELETE").json == {"cleared": 1}
    assert first_answer(cloud).code == 200


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"{", "not JSON"),
        (b"[]", "expected an object"),
        (b"{}", "kind: is missing"),
        (b'{"kind": "stal"}', "did you mean 'stall'"),
        (b'{"kind": "status"}', "code: "),
        (b'{"kind": "status", "code": 200}', "code: "),
        (b'{"kind": "status", "code": true}', "code: must be an integer"),
        (b'{"kind": "html", "tagret": "x"}', "did you mean 'target'"),
        (b'{"kind": "html", "method": "Get"}', "method: "),
        (b'{"kind": "html", "times": 0}', "times: "),
        (b'{"kind": "latency"}', "latency: "),
        (b'{"kind": "latency", "latency": NaN}', "latency"),
        (b'{"kind": "status", "code": 429, "retry_after": "1\\r\\nX: y"}', "retry_after: "),
        (b'{"kind": []}', "kind: must be a string"),
    ],
)
def test_a_bad_fault_is_refused_with_what_to_write_instead(cloud: Simulator, body: bytes, told: str) -> None:
    """400 and a sentence, and nothing is changed."""
    answer = Caller(cloud).ask("/_simulator/faults", "POST", body)
    assert answer.code == 400
    assert told in answer.json["error"]
    assert cloud.faults.rules() == ()


# The server


def test_calls_are_counted_by_name_before_their_answer_leaves(cloud: Simulator) -> None:
    """The log tells the call, its target and its status; the faults' endpoint is not in it."""
    first = cloud.execution_ids()[0]
    first_answer(cloud)
    Caller(cloud).ask("/_simulator/faults")
    (call,) = cloud.calls
    assert (call.method, call.target, call.code, call.at) == ("Execution.Get", first, 200, BORN)
    assert (cloud.count("Execution.Get"), cloud.count("Execution.List"), cloud.count()) == (1, 0, 1)
    cloud.clear_calls()
    assert cloud.count() == 0


def test_a_connection_is_kept_alive(cloud: Simulator) -> None:
    """Many calls go over one connection, a refusal in between included."""
    address = urlsplit(cloud.base_url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=DEADLINE)
    codes = []
    connection.connect()
    line = connection.sock
    for target in (cloud.execution_ids()[0], "unknown", cloud.execution_ids()[1]):
        connection.request("GET", f"{EXECUTION}/{target}", headers=bearer(cloud.token))
        answer = connection.getresponse()
        answer.read()
        codes.append(answer.status)
    assert codes == [200, 404, 200]
    assert connection.sock is line
    connection.close()


def test_many_clients_are_answered_at_once(cloud: Simulator) -> None:
    """Sixty-four calls are in flight together, and all are answered."""
    cloud.latency = 0.3
    codes: list[int] = []
    threads = [threading.Thread(target=lambda: codes.append(first_answer(cloud).code)) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert codes == [200] * 64
    assert cloud.peak_in_flight > 16


@pytest.mark.parametrize("kind", [Fault.STALL, Fault.DRIP_HEADERS, Fault.DRIP_BODY, Fault.LATENCY])
def test_stop_ends_every_connection_and_thread_promptly(clock: HandClock, kind: Fault) -> None:
    """Stalled, dripping and idle connections end with the simulator, well before their own time."""
    before = set(threading.enumerate())
    cloud = Simulator(clock=clock)
    cloud.start()
    cloud.faults.add(FaultRule(kind, interval=60, latency=60))
    address = urlsplit(cloud.base_url)
    lines = [socket.create_connection((address.hostname, address.port), DEADLINE) for _ in range(5)]
    for line in lines[1:]:
        path = f"{EXECUTION}/{cloud.execution_ids()[0]}"
        line.sendall(f"GET {path} HTTP/1.1\r\nAuthorization: Bearer {cloud.token}\r\n\r\n".encode())
    assert cloud.wait_in_flight(4, DEADLINE)
    began = time.monotonic()
    cloud.stop()
    took, left = time.monotonic() - began, set(threading.enumerate()) - before
    for line in lines:
        line.close()
    assert took < 2
    assert left == set()


def test_a_client_that_leaves_a_stall_frees_its_thread(cloud: Simulator) -> None:
    """A stalled call is not in flight any more once its client has gone."""
    cloud.faults.add(FaultRule(Fault.STALL))
    with pytest.raises(TimeoutError):
        first_answer(cloud, timeout=0.1)
    assert cloud.wait_in_flight(0, DEADLINE)


def test_it_can_be_started_again_and_a_taken_port_is_told(cloud: Simulator) -> None:
    """A stop gives the port back; two cannot have one."""
    port = urlsplit(cloud.base_url).port or 0
    with pytest.raises(OSError, match="in use"):
        Simulator(port=port).start()
    cloud.stop()
    cloud.start()
    assert first_answer(cloud).code == 200


def test_ids_look_like_the_vendors(cloud: Simulator) -> None:
    """A workflow's id, a hyphen and a UUID."""
    form = re.compile(r"dfq[a-z0-9]{17}-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
    assert all(form.fullmatch(execution_id) for execution_id in cloud.execution_ids())


def test_latency_and_payloads_change_while_it_runs(cloud: Simulator) -> None:
    """Over HTTP and in Python alike; every answer is late and heavy, histories too."""
    caller, path = Caller(cloud), "/_simulator/conditions"
    execution = cloud.execution_ids()[1]
    calm = {"latency": 0.0, "payload_bytes": 0, "page_limit": 0, "filters": "served", "overlap": 0}
    assert caller.ask(path).json == calm
    changed = caller.ask(path, "POST", b'{"payload_bytes": 5000}').json
    assert changed == calm | {"payload_bytes": 5000}
    answer = caller.ask(f"/workflows/v1/execution/{execution}").json
    assert len(answer["execution"]["input"]["inputJson"]) == 5000
    history = caller.ask(f"/workflows/v1/execution/{execution}/history").json
    assert {len(entry["input"]["inputJson"]) for entry in history["entries"]} == {5000}
    cloud.payload_bytes, cloud.latency = 0, 0.2
    began = time.monotonic()
    answer = caller.ask(f"/workflows/v1/execution/{execution}").json
    assert time.monotonic() - began >= 0.2
    assert answer["execution"]["input"]["inputJson"] == "{}"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"latency": -1}, "latency: must be seconds"),
        ({"latency": True}, "latency: must be seconds"),
        ({"payload_bytes": 1.5}, "payload_bytes: must be an integer"),
        ({"payload": 1}, "payload: no such field; one of latency, payload_bytes"),
        ([], "expected an object"),
    ],
)
def test_bad_conditions_change_nothing(cloud: Simulator, body: object, told: str) -> None:
    """The refusal says what to write instead."""
    answer = Caller(cloud).ask("/_simulator/conditions", "POST", json.dumps(body).encode())
    assert answer.code == 400
    assert told in answer.json["error"]
    assert (cloud.latency, cloud.payload_bytes) == (0.0, 0)
