"""Asks a backend through the journal, reads the replies, and asks again where one cannot be read.

::

    for answer in ask(requests, backend, journal, parse=..., max_reasks=2):
        answer.state  ->  "parsed" | "unparsable" | "truncated" | "refused" | "error"
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from finemed.llm.accounting import Budget, FailureLimit, Tally
from finemed.llm.base import Answer, Backend, Completion, Request
from finemed.llm.structured import UnparsableError, parse_json
from finemed.models import split_reasoning
from finemed.store.journal import Journal

Parse = Callable[[str], Any]
READ_AHEAD = 256
"""Stored replies taken up before any is handed on, so that a journal of any size is read in bounded memory."""


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
) -> Iterator[Answer]:
    """One answer per request, in any order.

    A stored reply is used instead of a call. A reply is stored before it is read. A reply that cannot be read is asked
    for again up to `max_reasks` times with the next re-ask number; cut-off and refused replies are final, since the
    same call would most often end the same way.

    Raises:
        BackendError: the backend as a whole cannot be used; everything that came back before is stored.
        BudgetError: the next call does not fit the budget; everything that was under way is stored.
        StageError: more replies are unusable than the limit allows.
    """
    asking = _Asking(iter(requests), backend, None if backend.free else journal, max_reasks, tally or Tally(), budget)
    while True:
        for completion in backend.complete(asking.pending()):
            answer = asking.settle(asking.stored(completion), parse)
            if answer is not None:
                yield answer
            yield from asking.settled(parse)
            _check(limit, backend, asking.tally)
        yield from asking.settled(parse)
        _check(limit, backend, asking.tally)
        if asking.done():
            return
        asking.refuse_what_does_not_fit(limit.stage if limit else "build")


def _check(limit: FailureLimit | None, backend: Backend, tally: Tally) -> None:
    if limit is not None and not backend.free:
        limit.check(tally)


class _Asking:
    """What is still to be asked, what came back, and under which key each call goes."""

    def __init__(
        self,
        source: Iterator[Request],
        backend: Backend,
        journal: Journal | None,
        max_reasks: int,
        tally: Tally,
        budget: Budget | None,
    ) -> None:
        self.tally = tally
        self._source = source
        self._backend = backend
        self._journal = journal
        self._max_reasks = max_reasks
        self._budget = None if backend.free else budget
        self._identity = backend.identity()
        self._again: deque[Request] = deque()
        self._ready: deque[Completion] = deque()
        self._keys: dict[int, str] = {}
        self._exhausted = False
        self._blocked = False

    def done(self) -> bool:
        """Whether nothing is left to ask."""
        return self._exhausted and not self._again

    def pending(self) -> Iterator[Request]:
        """The requests that need a call, as long as few stored replies wait and the budget holds."""
        self._blocked = False
        while len(self._ready) < READ_AHEAD:
            request = self._again.popleft() if self._again else next(self._source, None)
            if request is None:
                self._exhausted = True
                return
            held = self._held(request)
            if held is not None:
                self.tally.stored += 1
                self._ready.append(held)
                continue
            self._probe(request)
            if self._budget is not None and not self._budget.allows(self._backend.name, request):
                self._again.appendleft(request)
                self._blocked = True
                return
            yield request

    def _held(self, request: Request) -> Completion | None:
        if self._journal is None:
            return None
        key = request.key(self._identity)
        reply = self._journal.get(key)
        if reply is None:
            self._keys[id(request)] = key
            return None
        return Completion.restored(request, reply)

    def _probe(self, request: Request) -> None:
        """Before the first structured call: does the server keep to a schema? Its answer is stored like any other."""
        if request.reply is None:
            return
        probe = self._backend.probe()
        if probe is None:
            return
        held = self._held(probe)
        if held is None:
            (held,) = list(self._backend.complete([probe]))
            held = self.stored(held)
        self._backend.probed(held)

    def stored(self, completion: Completion) -> Completion:
        """Stores a reply and returns what the journal holds.

        Two equal requests in flight get two replies; the first one stored counts for both, as it will after a restart.
        A request that the server refused to work on cost nothing and may be mended there, so it is not stored.
        """
        request = completion.request
        key = self._keys.pop(id(request), None) or request.key(self._identity)
        if completion.finish == "error":
            if self._budget is not None:
                self._budget.release(request)
            return completion
        self.tally.called(completion.usage)
        if self._budget is not None:
            self._budget.charge(self._backend.name, completion.usage, request)
        if self._journal is None:
            return completion
        fresh = self._journal.put(key, task=request.prompt.label, model=self._backend.name, reply=completion.stored())
        held = None if fresh else self._journal.get(key)
        return completion if held is None else Completion.restored(request, held)

    def settle(self, completion: Completion, parse: Callable[[Request], Parse]) -> Answer | None:
        """The answer, or None where it is asked for again."""
        request = completion.request
        answer = _read(completion, self._backend, parse(request))
        if answer.state == "unparsable" and request.reask < self._max_reasks:
            self._again.append(dataclasses.replace(request, reask=request.reask + 1))
            return None
        self.tally.states[answer.state] += 1
        return answer

    def settled(self, parse: Callable[[Request], Parse]) -> Iterator[Answer]:
        """The answers of stored replies."""
        while self._ready:
            answer = self.settle(self._ready.popleft(), parse)
            if answer is not None:
                yield answer

    def refuse_what_does_not_fit(self, stage: str) -> None:
        """With nothing in flight, a call that the budget does not hold ends the stage.

        Raises:
            BudgetError: the next call does not fit.
        """
        if not self._blocked or self._budget is None:
            return
        request = self._again[0]
        if self._budget.allows(self._backend.name, request):
            self._budget.release(request)
            return
        raise self._budget.reached(stage)


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
    return Answer(request, "parsed", value)


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
