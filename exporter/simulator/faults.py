"""What can go wrong with an answer, and the rules that say when it does.

A rule waits for calls that match its method and target, is applied `times` times, and can be added and
cleared while the simulator runs.
"""

import difflib
import enum
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final

METHODS: Final = (
    "Execution.Get",
    "Execution.GetHistory",
    "Execution.List",
    "Workflow.Get",
    "Workflow.List",
    "Iam.CreateToken",
    "Metadata.Token",
    "OAuth.Token",
)
_MAX_RULES: Final = 1000
_MAX_SECONDS: Final = 86400.0
_MAX_SIZE: Final = 1 << 30


class Fault(enum.StrEnum):
    """The kinds of faults."""

    REFUSE = "refuse"  # the connection is closed without an answer
    RESET = "reset"  # the same, by a TCP reset
    RESET_MID_BODY = "reset_mid_body"  # half of the body, then a TCP reset
    TRUNCATED = "truncated"  # half of the body, then a clean close
    STALL = "stall"  # no answer until the client or the simulator goes
    DRIP_HEADERS = "drip_headers"  # a byte each `interval`, from the first
    DRIP_BODY = "drip_body"  # the head at once, then a byte each `interval`
    LATENCY = "latency"  # the right answer, `latency` seconds late
    STATUS = "status"  # the HTTP status `code`, with `retry_after` as it stands
    HTML = "html"  # a page for people
    NOT_JSON = "not_json"  # JSON by its type only
    NO_EXECUTION = "no_execution"  # an empty object
    WRONG_ID = "wrong_id"  # somebody else's execution
    HUGE = "huge"  # an answer of `size` bytes
    REDIRECT = "redirect"  # `code` or 302, to `value`
    UNKNOWN_STATUS = "unknown_status"  # `value` or a state that no version has
    BAD_DURATION = "bad_duration"  # `value` or a duration that is none
    BAD_STARTED_AT = "bad_started_at"  # `value` or a time that is none
    FIELD = "field"  # the field at `path` is `value`; without a path the whole answer is
    EXTRA_FIELDS = "extra_fields"  # every object has fields that no version has
    DUPLICATE_KEYS = "duplicate_keys"  # every key comes twice in its object, with null first
    NESTED = "nested"  # a hundred thousand lists in one another
    NOT_UTF8 = "not_utf8"  # a byte that no UTF-8 has
    BOM = "bom"  # a byte order mark before the right answer
    BAD_ITEMS = "bad_items"  # a list with more in it: what is no item, somebody else's, an older state of one
    NO_END = "no_end"  # a list that has always one more page
    CODE = "code"  # the right answer under the HTTP status `code`
    STALL_BODY = "stall_body"  # the head, of the error `code` if there is one, half of the body, no more
    SHORT_LENGTH = "short_length"  # a Content-Length of half of the body
    LONG_LENGTH = "long_length"  # a Content-Length of more than comes, on a connection that stays open
    NO_LENGTH = "no_length"  # no Content-Length: the body ends with the connection
    CHUNKED = "chunked"  # the right answer in chunks
    CHUNKED_GARBAGE = "chunked_garbage"  # said to be in chunks, which it is not
    GZIP = "gzip"  # the right answer compressed
    GZIP_BROKEN = "gzip_broken"  # said to be compressed, which it is not
    GZIP_CUT = "gzip_cut"  # half of what was compressed
    GZIP_BOMB = "gzip_bomb"  # `size` bytes once it is unpacked, a thousandth on the line
    INFORMATIONAL = "informational"  # `code` or 103 before the right answer
    GARBAGE = "garbage"  # no HTTP at all
    MANY_HEADERS = "many_headers"  # a thousand of them
    LONG_HEADER = "long_header"  # one of a hundred thousand bytes


