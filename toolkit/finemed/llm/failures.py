"""What went wrong with a call, in kinds, and what follows from each.

==============  ==========================================================  ==================================
kind            seen as                                                     what follows
==============  ==========================================================  ==================================
`rate_limit`    429, 503 or 529 with Retry-After                            waits as told, fewer calls at once
`server`        408, 409, 5xx                                               tried again, waits grow
`connection`    refused, reset, half a body                                 tried again, waits grow
`timeout`       no reply in `timeout_s`                                     tried again, fewer calls at once
`not_json`      a reply that is no chat completion                          tried again, waits grow
`row`           400, 413, 422: the server refuses this one request          the row ends as `error`
`fatal`         401, 402, 403, 404, quota used up, any other 4xx            the stage stops
==============  ==========================================================  ==================================
"""

from __future__ import annotations

import email.utils
import random
import time
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["rate_limit", "server", "connection", "timeout", "not_json", "row", "fatal"]
ROW_ERRORS = (400, 413, 422)
"""The server refuses this one request: malformed for it, or too long."""
_QUOTA = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active")


@dataclass(frozen=True)
class Failure:
    """One failed try."""

    kind: Kind
    fact: str
    """What is known, without text that differs from call to call."""
    retry_after: float | None = None
    """Seconds that the server asks to wait."""
    status: int | None = None
    error: BaseException | None = None


def failure_of(error: BaseException, api: Any) -> Failure | None:
    """The kind of an exception of the `openai` package; None for a fault of ours."""
    if isinstance(error, api.APITimeoutError):
        return Failure("timeout", "no reply in time", error=error)
    if isinstance(error, api.APIConnectionError):
        cause = type(error.__cause__ or error).__name__
        return Failure("connection", f"connection failed ({cause})", error=error)
    if isinstance(error, api.APIStatusError):
        return _by_status(error)
    if isinstance(error, api.APIResponseValidationError | ValueError):
        return Failure("not_json", "the reply is no JSON of a chat completion", error=error)
    return None


def _by_status(error: Any) -> Failure:
    status = int(error.status_code)
    fact = refusal(error)
    if status == 429 and str(error.code) in _QUOTA:
        return Failure("fatal", fact, status=status, error=error)
    wait = retry_after(error.response.headers)
    if status == 429 or (status in (503, 529) and wait is not None):
        return Failure("rate_limit", fact, wait, status, error)
    if status >= 500 or status in (408, 409):
        return Failure("server", fact, None, status, error)
    return Failure("row" if status in ROW_ERRORS else "fatal", fact, None, status, error)


def retry_after(headers: Any) -> float | None:
    """Seconds from ``retry-after-ms`` or ``retry-after`` (seconds or a date); None where neither makes sense."""
    try:
        if headers.get("retry-after-ms"):
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        value = headers.get("retry-after")
        if not value:
            return None
        if value.replace(".", "", 1).isdigit():
            return float(value)
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return None


def backoff(attempt: int, first_s: float, longest_s: float = 30.0) -> float:
    """Wait before the next try: doubled each time, and drawn from its upper half so that calls do not come in step."""
    longest = min(longest_s, first_s * 2**attempt)
    return random.uniform(longest / 2, longest)  # noqa: S311 - no secret


def refusal(error: Any) -> str:
    """What a server says of a request that it refuses, less what differs from call to call (ids, counts, times)."""
    body = error.body if isinstance(error.body, dict) else {}
    words = [word for word in str(body.get("message") or "").split() if not any(char.isdigit() for char in word)]
    said = " ".join(words)[:160]
    return f"HTTP {error.status_code}, code {error.code or 'none'}" + (f": {said}" if said else "")
