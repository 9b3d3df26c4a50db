"""Any server that speaks the OpenAI chat protocol: OpenAI, vLLM, Ollama, one of them or a pool.

::

    backend = OpenAIChat(OpenAIBackend(type="openai", model="m", base_url="http://localhost:8000/v1", api_key_env=None))
    for completion in backend.complete(requests): ...

An event loop in a thread of its own works on up to `concurrency` calls. Which server is asked and how fast is decided
in `pacing`, how often in `tries`. A call ends as a `Completion` whatever the server did, or the stage stops with a
`BackendError` where nothing is to be had; what was at a server then is waited for and handed on first.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

from finemed.config import EndpointConfig, OpenAIBackend, identity, stable_hash
from finemed.errors import BackendError
from finemed.llm.base import Completion, Request, silent
from finemed.llm.chat import Secrets, chat_body, host_of, read_key, read_reply
from finemed.llm.connections import Connections
from finemed.llm.failures import Failure, explain, failure_of_reply, status_in_body
from finemed.llm.interrupt import deferred_interrupt
from finemed.llm.pacing import NEVER, Allowance, Endpoint, Pool
from finemed.llm.probe import PROBE, enforces_schema, probe_request
from finemed.llm.tries import Call, GivenUpError, HaltedError, Tries
from finemed.models import profile_for

OPENAI = "https://api.openai.com/v1"
TYPICAL_TOKENS_PER_CHARACTER = 0.25
_END = object()


@dataclass(eq=False)
class _Server:
    """One server and what is known of it."""

    address: str
    key_variable: str | None
    url: str
    """As messages show it."""
    secrets: Secrets = field(default_factory=lambda: Secrets((), ()))
    enforces: bool | None = None
    """Whether it keeps to schemas; None while that is not known."""
    asked_at: float = NEVER
    """Its last answer when it was probed in vain."""
    probed: bool = False


@dataclass(eq=False)
class _Open:
    """What runs while the backend is connected."""

    loop: asyncio.AbstractEventLoop
    thread: threading.Thread
    pool: Pool
    tries: Tries
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    settling: asyncio.Task[None] | None = None


Done = queue.SimpleQueue[Completion | BaseException | None]
"""How calls ended; None after the last one of a stage that stops."""


class _Work:
    """The calls of one stream of requests."""

    def __init__(self, requests: Iterable[Request | None]) -> None:
        self.done: Done = queue.SimpleQueue()
        self.calls: dict[asyncio.Task[None], Call] = {}
        self.in_flight = 0
        self._requests = iter(requests)
        self._more = True

    def fresh(self, most: int) -> list[Request]:
        """Requests to start, up to so many under way."""
        found: list[Request] = []
        while self._more and self.in_flight + len(found) < most:
            request = next(self._requests, _END)
            self._more = request is not _END
            if not isinstance(request, Request):
                break
            found.append(request)
        self.in_flight += len(found)
        return found


class OpenAIChat:
    """Backend over HTTP, up to `concurrency` calls in flight."""

    local = False
    free = False
    extractive = False
    interleaves = True

    def __init__(self, settings: OpenAIBackend) -> None:
        self._settings = settings
        self.profile = profile_for(settings.model_family)
        self.say: Callable[[str], None] = silent
        self._identity = identity(settings)
        self.name = f"openai:{settings.model}"
        if settings.model.startswith("/"):  # vLLM serves under the path by default; no path of a machine gets into rows
            self.name = f"openai:{PurePosixPath(settings.model).name}"
            self._identity |= {"model": self.name, "model_hash": stable_hash(settings.model)}
        given: Sequence[EndpointConfig | OpenAIBackend] = settings.endpoints or [settings]
        addresses = [(endpoint.base_url or OPENAI, endpoint.api_key_env) for endpoint in given]
        self._servers = [_Server(address, variable, host_of(address)) for address, variable in addresses]
        self._opened: _Open | None = None

    def identity(self) -> dict[str, Any]:
        return self._identity

    def ready(self) -> None:
        for server in self._servers:
            read_key(server.key_variable)

    def _open(self) -> _Open:
        """Connects at the first call, so that plans and previews need no key."""
        if self._opened is not None:
            return self._opened
        settings, servers = self._settings, self._servers
        keys = [read_key(server.key_variable) for server in servers]
        secrets = Secrets(keys, [server.address for server in servers])
        for server in servers:
            server.secrets = secrets
        share = max(1, settings.concurrency // (2 * len(servers)))
        endpoints = [
            Endpoint(
                server.url, (server, Connections(server.address, key, settings.timeout_s)), settings.concurrency, share
            )
            for server, key in zip(servers, keys, strict=True)
        ]
        rates = (settings.requests_per_minute, settings.tokens_per_minute)
        requests, tokens = (Allowance(rate) if rate else None for rate in rates)
        pool = Pool(endpoints, settings.concurrency, self._told, requests, tokens, settings.retry_wait_s)
        tries = Tries(pool, self._post, _alive, settings.max_retries, settings.retry_wait_s, settings.patience_s)
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="finemed-calls", daemon=True)
        thread.start()
        self._opened = _Open(loop, thread, pool, tries)
        return self._opened

    def _told(self, message: str) -> None:
        self.say(message)

    # --- structured replies ------------------------------------------------------------------------------------------

    def probe(self) -> Request | None:
        """A call that shows whether a server enforces a reply's schema; None once that is known of all that answer."""
        if self._settings.structured == "off":
            return None
        for number, server in enumerate(self._servers):
            if not server.probed or (server.enforces is None and self._last_answer(number) > server.asked_at):
                return probe_request(server.address, number)
        return None

    def probed(self, completion: Completion) -> None:
        """Takes the reply to a probe: a server that accepts a schema and ignores it is not trusted with one."""
        number = completion.request.inputs["endpoint"]
        server = self._servers[number]
        server.probed, server.asked_at = True, self._last_answer(number)
        refused = completion.detail.startswith("HTTP 4")
        if completion.finish == "error" and not refused:
            return  # it was out of reach, and is asked again when it answers
        server.enforces = enforces_schema(completion, self.profile)
        if not server.enforces:
            how = "refuses" if refused else "accepts and ignores"
            then = "are sent all the same" if self._settings.structured == "on" else "are not sent"
            self.say(f"{server.url}: {how} reply schemas, so they {then}; replies are read tolerantly, with re-asks")

    def _last_answer(self, number: int) -> float:
        return NEVER if self._opened is None else self._opened.pool.endpoints[number].last_answer

    # --- calls -------------------------------------------------------------------------------------------------------

    def complete(self, requests: Iterable[Request | None]) -> Iterator[Completion]:
        opened = self._open()
        work = _Work(requests)
        with deferred_interrupt(lambda: work.done.put(KeyboardInterrupt())):
            try:
                yield from self._completions(opened, work)
            except GeneratorExit:
                raise
            except BaseException as error:
                if work.in_flight and not isinstance(error, GivenUpError):
                    self.say("stops, and waits for what is at the server (interrupt again to drop it)")
                yield from self._drained(opened, work)
                raise self._explained(error) from None

    def _completions(self, opened: _Open, work: _Work) -> Iterator[Completion]:
        most = max(2, self._settings.concurrency)  # a second call shows whether the first or the server is at fault
        while True:
            fresh = work.fresh(most)
            if fresh:
                opened.loop.call_soon_threadsafe(self._start, opened, work, fresh)
            if not work.in_flight:
                return
            outcome = work.done.get()
            work.in_flight -= 1
            if not isinstance(outcome, Completion):
                raise outcome or HaltedError
            yield outcome

    def _drained(self, opened: _Open, work: _Work) -> Iterator[Completion]:
        """What is at a server when the stage stops was paid for too: waits for it and hands it on."""
        opened.loop.call_soon_threadsafe(self._halt, opened, work)
        while (outcome := work.done.get()) is not None:
            if isinstance(outcome, Completion):
                yield outcome

    def _start(self, opened: _Open, work: _Work, requests: list[Request]) -> None:
        for request in requests:
            call = Call(request)
            if request.prompt.name == PROBE and len(self._servers) > 1:
                call.only = opened.pool.endpoints[request.inputs["endpoint"]]
            task = opened.loop.create_task(self._call(opened, call, work.done))
            work.calls[task] = call
            opened.tasks.add(task)
            task.add_done_callback(opened.tasks.discard)
            task.add_done_callback(work.calls.pop)

    @staticmethod
    async def _call(opened: _Open, call: Call, done: Done) -> None:
        try:
            if opened.pool.tokens is not None:
                sent = sum(len(message["content"]) for message in call.request.messages())
                call.tokens = int(sent * TYPICAL_TOKENS_PER_CHARACTER) + call.request.sampling.max_tokens
            outcome: Completion | BaseException = await opened.tries.complete(call)
        except BaseException as error:
            outcome = error
        done.put(outcome)

    @staticmethod
    def _halt(opened: _Open, work: _Work) -> None:
        """Ends the calls that wait; those at a server may still end well, but are not tried again."""
        left = dict(work.calls)
        for task, call in left.items():
            call.last = True
            if not call.posting:
                task.cancel()

        async def settle() -> None:
            await asyncio.gather(*left, return_exceptions=True)
            work.done.put(None)

        opened.settling = opened.loop.create_task(settle())

    async def _post(self, endpoint: Endpoint, request: Request) -> Completion | Failure:
        server, connections = endpoint.client
        with_schema = request.prompt.name == PROBE or self._settings.structured == "on"
        with_schema = with_schema or (self._settings.structured == "auto" and bool(server.enforces))
        received = await connections.post(chat_body(self._settings, request, with_schema=with_schema))
        if isinstance(received, Failure):
            return received
        status = status_in_body(received.body) or received.status
        if 200 <= status < 300:
            if received.body is None:
                return Failure("not_chat", "the reply is no JSON")
            return read_reply(request, received.body, server.secrets)
        failure = failure_of_reply(status, received.headers, received.body)
        if status == 403 and received.body is None and endpoint.last_answer > NEVER:
            failure = replace(failure, kind="row")  # a page of a firewall that dislikes this request's text
        return replace(failure, fact=server.secrets.hidden_in(failure.fact))

    def _explained(self, error: BaseException) -> BaseException:
        if not isinstance(error, GivenUpError):
            return error
        server, _ = error.endpoint.client
        said = explain(error.failure, self._settings.model, server.key_variable, error.tries, error.seconds)
        return BackendError(server.secrets.hidden_in(f"{server.url}: {said}"))

    # --- the end -----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        if self._opened is None:
            return
        opened, self._opened = self._opened, None
        asyncio.run_coroutine_threadsafe(_end(opened), opened.loop).result(timeout=10)
        opened.loop.call_soon_threadsafe(opened.loop.stop)
        opened.thread.join(timeout=10)
        opened.loop.close()


async def _alive(endpoint: Endpoint) -> bool:
    _, connections = endpoint.client
    return bool(await connections.alive())


async def _end(opened: _Open) -> None:
    """Drops the calls that nobody waits for any more, then disconnects."""
    for task in tuple(opened.tasks):
        task.cancel()
    await asyncio.gather(*tuple(opened.tasks), return_exceptions=True)
    for endpoint in opened.pool.endpoints:
        await endpoint.client[1].close()
    await opened.loop.shutdown_default_executor()
