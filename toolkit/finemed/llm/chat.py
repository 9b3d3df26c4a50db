"""The chat protocol of OpenAI as servers speak it: what is sent, how a reply is read, which secrets are kept out.

::

    chat_body(settings, request, with_schema=True)  ->  {"model": "m", "messages": [...], "response_format": ...}
    read_reply(request, {"choices": [...]}, Secrets([], []))  ->  Completion(text="...", finish="stop", ...)
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterable
from typing import Any, Protocol
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from finemed.errors import BackendError
from finemed.llm.accounting import TOKENS_PER_CHARACTER
from finemed.llm.base import Completion, Finish, Request
from finemed.llm.failures import Failure
from finemed.llm.probe import portable_schema_of

_ENDS: dict[str, Finish] = {
    "length": "length",
    "max_tokens": "length",
    "content_filter": "refused",
    "refusal": "refused",
}
_BROKEN_OFF = ("abort", "aborted", "cancelled", "canceled", "error")
_HIDDEN = "[key]"
_SECRET_NAME = re.compile("key|token|secret|pass|sig|auth|code", re.IGNORECASE)


class ChatSettings(Protocol):
    """What of a backend's settings shapes the body of a call."""

    model: str
    max_tokens_field: Any
    extra_body: dict[str, Any]


def chat_body(settings: ChatSettings, request: Request, *, with_schema: bool) -> dict[str, Any]:
    """The body of a call; a null in `extra_body` takes a field out."""
    sampling = request.sampling
    body: dict[str, Any] = {
        "model": settings.model,
        "messages": request.messages(),
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        settings.max_tokens_field: sampling.max_tokens,
    }
    if with_schema and request.reply is not None:
        wanted = {"name": request.prompt.name, "schema": portable_schema_of(request.reply), "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": wanted}
    return {key: value for key, value in {**body, **settings.extra_body}.items() if value is not None}


def read_reply(request: Request, reply: Any, secrets: Secrets) -> Completion | Failure:
    """Reads a chat completion, whatever a server left out; a failure where it is none, or was broken off."""
    choices = reply.get("choices") if isinstance(reply, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        return Failure("not_chat", "the reply is no chat completion (no choices)")
    ended = choice.get("finish_reason")
    if ended in _BROKEN_OFF:
        return Failure("server", f"the server broke the reply off ({ended})")
    text = secrets.taken_out_of(_text(message.get("content")))
    hidden = secrets.taken_out_of(_text(message.get("reasoning_content") or message.get("reasoning")))
    refusal = secrets.taken_out_of(_text(message.get("refusal")))
    finish = _ENDS.get(ended, "stop") if isinstance(ended, str) else "stop"
    detail = ""
    if refusal or finish == "refused":
        finish, detail = "refused", refusal or "stopped by the content filter"
    return Completion(request, text, finish, hidden, _usage(request, reply.get("usage"), text + hidden), detail)


def _text(content: Any) -> str:
    """Text, or the texts of a list of parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(_text(part.get("text")) for part in parts if isinstance(part, dict))


def _usage(request: Request, counted: Any, text: str) -> dict[str, int]:
    """Tokens as the server counted them, or an estimate where it does not say, marked as `estimated`."""
    names = ("prompt_tokens", "completion_tokens")
    usage = {name: _count(counted.get(name)) for name in names} if isinstance(counted, dict) else {}
    if usage.get("prompt_tokens"):
        return usage
    sent = sum(len(message["content"]) for message in request.messages())
    guessed = (int(length * TOKENS_PER_CHARACTER) + 1 for length in (sent, len(text)))
    return dict(zip(names, guessed, strict=True)) | {"estimated": 1}


def _count(value: Any) -> int:
    return max(0, int(value)) if isinstance(value, int | float) and value == value and abs(value) < 1e15 else 0


# --- addresses and secrets -------------------------------------------------------------------------------------------


def host_of(base_url: str) -> str:
    """The server as messages show it: without user, password, path and query, which may be secrets."""
    parts = urlsplit(base_url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")


def read_key(variable: str | None) -> str | None:
    """The key that an environment variable holds.

    Raises:
        BackendError: it is not set, or no header can hold it. The key itself is not told.
    """
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise BackendError(
            f"environment variable {variable} is not set; set it to the endpoint's key, or `api_key_env: null` for "
            "a server without keys"
        )
    if not (key.isascii() and key.isprintable()):
        raise BackendError(f"environment variable {variable} holds more than a key (a line break, or other characters)")
    return key


class Secrets:
    """Keys, and what addresses hold of user, password and query; kept out of whatever is stored or shown."""

    def __init__(self, keys: Iterable[str | None], addresses: Iterable[str]) -> None:
        found = {key for key in keys if key}
        for address in addresses:
            parts = urlsplit(address)
            if parts.password:
                user, password = unquote(parts.username or ""), unquote(parts.password)
                pair = base64.b64encode(f"{user}:{password}".encode()).decode()
                found |= {parts.password, password, pair}
            found |= {value for name, value in parse_qsl(parts.query) if _SECRET_NAME.search(name)}
        found |= {quote(secret, safe="") for secret in found}
        self._all = [(secret, _escaped(secret)) for secret in sorted(found, key=len, reverse=True)]
        self._telling = [(secret, escaped) for secret, escaped in self._all if _is_telling(secret)]

    def hidden_in(self, text: str) -> str:
        """A message with none of them, cut to a length that can be read."""
        return _without(self._all, text)[:500]

    def taken_out_of(self, text: str) -> str:
        """A reply without those that cannot be ordinary words; `EMPTY`, `ollama` and the like stay."""
        return _without(self._telling, text)


def _without(secrets: Iterable[tuple[str, re.Pattern[str]]], text: str) -> str:
    for secret, escaped in secrets:
        text = text.replace(secret, _HIDDEN)
        if "\\" in text:
            text = escaped.sub(_HIDDEN, text)
    return text


def _escaped(secret: str) -> re.Pattern[str]:
    """The secret inside JSON inside text: any character may be escaped."""
    return re.compile("".join(rf"(?:\\*{re.escape(char)}|\\+u(?i:{ord(char):04x}))" for char in secret))


def _is_telling(secret: str) -> bool:
    return len(secret) >= 20 or (len(secret) >= 8 and not secret.isalpha())