@dataclass(frozen=True, slots=True)
class FaultRule:
    """A fault and the calls it befalls.

    `target` is an execution's, a workflow's or a folder's id, "" for all; `method` a name like
    `Execution.Get`, "" for all; `times` None for ever. `latency` and `interval` are seconds, `size` bytes;
    `path` leads to a field of the answer by keys and indices with dots between, `entries.0.status`.
    Raises ValueError for what cannot be meant.
    """

    kind: Fault
    target: str = ""
    method: str = ""
    times: int | None = None
    code: int = 0
    retry_after: str = ""
    latency: float = 0.0
    interval: float = 0.1
    size: int = 64 << 20
    value: Any = None
    message: str = ""
    path: str = ""

    def __post_init__(self) -> None:
        """Refuse at the start what would do nothing later."""
        if self.method and self.method not in METHODS:
            raise ValueError(f"method: {self.method!r} is none of {', '.join(METHODS)}")
        if self.kind is Fault.STATUS and not 400 <= self.code <= 599:
            raise ValueError("code: a fault of kind 'status' needs an HTTP status from 400 to 599")
        if self.kind is Fault.CODE and not self.code:
            raise ValueError("code: a fault of kind 'code' needs an HTTP status from 200 to 599")
        if self.kind is Fault.LATENCY and not self.latency:
            raise ValueError("latency: a fault of kind 'latency' needs seconds greater than 0")
        if self.times is not None and self.times < 1:
            raise ValueError("times: must be at least 1, or null for ever")
        least = 100 if self.kind is Fault.INFORMATIONAL else 200
        if self.code and not least <= self.code <= 599:
            raise ValueError(f"code: must be an HTTP status from {least} to 599")
        if not (0 <= self.latency <= _MAX_SECONDS and 0 <= self.interval <= _MAX_SECONDS):
            raise ValueError("latency, interval: must be seconds from 0 to 86400")
        if not 0 <= self.size <= _MAX_SIZE:
            raise ValueError("size: must be bytes from 0 to 1073741824")
        if not (self.retry_after.isascii() and self.retry_after.isprintable()):
            raise ValueError("retry_after: must be printable ASCII")

    @classmethod
    def from_json(cls, body: object) -> "FaultRule":
        """Read a rule; ValueError says what to write instead."""
        if not isinstance(body, Mapping):
            raise ValueError('expected an object such as {"kind": "status", "code": 503}')  # noqa: TRY004 - as every bad rule
        for key in body:
            if key not in _TYPES:
                raise ValueError(f"{key}: no such field{_nearest(str(key), _TYPES)}")
            if not _fits(body[key], _TYPES[key]):
                raise ValueError(f"{key}: must be {' or '.join(_NAMES[t] for t in _TYPES[key])}")
        if "kind" not in body:
            raise ValueError(f"kind: is missing; one of {', '.join(Fault)}")
        if body["kind"] not in list(Fault):
            raise ValueError(f"kind: {body['kind']!r} is unknown{_nearest(body['kind'], list(Fault))}")
        return cls(**{**body, "kind": Fault(body["kind"])})

    def to_json(self) -> dict[str, Any]:
        """Return the rule as from_json reads it, without what is at its default."""
        defaults = {f.name: f.default for f in fields(self)}
        return {k: v for k, v in asdict(self).items() if k == "kind" or v != defaults[k]}

    def matches(self, method: str, target: str) -> bool:
        """Say whether this rule befalls a call."""
        return self.method in ("", method) and self.target in ("", target)


_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    **dict.fromkeys(("kind", "target", "method", "retry_after", "message", "path"), (str,)),
    **dict.fromkeys(("latency", "interval"), (int, float)),
    **dict.fromkeys(("code", "size"), (int,)),
    "times": (int, type(None)),
    "value": (object,),
}
_NAMES: Final = {str: "a string", int: "an integer", float: "a number", type(None): "null", object: "JSON"}


def _fits(value: object, types: tuple[type, ...]) -> bool:
    return isinstance(value, types) and (object in types or not isinstance(value, bool))


def _nearest(word: str, known: Any) -> str:
    near = difflib.get_close_matches(word, [str(name) for name in known], n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; one of {', '.join(known)}"


class Faults:
    """The rules in force; any thread may change them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[FaultRule] = []

    def add(self, rule: FaultRule) -> None:
        """Put a rule after the others: of two that match, the older befalls the call first."""
        with self._lock:
            if len(self._rules) >= _MAX_RULES:
                raise ValueError(f"no more than {_MAX_RULES} faults at once")
            self._rules.append(rule)

    def clear(self, *, kind: str = "", target: str = "", method: str = "") -> int:
        """Lift the rules with these values, all when none is given, and return how many there were."""
        wanted = {"kind": kind, "target": target, "method": method}
        with self._lock:
            kept = [r for r in self._rules if any(v and getattr(r, k) != v for k, v in wanted.items())]
            lifted = len(self._rules) - len(kept)
            self._rules = kept
            return lifted

    def rules(self) -> tuple[FaultRule, ...]:
        """Return the rules in force, `times` being what is left of it."""
        with self._lock:
            return tuple(self._rules)

    def take(self, method: str, target: str) -> tuple[FaultRule, ...]:
        """Return what befalls this call: every latency that matches and the first other fault."""
        with self._lock:
            matching = [(n, r) for n, r in enumerate(self._rules) if r.matches(method, target)]
            late = [(n, r) for n, r in matching if r.kind is Fault.LATENCY]
            taken = late + [(n, r) for n, r in matching if r.kind is not Fault.LATENCY][:1]
            hit = {n for n, _ in taken}
            left = [_used(rule) if n in hit else [rule] for n, rule in enumerate(self._rules)]
            self._rules = [rule for rules in left for rule in rules]
            return tuple(rule for _, rule in taken)


def _used(rule: FaultRule) -> list[FaultRule]:
    """Return what is left of a rule after one use."""
    if rule.times is None:
        return [rule]
    return [replace(rule, times=rule.times - 1)] if rule.times > 1 else []
