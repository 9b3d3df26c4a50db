"""Any endpoint that speaks the OpenAI chat protocol: OpenAI, vLLM servers, Ollama.

One event loop in a thread of its own works on up to `concurrency` calls. The `openai` package speaks the protocol; how
fast, how often and to which of several servers is decided here (`pacing`, `failures`). A call ends as a `Completion`
whatever the server did, or the stage stops with a `BackendError` where nothing is to be had; what came back before is
handed on first.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from finemed.config import OpenAIBackend, identity, stable_hash
from finemed.errors import BackendError
from finemed.llm.base import Completion, Finish, Request, silent
from finemed.llm.failures import Failure, backoff, failure_of
from finemed.llm.pacing import Allowance, Endpoint, Pool
from finemed.llm.probe import enforces_schema, portable_schema, probe_request
from finemed.models import profile_for

TYPICAL_TOKENS_PER_CHARACTER = 0.25
REFUSED_KEY = (401, 403)


class OpenAIChat:
    """Backend over the `openai` client, up to `concurrency` calls in flight."""

    local = False
    free = False
    extractive = False

    def __init__(self, settings: OpenAIBackend) -> None:
        self._settings = settings
        self.profile = profile_for(settings.model_family)
        self.say: Callable[[str], None] = silent
        self._identity = identity(settings)
        self.name = f"openai:{settings.model}"
        if settings.model.startswith("/"):  # vLLM serves under the path by default; no path of a machine gets into rows
            self.name = f"openai:{PurePosixPath(settings.model).name}"
            self._identity |= {"model": self.name, "model_hash": stable_hash(settings.model)}
        self._pool: Pool | None = None
        self._keys: list[str] = []
        self._enforced: bool | None = None if settings.structured == "auto" else settings.structured == "on"
        self._checked = settings.structured == "off"

    def identity(self) -> dict[str, Any]:
        return self._identity

    def ready(self) -> None:
        for _, variable in self._addresses():
            _read_key(variable)

    def _addresses(self) -> list[tuple[str | None, str | None]]:
        """Address and name of the key's variable of every server."""
        settings = self._settings
        if settings.endpoints:
            return [(endpoint.base_url, endpoint.api_key_env) for endpoint in settings.endpoints]
        return [(settings.base_url, settings.api_key_env)]

    def _open(self) -> Pool:
        """Connects at the first call, so that plans and previews need no key."""
        import openai

        settings = self._settings
        addresses = self._addresses()
        keys = [_read_key(variable) for _, variable in addresses]
        self._api = openai
        self._response: Any = importlib.import_module(
            openai.DefaultAsyncHttpxClient.__bases__[0].__module__.split(".")[0]
        )
        self._keys = [key for key in keys if key]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        share = max(1, -(-settings.concurrency // len(addresses)))
        limits = self._response.Limits(max_connections=share + 8, max_keepalive_connections=share + 8)
        endpoints = [
            Endpoint(
                _host(address),
                openai.AsyncOpenAI(
                    api_key=key or "none",
                    base_url=address,
                    timeout=settings.timeout_s,
                    max_retries=0,
                    http_client=openai.DefaultAsyncHttpxClient(limits=limits, timeout=settings.timeout_s),
                ),
                cap=share,
            )
            for (address, _), key in zip(addresses, keys, strict=True)
        ]
        per_minute = (settings.requests_per_minute, settings.tokens_per_minute)
        requests, tokens = (Allowance(limit) if limit else None for limit in per_minute)
        return Pool(endpoints, lambda message: self.say(message), requests, tokens)

    # --- structured replies ------------------------------------------------------------------------------------------

    def probe(self) -> Request | None:
        """A call that shows whether the server enforces a reply's schema; None once that is known."""
        return None if self._checked else probe_request(self._addresses())

    def probed(self, completion: Completion) -> None:
        """Takes the reply to the probe: a server that accepts a schema and ignores it is not trusted with one."""
        self._checked = True
        enforced = completion.finish == "stop" and enforces_schema(completion.text)
        if not enforced:
            how = "refuses" if completion.finish == "error" else "accepts and ignores"
            self.say(f"{self.name}: the server {how} reply schemas; replies are read tolerantly, with re-asks")
        if self._settings.structured == "auto":
            self._enforced = enforced

    # --- calls -------------------------------------------------------------------------------------------------------

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        self._pool = pool = self._pool or self._open()
        done: queue.SimpleQueue[Completion | BaseException] = queue.SimpleQueue()
        waiting = iter(requests)
        in_flight, exhausted = 0, False
        while True:
            while not exhausted and in_flight < self._settings.concurrency:
                request = next(waiting, None)
                if request is None:
                    exhausted = True
                else:
                    asyncio.run_coroutine_threadsafe(self._call(pool, request, done), self._loop)
                    in_flight += 1
            if in_flight == 0:
                return
            outcome = done.get()
            in_flight -= 1
            if isinstance(outcome, BaseException):
                yield from self._drain(done, in_flight)
                raise outcome
            yield outcome

    def _drain(self, done: queue.SimpleQueue[Completion | BaseException], in_flight: int) -> Iterator[Completion]:
        """What is still in flight when one call fails for good was paid for too: wait for it and hand it on."""
        for _ in range(in_flight):
            outcome = done.get()
            if isinstance(outcome, Completion):
                yield outcome

    async def _call(self, pool: Pool, request: Request, done: queue.SimpleQueue[Completion | BaseException]) -> None:
        try:
            done.put(await self._chat(pool, request))
        except BaseException as error:
            done.put(error)

    async def _chat(self, pool: Pool, request: Request) -> Completion:
        """Tries until there is a completion.

        Raises:
            BackendError: the server refuses the account, or no server has answered anything for all the tries.
        """
        body = self._body(request)
        size = int(sum(len(message["content"]) for message in body["messages"]) * TYPICAL_TOKENS_PER_CHARACTER)
        began = self._loop.time()
        tries = 0
        while True:
            endpoint = await pool.take(size + request.sampling.max_tokens)
            sent = self._loop.time()
            try:
                outcome = await self._post(endpoint.client, request, body)
            finally:
                pool.give_back(endpoint)
            if isinstance(outcome, Completion):
                pool.succeeded(endpoint)
                return outcome
            if outcome.kind == "fatal":
                raise self._explained(outcome, endpoint)
            if outcome.kind == "row":
                pool.succeeded(endpoint)
                return Completion(request, "", "error", detail=self._redacted(outcome.fact))
            if outcome.kind in ("rate_limit", "timeout"):
                pool.congested(endpoint, sent, outcome.retry_after)
            if outcome.kind != "rate_limit":
                pool.failed(endpoint, outcome.fact)
                tries += 1
            waited = self._loop.time() - began
            if tries > self._settings.max_retries or waited > self._settings.patience_s:
                if not pool.answered_since(began):
                    raise self._explained(outcome, endpoint)
                detail = f"{outcome.kind}: {outcome.fact} (tried {max(tries, 1)} times)"
                return Completion(request, "", "error", detail=self._redacted(detail))
            await asyncio.sleep(backoff(tries, self._settings.retry_wait_s))

    def _body(self, request: Request) -> dict[str, Any]:
        sampling = request.sampling
        body: dict[str, Any] = {
            "model": self._settings.model,
            "messages": request.messages(),
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            self._settings.max_tokens_field: sampling.max_tokens,
        }
        schema = request.schema()
        probing = request.prompt.name == "probe"
        if schema is not None and (self._enforced or probing):
            wanted = {"name": request.prompt.name, "schema": portable_schema(schema), "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": wanted}
        return {**body, **self._settings.extra_body}

    async def _post(self, client: Any, request: Request, body: dict[str, Any]) -> Completion | Failure:
        try:
            response = await client.post("/chat/completions", cast_to=self._response.Response, body=body)
            completion = _completion(request, json.loads(response.content))
        except Exception as error:
            failure = failure_of(error, self._api)
            if failure is None:
                raise
            return failure
        return completion or Failure("not_json", "the reply is no chat completion (no choices)")

    def _explained(self, failure: Failure, endpoint: Endpoint) -> BackendError:
        where, status = endpoint.url, failure.status
        known = [variable for _, variable in self._addresses() if variable]
        if status in REFUSED_KEY:
            if not known:
                return BackendError(f"{where}: wants a key; name the variable that holds it in `api_key_env`")
            return BackendError(f"{where}: refuses the key in {', '.join(known)}; check the variable")
        if status == 404:
            return BackendError(f"{where}: does not serve model `{self._settings.model}`; check `backends` and `model`")
        fact = self._redacted(failure.fact).rstrip(".")
        if failure.kind == "fatal":
            return BackendError(f"{where}: refuses the call: {fact}; check the account and `backends`")
        if failure.kind == "rate_limit":
            step = "lower `concurrency` or wait, then run the same command again; nothing received is lost"
        else:
            step = "run the same command again when it is reachable; nothing received is lost"
        return BackendError(f"{where}: {fact} (after {self._settings.max_retries} retries); {step}")

    def _redacted(self, text: str) -> str:
        for key in self._keys:
            text = text.replace(key, "[key]")
        return text[:500]

    # --- the end -----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        if self._pool is None:
            return
        pool, self._pool = self._pool, None
        asyncio.run_coroutine_threadsafe(self._end(pool), self._loop).result(timeout=10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    @staticmethod
    async def _end(pool: Pool) -> None:
        """Drops the calls that nobody waits for any more, then disconnects."""
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        for endpoint in pool.endpoints:
            await endpoint.client.close()


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


def _completion(request: Request, reply: Any) -> Completion | None:
    """Reads a chat completion; None where it is none. Servers differ in what they leave out."""
    choices = reply.get("choices") if isinstance(reply, dict) else None
    if not choices or not isinstance(choices[0], dict):
        return None
    choice, counted = choices[0], reply.get("usage") or {}
    message = choice.get("message") or {}
    usage = {name: int(counted.get(name) or 0) for name in ("prompt_tokens", "completion_tokens")}
    text = message.get("content") or ""
    hidden = message.get("reasoning_content") or message.get("reasoning") or ""
    refusal, finish = message.get("refusal"), choice.get("finish_reason")
    if refusal or finish == "content_filter":
        return Completion(request, text, "refused", hidden, usage, refusal or "stopped by the content filter")
    ended: Finish = "length" if finish == "length" else "stop"
    return Completion(request, text, ended, hidden, usage)


def _host(base_url: str | None) -> str:
    """The endpoint as messages show it: without user, password and query, which may be secrets."""
    if base_url is None:
        return "OpenAI"
    parts = urlsplit(base_url)
    return f"{parts.scheme}://{parts.hostname}:{parts.port}" if parts.port else f"{parts.scheme}://{parts.hostname}"
