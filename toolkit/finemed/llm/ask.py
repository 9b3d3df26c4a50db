"""Asks a backend through the journal, reads the replies, and asks again where one cannot be read.

::

    for answer in ask(requests, backend, journal, parse=..., max_reasks=2):
        answer.state  ->  "parsed" | "unparsable" | "truncated" | "refused" | "error"
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

from finemed.errors import BackendError
from finemed.llm.accounting import Budget, FailureLimit, Tally
from finemed.llm.base import Answer, Backend, Completion, Request
from finemed.llm.structured import UnparsableError, parse_json
from finemed.models import split_reasoning
from finemed.store.journal import Journal

Parse = Callable[[str], Any]
READ_AHEAD = 256
"""Stored replies taken up before any is handed on, so that a journal of any size is read in bounded memory; backends
that gather requests have a `read_ahead` of their own."""


def ask(
    requests: Iterable[Request],
    backend: Backend,
    journal: Journal | None,
    *,
    parse: Callable[[Request], Parse],
    max_reasks: int,
    tally: Tally | None = None,
    budget: Budget | None = None,
    limit: FailureLimit | None = None,
) -> Generator[Answer]:
    """One answer per request, in any order.

    A stored reply is used instead of a call, and equal requests share one call. A reply is stored before it is read. A
    reply that cannot be read is asked for again up to `max_reasks` times with the next re-ask number; cut-off and
    refused replies are final, since the same call would most often end the same way.

    Raises:
        BackendError: the backend as a whole cannot be used; everything that came back before is stored.
        BudgetError: the next call does not fit the budget; everything that was under way is stored.
        StageError: more replies are unusable than the limit allows; everything that was under way is stored.
    """
    if backend.free:
        journal = budget = limit = None
    asking = _Asking(iter(requests), backend, journal, parse, max_reasks, tally or Tally(), budget, limit)
    while True:
        # a backend that does not interleave is never given None
        stream = backend.complete(asking.pending())  # type: ignore[arg-type]
        try:
            for completion in stream:
                asking.store(completion)
                yield from asking.answers()
            yield from asking.answers()
        except (GeneratorExit, KeyboardInterrupt):
            asking.abandon(stream)
            raise
        finally:
            if isinstance(stream, Generator):
                stream.close()
        asking.go_on(limit.stage if limit else "build")
        if asking.done():
            return


class _AbandonedError(Exception):
    """Nobody wants the answers any more."""


class _Asking:
    """What is still to be asked, what came back, and under which key each call goes."""

    def __init__(
        self,
        source: Iterator[Request],
        backend: Backend,
        journal: Journal | None,
        parse: Callable[[Request], Parse],
        max_reasks: int,
        tally: Tally,
        budget: Budget | None,
        limit: FailureLimit | None,
    ) -> None:
        self._source = source
        self._backend = backend
        self._journal = journal
        self._parse = parse
        self._max_reasks = max_reasks
        self._tally = tally
        self._budget = budget
        self._limit = limit
        self._identity = backend.identity()
        self._read_ahead = getattr(backend, "read_ahead", READ_AHEAD)
        self._interleaves = getattr(backend, "interleaves", False)
        self._again: deque[Request] = deque()
        self._ready: deque[Completion] = deque()
        self._keys: dict[int, str] = {}
        self._twins: dict[str, list[Request]] = {}
        """By key of a call in flight: further requests that are the same call."""
        self._in_flight = 0
        self._exhausted = False
        self._blocked: Request | None = None
        """The call that the budget did not hold."""
        self._stopped: Exception | None = None
        """Raised out of the stream of requests, so that the backend hands on what is at a server and ends."""

    def done(self) -> bool:
        """Whether nothing is left to ask."""
        return self._exhausted and not self._again and not self._ready

    # --- what is asked -----------------------------------------------------------------------------------------------

    def pending(self) -> Iterator[Request | None]:
        """The requests that need a call, as long as few stored replies wait and the budget holds."""
        while True:
            request = self._next()
            if request is not None:
                self._in_flight += 1
                yield request
            elif self._interleaves and self._in_flight:
                yield None
            else:
                return

    def _next(self) -> Request | None:
        self._blocked = None
        if self._stopped is not None:
            raise self._stopped
        while len(self._ready) < self._read_ahead:
            request = self._again.popleft() if self._again else next(self._source, None)
            if request is None:
                self._exhausted = True
                return None
            key = self._key_to_ask(request)
            if key is None:
                continue
            if not (self._probed(request) and self._affords(request)):
                self._again.appendleft(request)
                return None
            if key:
                self._keys[id(request)] = key
                self._twins[key] = []
            return request
        return None

    def _key_to_ask(self, request: Request) -> str | None:
        """The key of a call to be made ("" without a journal); None where the reply is stored or on its way."""
        if self._journal is None:
            return ""
        key = request.key(self._identity)
        reply = self._journal.get(key)
        if reply is not None:
            self._tally.stored += 1
            self._ready.append(Completion.restored(request, reply))
            return None
        if key in self._twins:
            self._twins[key].append(request)
            return None
        return key

    def _affords(self, request: Request) -> bool:
        if self._budget is None or self._budget.allows(self._backend.name, request):
            return True
        self._blocked = request
        return False

    def _probed(self, request: Request) -> bool:
        """Before the first structured call: do servers keep to a schema? Their answers are stored like any other.

        False where the budget does not hold the probe.
        """
        while request.reply is not None and (probe := self._backend.probe()) is not None:
            key = "" if self._journal is None else probe.key(self._identity)
            reply = self._journal.get(key) if self._journal is not None else None
            if reply is not None:
                self._backend.probed(Completion.restored(probe, reply))
                continue
            if not self._affords(probe):
                return False
            if key:
                self._keys[id(probe)] = key
            (completion,) = list(self._backend.complete([probe]))
            self._in_flight += 1
            self._backend.probed(self._kept(completion))
        return True

    # --- what came back ----------------------------------------------------------------------------------------------

    def store(self, completion: Completion) -> None:
        """Stores a reply before anything reads it."""
        self._ready.append(self._kept(completion))

    def _kept(self, completion: Completion) -> Completion:
        """What the journal holds of a reply; the first one stored counts, as it will after a restart.

        A request that the server refused to work on cost nothing and may be mended there, so it is not stored.
        """
        request = completion.request
        self._in_flight -= 1
        key = self._keys.pop(id(request), "")
        twins = self._twins.pop(key, [])
        if completion.finish == "error":
            if self._budget is not None:
                self._budget.release(request)
            self._again.extend(twins)
            return completion
        if not self._backend.free:
            self._tally.called(completion.usage)
        if self._budget is not None:
            self._budget.charge(self._backend.name, completion.usage, request)
        if self._journal is None:
            return completion
        stored = completion.stored()
        if not self._journal.put(key, task=request.prompt.label, model=self._backend.name, reply=stored):
            stored = self._journal.get(key) or stored
        self._tally.stored += len(twins)
        self._ready.extend(Completion.restored(twin, stored) for twin in twins)
        return Completion.restored(request, stored)

    def abandon(self, stream: Iterator[Completion]) -> None:
        """What is at a server is paid for: it is stored, though nobody reads it now.

        A backend that does not interleave may have to work for hours on what it has; it is left alone.
        """
        if not self._interleaves:
            return
        self._stopped = _AbandonedError()
        with contextlib.suppress(_AbandonedError, BackendError):
            for completion in stream:
                self._kept(completion)

    def answers(self) -> Iterator[Answer]:
        """The answers of all replies that wait, as long as few enough of them are unusable."""
        while self._ready and self._stopped is None:
            completion = self._ready.popleft()
            answer = _read(completion, self._backend, self._parse(completion.request))
            if answer.state == "unparsable" and answer.request.reask < self._max_reasks:
                self._again.append(dataclasses.replace(answer.request, reask=answer.request.reask + 1))
                continue
            self._tally.ended(answer)
            self._stopped = self._limit.reached(self._tally) if self._limit is not None else None
            if self._stopped is None:
                yield answer

    def go_on(self, stage: str) -> None:
        """With nothing in flight: may the next call be made?

        Raises:
            StageError: too many replies are unusable.
            BudgetError: the next call does not fit.
        """
        if self._stopped is not None:
            raise self._stopped
        if self._blocked is not None and self._budget is not None:
            if not self._affords(self._blocked):
                raise self._budget.reached(stage)
            self._budget.release(self._blocked)


def _read(completion: Completion, backend: Backend, parse: Parse) -> Answer:
    request = completion.request
    if completion.finish == "refused":
        return Answer(request, "refused", None, completion.detail)
    if completion.finish == "error":
        return Answer(request, "error", None, completion.detail)
    if completion.finish == "length":
        return Answer(request, "truncated", None, f"cut off after {request.sampling.max_tokens} tokens")
    try:
        _, text = split_reasoning(completion.text, backend.profile)
        _refuse_broken(text)
        value = parse(text)
    except UnparsableError as error:
        return Answer(request, "unparsable", None, f"{error} (asked {request.reask + 1} times)")
    return Answer(request, "parsed", value, spans=completion.spans)


def _refuse_broken(text: str) -> None:
    """Half a surrogate pair cannot be written to any file."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UnparsableError(f"the reply holds a broken character at position {error.start}") from None


def parser_of(request: Request) -> Parse:
    """Reads JSON by the request's reply schema, or takes free text that is not empty."""
    schema = request.reply
    if schema is None:
        return _plain_text
    return lambda text: parse_json(text, schema)


def _plain_text(text: str) -> str:
    if not text.strip():
        raise UnparsableError("the reply is empty")
    return text.strip()
