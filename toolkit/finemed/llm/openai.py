"""Any endpoint that speaks the OpenAI chat protocol: OpenAI, a vLLM server, Ollama.

The client package retries 429, 5xx and broken connections with exponential waits; when its tries are used up the stage
stops with a `BackendError`, keeps what came back, and goes on from there at the next start.
"""

from __future__ import annotations

import asyncio
import os
import queue
import threading
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from finemed.config import OpenAIBackend, identity, stable_hash
from finemed.errors import BackendError
from finemed.llm.base import Completion, Finish, Request
from finemed.models import profile_for

ROW_ERRORS = (400, 413, 422)
"""The server refuses this one request: malformed for it, or too long."""


class OpenAIChat:
    """Backend over the `openai` client, `concurrency` calls in flight."""

    local = False
    free = False
    extractive = False

    def __init__(self, settings: OpenAIBackend) -> None:
        self._settings = settings
        self.profile = profile_for(settings.model_family)
        self._identity = identity(settings)
        self.name = f"openai:{settings.model}"
        if settings.model.startswith("/"):  # vLLM serves under the path by default; no path of a machine gets into rows
            self.name = f"openai:{PurePosixPath(settings.model).name}"
            self._identity |= {"model": self.name, "model_hash": stable_hash(settings.model)}
        self._client: Any = None

    def _open(self) -> None:
        """Connects at the first call, so that plans and previews need no key."""
        import openai

        settings = self._settings
        self._errors = openai
        self._key = self._read_key(settings.api_key_env)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._client = openai.AsyncOpenAI(
            api_key=self._key or "none",
            base_url=settings.base_url,
            timeout=settings.timeout_s,
            max_retries=settings.max_retries,
        )

    @staticmethod
    def _read_key(variable: str | None) -> str | None:
        if variable is None:
            return None
        key = os.environ.get(variable)
        if not key:
            raise BackendError(
                f"environment variable {variable} is not set; set it to the endpoint's key, or `api_key_env: null` for "
                "a server without keys"
            )
        return key

    def identity(self) -> dict[str, Any]:
        return self._identity

    def ready(self) -> None:
        self._read_key(self._settings.api_key_env)

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        if self._client is None:
            self._open()
        done: queue.SimpleQueue[Completion | BaseException] = queue.SimpleQueue()
        waiting = iter(requests)
        in_flight, exhausted = 0, False
        while True:
            while not exhausted and in_flight < self._settings.concurrency:
                request = next(waiting, None)
                if request is None:
                    exhausted = True
                else:
                    asyncio.run_coroutine_threadsafe(self._call(request, done), self._loop)
                    in_flight += 1
            if in_flight == 0:
                return
            outcome = done.get()
            in_flight -= 1
            if isinstance(outcome, BaseException):
                yield from self._drain(done, in_flight)
                raise self._explained(outcome) from None
            yield outcome

    def _drain(self, done: queue.SimpleQueue[Completion | BaseException], in_flight: int) -> Iterator[Completion]:
        """What is still in flight when one call fails for good was paid for too: wait for it and hand it on."""
        for _ in range(in_flight):
            outcome = done.get()
            if isinstance(outcome, Completion):
                yield outcome

    async def _call(self, request: Request, done: queue.SimpleQueue[Completion | BaseException]) -> None:
        try:
            done.put(await self._chat(request))
        except BaseException as error:
            done.put(error)

    async def _chat(self, request: Request) -> Completion:
        sampling = request.sampling
        arguments: dict[str, Any] = {
            "model": self._settings.model,
            "messages": request.messages(),
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "extra_body": self._settings.extra_body or None,
        }
        schema = request.schema()
        if schema is not None and self._settings.json_schema:
            arguments["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": request.prompt.name, "schema": schema},
            }
        for attempt in range(self._settings.max_retries + 1):
            try:
                reply = await self._client.chat.completions.create(**arguments)
                if getattr(reply, "choices", None):
                    return self._completion(request, reply)
            except self._errors.APIStatusError as error:
                if error.status_code not in ROW_ERRORS:
                    raise
                return Completion(request, "", "error", detail=self._redacted(_refusal(error)))
            except (ValueError, self._errors.APIResponseValidationError):
                pass  # a proxy's page instead of JSON: try again, as after a 5xx
            await asyncio.sleep(min(8.0, self._settings.retry_wait_s * 2**attempt))
        raise BackendError("the replies are not those of a chat endpoint (no JSON, or no choices)")

    def _completion(self, request: Request, reply: Any) -> Completion:
        choice = reply.choices[0]
        usage = {
            "prompt_tokens": getattr(reply.usage, "prompt_tokens", 0) or 0,
            "completion_tokens": getattr(reply.usage, "completion_tokens", 0) or 0,
        }
        text = choice.message.content or ""
        hidden = getattr(choice.message, "reasoning_content", None) or ""
        refusal = getattr(choice.message, "refusal", None)
        if refusal or choice.finish_reason == "content_filter":
            return Completion(request, text, "refused", hidden, usage, refusal or "stopped by the content filter")
        finish: Finish = "length" if choice.finish_reason == "length" else "stop"
        return Completion(request, text, finish, hidden, usage)

    def _explained(self, error: BaseException) -> BackendError:
        where = _host(self._settings.base_url)
        api = self._errors
        if not isinstance(error, api.APIError | BackendError):
            raise error  # a fault of ours, not of the endpoint
        if isinstance(error, api.AuthenticationError | api.PermissionDeniedError):
            if self._settings.api_key_env is None:
                return BackendError(f"{where}: wants a key; name the variable that holds it in `api_key_env`")
            return BackendError(f"{where}: refuses the key in {self._settings.api_key_env}; check the variable")
        if isinstance(error, api.NotFoundError):
            return BackendError(f"{where}: does not serve model `{self._settings.model}`; check `backends` and `model`")
        if (
            isinstance(error, api.APIStatusError)
            and 400 <= error.status_code < 500
            and error.status_code not in (408, 409, 429)
        ):
            return BackendError(
                f"{where}: refuses the call: {self._redacted(str(error))}; check the account and `backends`"
            )
        if isinstance(error, api.RateLimitError):
            next_step = "lower `concurrency` or wait, then run the same command again; nothing received is lost"
        else:
            next_step = "run the same command again when it is reachable; nothing received is lost"
        return BackendError(
            f"{where}: {self._redacted(str(error)).rstrip('.')} (after {self._settings.max_retries} retries); "
            f"{next_step}"
        )

    def _redacted(self, text: str) -> str:
        return text.replace(self._key, "[key]")[:500] if self._key else text[:500]

    def close(self) -> None:
        if self._client is None:
            return
        client, self._client = self._client, None
        asyncio.run_coroutine_threadsafe(self._end(client), self._loop).result(timeout=10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    @staticmethod
    async def _end(client: Any) -> None:
        """Drops the calls that nobody waits for any more, then disconnects."""
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await client.close()


def _host(base_url: str | None) -> str:
    """The endpoint as messages show it: without user, password and query, which may be secrets."""
    if base_url is None:
        return "OpenAI"
    parts = urlsplit(base_url)
    return f"{parts.scheme}://{parts.hostname}:{parts.port}" if parts.port else f"{parts.scheme}://{parts.hostname}"


def _refusal(error: Any) -> str:
    """What a server says of a request that it refuses, less what differs from call to call (ids, counts, times)."""
    body = error.body if isinstance(error.body, dict) else {}
    words = [word for word in str(body.get("message") or "").split() if not any(char.isdigit() for char in word)]
    said = " ".join(words)[:160]
    return f"HTTP {error.status_code}, code {error.code or 'none'}" + (f": {said}" if said else "")
