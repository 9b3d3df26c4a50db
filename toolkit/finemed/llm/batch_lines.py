"""The lines of a Batch API's files: requests as they go up, replies as they come back.

::

    {"custom_id": "9c1f...", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "m", ...}}
    {"custom_id": "9c1f...", "response": {"status_code": 200, "body": {"choices": [...]}}, "error": null}
"""

from __future__ import annotations

import json
from typing import Any

from finemed.config import BatchBackend
from finemed.llm.base import Completion, Request
from finemed.llm.chat import Secrets, chat_body, read_reply
from finemed.llm.failures import Failure, failure_of_reply

CALLS = "/v1/chat/completions"
"""What a line asks for, whatever the server's address."""


def request_line(settings: BatchBackend, request: Request, key: str) -> bytes:
    """A request under its journal key, as a line."""
    body = chat_body(settings, request, with_schema=settings.structured == "on")
    return json.dumps({"custom_id": key, "method": "POST", "url": CALLS, "body": body}).encode() + b"\n"


def key_of(line: dict[str, Any]) -> str:
    """The key of the request that a line is about."""
    return str(line.get("custom_id"))


def is_reply(line: dict[str, Any]) -> bool:
    """Whether a line brings a reply that was paid for."""
    return _status(line) == 200


def read_line(request: Request, line: dict[str, Any], secrets: Secrets) -> Completion | Failure:
    """What a line of an output or error file brought for a request."""
    status, response = _status(line), line.get("response")
    body = response.get("body") if isinstance(response, dict) else None
    if status == 200:
        return read_reply(request, body, secrets)
    if status:
        failure = failure_of_reply(status, {}, body)
        return Failure(failure.kind, secrets.hidden_in(failure.fact), None, status)
    error = line.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return Failure("server", f"no reply, code {str(code)[:40] if code else 'none'}")


def _status(line: dict[str, Any]) -> int:
    response = line.get("response")
    status = response.get("status_code") if isinstance(response, dict) else None
    return status if isinstance(status, int) else 0
