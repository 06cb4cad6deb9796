"""One colour for one state everywhere, and always its word beside it."""

from typing import Any, Final

Json = dict[str, Any]

GREY: Final = "#8e8e8e"
LIMIT: Final = "dark-red"
LOWEST: Final = -1e12
"""Below all that is measured."""

EXECUTION_COLOURS: Final = {
    "QUEUED": "super-light-blue",
    "RUNNING": "blue",
    "PAUSED": "yellow",
    "STOPPED": GREY,
    "FAILED": "red",
    "FINISHED": "green",
    "UNKNOWN": "purple",
}
EXECUTION_CODES: Final = {
    "UNKNOWN": 0, "QUEUED": 1, "RUNNING": 2, "PAUSED": 3, "STOPPED": 4, "FAILED": 5, "FINISHED": 6,
}  # fmt: skip
"""The numbers of the API's enum, which `yc_workflow_execution_status_code` shows."""

STEP_COLOURS: Final = {
    "SCHEDULED": "super-light-blue",
    "STARTED": "blue",
    "COMPLETED": "green",
    "FAILED": "red",
    "CANCEL_REQUESTED": "yellow",
    "CANCELLED": GREY,
    "UNKNOWN": "purple",
}
STEP_CODES: Final = {state: code for code, state in enumerate(STEP_COLOURS, 1)}

WORKFLOW_COLOURS: Final = {
    "CREATING": "super-light-blue",
    "ACTIVE": "green",
    "UPDATING": "blue",
    "DELETING": GREY,
    "ERROR": "red",
    "UNKNOWN": "purple",
}
SEVERITY_COLOURS: Final = {"critical": "red", "warning": "orange", "info": "blue"}

CLASS_COLOURS: Final = {
    "STEP": "orange",
    "HTTP_CALL": "#e02f44",
    "GRPC_CALL": "#ffa6b0",
    "FUNCTION_CALL": "#ca95e5",
    "CONTAINER_CALL": "#a16946",
    "YDB_CALL": "#37a2a2",
    "OTHER": GREY,
}
"""Of errors; none is the colour of a good state."""


def mapped(codes: dict[str, int], colours: dict[str, str]) -> list[Json]:
    """Return the value mappings that turn a state's number into its word and colour."""
    return words({code: (state, colours[state]) for state, code in codes.items()})


def words(meaning: dict[int, tuple[str, str]]) -> list[Json]:
    """Return the value mappings that turn numbers into words and colours."""
    options = {
        str(number): {"text": text, "color": colour, "index": index}
        for index, (number, (text, colour)) in enumerate(meaning.items())
    }
    return [{"type": "value", "options": options}]


def steps(*colours: tuple[float, str], base: str = "text") -> Json:
    """Return thresholds: the colour from each value on.

    The first one, which Grafana also gives to a tile without a value, is nobody's colour: that nothing is known
    is neither good nor bad.
    """
    first = {"color": base, "value": None}
    return {"mode": "absolute", "steps": [first, *({"color": c, "value": v} for v, c in colours)]}
