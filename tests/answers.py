"""Right answers of the API and of those who give tokens, in which every payload is marked."""

from typing import Any

from hypothesis import strategies as st

MARK = "hush-no-page-may-show-this"
EXECUTION_ID = "dfqmeu8ci1ae2tvocsbv-429e9f6f-b506-4c5a-84b2-9abb0c1d2e3f"
WORKFLOW_ID, FOLDER_ID = "dfqud9cbc4k5m0a1b2c3", "b1g681qpemb4v0n1p2q3"
STEPS = ("SCHEDULED", "STARTED", "COMPLETED", "FAILED", "CANCEL_REQUESTED", "CANCELLED")
ENDINGS = ("QUEUED", "RUNNING", "PAUSED", "STOPPED", "FAILED", "FINISHED")
CODES = ("STEP_TIMEOUT", "HTTP_CALL_503", "")


def error(code: str) -> dict[str, Any]:
    """Return what an execution or a step failed with."""
    return {"message": f"{MARK}: it went wrong", **({"errorCode": code} if code else {})}


def preview(number: int = 0, status: str = "FINISHED") -> dict[str, Any]:
    """Return an execution as lists have it."""
    return {
        "id": f"{EXECUTION_ID}{number or ''}", "workflowId": WORKFLOW_ID, "status": status,
        "startedAt": "2025-03-10T15:54:44.304781Z", "duration": "1.070697344s",
    }  # fmt: skip


def execution(status: str, code: str) -> dict[str, Any]:
    """Return the answer of Execution.Get."""
    return {
        "execution": {
            **preview(status=status),
            "input": {"inputJson": f'{{"card": "{MARK}"}}'},
            "result": {"resultJson": f'["{MARK}"]'},
            **({"error": error(code)} if status == "FAILED" else {}),
        }
    }


def entry(name: str, status: str, number: int) -> dict[str, Any]:
    """Return an entry of a history."""
    return {
        "id": name, "title": f"Step {name}", "description": MARK, "type": "httpCall", "status": status,
        "startedAt": f"2025-03-10T15:54:{number:02}Z", "duration": f"{number}.5s", "attempts": str(number),
        "input": {"inputJson": MARK}, "output": {"outputJson": MARK}, "lastError": error("STEP_FAIL"),
        **({"error": error("HTTP_CALL_500")} if status == "FAILED" else {}),
    }  # fmt: skip


def workflow(number: int = 0) -> dict[str, Any]:
    """Return a workflow as Workflow.Get has it."""
    return {
        "id": f"{WORKFLOW_ID}{number or ''}", "folderId": FOLDER_ID, "name": "nightly-orders",
        "description": MARK, "labels": {"team": "payments", "cost-center": "7", "cost.center": "8"},
        "status": "ACTIVE", "createdAt": "2025-01-01T00:00:00Z", "express": True, "isPublic": False,
        "specification": {"specYaml": MARK}, "schedule": {"cronExpression": "0 3 * * ? *", "timezone": "UTC"},
    }  # fmt: skip


EXECUTIONS = st.builds(execution, st.sampled_from(ENDINGS), st.sampled_from(CODES))
HISTORIES = st.lists(
    st.builds(entry, st.sampled_from("abc"), st.sampled_from(STEPS), st.integers(0, 59)), max_size=5
).map(lambda entries: {"execution": preview(), "entries": entries})
LISTS = st.lists(st.sampled_from(ENDINGS), max_size=4).map(
    lambda found: {"executions": [preview(*each) for each in enumerate(found)], "nextPageToken": "next"}
)
WORKFLOWS = st.integers(0, 1).map(lambda number: {"workflow": workflow(number)})
WORKFLOW_LISTS = st.integers(0, 3).map(
    lambda number: {"workflows": [workflow(each) for each in range(number)], "nextPageToken": ""}
)
TOKENS = st.sampled_from([
    {"iamToken": "t1.9euelZqOyZ", "expiresAt": "2025-03-11T15:54:44Z"},
    {"access_token": "t1.9euelZqOyZ", "expires_in": 3600, "token_type": "Bearer"},
])  # fmt: skip
