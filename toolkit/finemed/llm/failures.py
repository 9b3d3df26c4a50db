"""What went wrong with a call, in kinds, and what follows from each.

==============  ==========================================================  ==================================
kind            seen as                                                     what follows
==============  ==========================================================  ==================================
`rate_limit`    429; 503 or 529 with Retry-After                            waits as told, fewer calls at once
`server`        408, 409, 5xx, a reply that the server broke off            tried again, waits grow
`connection`    refused, reset, half a body                                 tried again, waits grow
`timeout`       no whole reply in `timeout_s`                               tried again, fewer calls at once
`not_chat`      HTML, no JSON, JSON without choices                         tried again, waits grow
`row`           400, 413, 422: the server refuses this one request          the row ends as `error` or `refused`
`fatal`         401, 402, 403, 404, quota used up, other 3xx and 4xx        the stage stops
==============  ==========================================================  ==================================

How long and how often a call is tried again is decided in `tries`, which servers are asked meanwhile in `pacing`.
"""

from __future__ import annotations

import email.utils
import math
import os
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any, Literal

Kind = Literal["rate_limit", "server", "connection", "timeout", "not_chat", "row", "fatal"]
ROW_ERRORS = (400, 413, 422)
"""The server refuses this one request: malformed for it, or too long."""
OVERLOADED = (503, 504, 529)
LONGEST_WAIT_S = 30.0
_LONGEST_TOLD_S = 7 * 86400.0
_QUOTA = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active")
_TOO_LARGE = "request too large"
_FILTERED = ("content_filter", "content_policy_violation")


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
    refused: bool = False
    """Whether the server's content filter took offence at the request."""

    @property
    def congested(self) -> bool:
        """Whether it says that the server has too much to do."""
        return self.kind in ("rate_limit", "timeout") or self.status in OVERLOADED


def failure_of_reply(status: int, headers: Mapping[str, str], body: Any) -> Failure:
    """The kind of a reply that is no success.

    Args:
        status: of the reply, or of the error that a gateway put into a reply with status 200.
        headers: of the reply.
        body: its JSON, or None.
    """
    said, code = _error_of(body)
    fact = _fact(status, said, code)
    if status == 429 and code in _QUOTA:
        return Failure("fatal", fact, status=status)
    if status == 429 and _TOO_LARGE in said.lower():  # above the account's limit by itself: waiting mends nothing
        return Failure("row", fact, status=status)
    wait = retry_after(headers)
    if status == 429 or (status in (503, 529) and wait is not None):
        return Failure("rate_limit", fact, wait, status)
    if status >= 500 or status in (408, 409):
        return Failure("server", fact, wait, status)
    kind: Kind = "row" if status in ROW_ERRORS else "fatal"
    return Failure(kind, fact, None, status, refused=kind == "row" and code in _FILTERED)


def status_in_body(body: Any) -> int | None:
    """The status that gateways put into a reply with status 200, such as ``{"error": {"code": 502}}``."""
    error = body.get("error") if isinstance(body, dict) and "choices" not in body else None
    code = error.get("code") if isinstance(error, dict) else None
    if isinstance(code, str) and code.isdigit():
        code = int(code)
    return code if isinstance(code, int) and 400 <= code < 600 else None


def failure_of_transport(error: BaseException) -> Failure:
    """The kind of an exception of the HTTP package, with the system's own words where there are some."""
    reason = ""
    cause: BaseException | None = error
    while cause is not None and not reason:
        reason = str(getattr(cause, "verify_message", ""))  # of a certificate
        if not reason and isinstance(cause, OSError) and cause.errno is not None:
            reason = os.strerror(cause.errno) if cause.errno > 0 else str(cause.strerror)
        cause = cause.__cause__ or cause.__context__
    return Failure("connection", f"connection failed ({reason or type(error).__name__})", error=error)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds from ``retry-after-ms`` or ``retry-after`` (seconds or a date); None where neither makes sense."""
    try:
        if headers.get("retry-after-ms"):
            seconds = float(headers["retry-after-ms"]) / 1000
        elif not (value := headers.get("retry-after")):
            return None
        elif value.strip().replace(".", "", 1).isdigit():
            seconds = float(value)
        else:
            date = email.utils.parsedate_to_datetime(value)
            seconds = date.replace(tzinfo=date.tzinfo or UTC).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(0.0, seconds), _LONGEST_TOLD_S) if math.isfinite(seconds) else None


def backoff(attempt: int, first_s: float, longest_s: float = LONGEST_WAIT_S) -> float:
    """Wait before the next try: doubled each time, and drawn from its upper half so that calls do not come in step."""
    longest = min(longest_s, first_s * 2 ** min(attempt, 32))
    return random.uniform(longest / 2, longest)  # noqa: S311 - no secret


def _error_of(body: Any) -> tuple[str, str]:
    """Message and code in the forms that servers use."""
    if not isinstance(body, dict):
        return "", ""
    error = body.get("error", body)
    if not isinstance(error, dict):
        return str(error or ""), ""
    said = error.get("message") or error.get("detail") or ""
    return said if isinstance(said, str) else "", str(error.get("code") or "")


def _fact(status: int, said: str, code: str) -> str:
    """What a server says of a request, less what differs from call to call (ids, counts, times)."""
    words = " ".join(word for word in said.split() if not any(char.isdigit() for char in word))[:160]
    fact = f"HTTP {status}, code {code[:40] or 'none'}" + (f": {words}" if words else "")
    return "".join(char if char.isprintable() else "\ufffd" for char in fact)  # it is shown on terminals


def explain(failure: Failure, model: str, key_variable: str | None, tries: int, seconds: float) -> str:
    """What a person reads when the stage stops: the fact and the next step."""
    status, fact = failure.status or 0, failure.fact.rstrip(".")
    if status in (401, 403):
        if key_variable is None:
            return "wants a key; name the variable that holds it in `api_key_env`"
        return f"refuses the key in {key_variable}; check the variable"
    if status == 404:
        return f"does not serve model `{model}`, or nothing here; check `model` and `base_url` (most end in /v1)"
    if 300 <= status < 400:
        return f"sends calls elsewhere ({fact}); set `base_url` to the final address"
    if failure.kind == "fatal":
        return f"refuses the call: {fact}; check the account and `backends`"
    tried = f"tried {tries} times" + (f" in {seconds:.0f} s" if seconds >= 1 else "")
    if failure.kind == "not_chat":
        return f"does not speak the chat protocol: {fact} ({tried}); check `base_url` (most end in /v1)"
    again = "run the same command again; nothing received is lost"
    if failure.kind == "rate_limit":
        told = f", asks to wait {failure.retry_after:.0f} s" if failure.retry_after else ""
        return f"{fact}{told} ({tried}); lower `concurrency` or wait, then {again}"
    return f"{fact} ({tried}); when it is reachable, {again}"
