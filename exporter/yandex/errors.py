"""What can go wrong when the cloud is asked, as one tree of exceptions.

ApiError
├── Unreachable       connection    no connection, DNS, reset
├── TlsFailed         tls           no trust between the two ends
├── CallTimeout       timeout       one call took longer than it may
├── BudgetSpent       budget        the scrape has no time left for this call
│   └── NotSent                     ... nor had for its first attempt
├── AuthFailed        auth          no IAM token is to be had
├── BadResponse       bad_response  an answer, but not one of this API
└── Refused                         the API said no, with an HTTP status
    ├── BadRequest    bad_request   any other 4xx
    ├── Unauthorized  unauthorized  401
    ├── Forbidden     forbidden     403
    ├── NotFound      not_found     404
    ├── RateLimited   rate_limited  429
    └── ServerError   server_error  499 and 5xx
"""

from typing import ClassVar, Self


class ApiError(Exception):
    """A call gave no data.

    `reason` is the value of the `reason` label that counts it, `remedy` what a person can do;
    `http_code` is the status of the answer, 0 if there was none. The message is for people and must
    hold no secret.
    """

    reason: ClassVar[str]
    remedy: ClassVar[str]

    def __init__(self, message: str, http_code: int = 0) -> None:
        """Keep the status beside the message."""
        super().__init__(message)
        self.http_code = http_code

    def bare(self) -> Self:
        """Return this error to be kept: without the traceback, which would keep all that the call had."""
        self.__context__ = self.__cause__ = None
        return self.with_traceback(None)


class Unreachable(ApiError):
    """No connection, no name, or a connection that broke."""

    reason = "connection"
    remedy = "No connection to the API. Check network, DNS and proxy."


class TlsFailed(ApiError):
    """The two ends did not come to trust each other."""

    reason = "tls"
    remedy = "No TLS with the API. Is its certificate trusted (REQUESTS_CA_BUNDLE), and is it https at all?"


class CallTimeout(ApiError):
    """One call took longer than `api.timeout`."""

    reason = "timeout"
    remedy = "The API did not answer in time. Raise api.timeout if this lasts."


class BudgetSpent(ApiError):
    """The scrape's budget ended before the call did."""

    reason = "budget"
    remedy = "The scrape's time was over. Raise scrape.timeout, api.concurrency or api.requests_per_second."


class NotSent(BudgetSpent):
    """The budget ended before the first attempt: nothing is known of what was to be asked."""


class AuthFailed(ApiError):
    """No IAM token could be had."""

    reason = "auth"
    remedy = "No IAM token is to be had. See /-/ready, the log and the auth settings."


class BadResponse(ApiError):
    """An answer that is not what this API says: not JSON, too large, about something else."""

    reason = "bad_response"
    remedy = "The answer is not one of this API. Check api.endpoint, the proxy and api.max_response_bytes."


class Refused(ApiError):
    """The API answered with an HTTP status that is an error."""


class BadRequest(Refused):
    """A 4xx that has no row of its own."""

    reason = "bad_request"
    remedy = "The API does not take this request. Is the ID right?"


class Unauthorized(Refused):
    """401: the token is not accepted."""

    reason = "unauthorized"
    remedy = "The API does not accept the token. Is it expired, or the key deleted?"


class Forbidden(Refused):
    """403: the account may not see this."""

    reason = "forbidden"
    remedy = "Grant this account the role serverless.workflows.viewer on the folder."


class NotFound(Refused):
    """404: there is no such thing, or no longer."""

    reason = "not_found"
    remedy = (
        "There is no such execution, workflow or folder. Is it deleted, its ID cut, or api.endpoint wrong?"
    )


class RateLimited(Refused):
    """429: too many requests."""

    reason = "rate_limited"
    remedy = "Too many requests. Lower api.requests_per_second, or scrape less often."


class ServerError(Refused):
    """499 and 5xx: the API has trouble of its own."""

    reason = "server_error"
    remedy = "The API has trouble of its own. It is asked again at the next scrape."


KINDS: tuple[type[ApiError], ...] = (
    Unreachable, TlsFailed, CallTimeout, BudgetSpent, NotFound, Unauthorized, Forbidden,
    RateLimited, ServerError, BadRequest, BadResponse, AuthFailed,
)  # fmt: skip
LASTING = (NotFound, Forbidden, BadRequest, BadResponse)
"""Errors that asking again at once will not mend."""
REASONS = tuple(kind.reason for kind in KINDS)
REMEDIES = {kind.reason: kind.remedy for kind in KINDS}
"""What a person can do, by reason."""


def refusal(http_code: int, message: str) -> Refused:
    """Return the error that this HTTP status stands for."""
    kinds: dict[int, type[Refused]] = {
        401: Unauthorized, 403: Forbidden, 404: NotFound, 429: RateLimited, 499: ServerError,
    }  # fmt: skip
    fallback = ServerError if http_code >= 500 else BadRequest
    return kinds.get(http_code, fallback)(message, http_code)
