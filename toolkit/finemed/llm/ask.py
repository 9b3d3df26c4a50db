"""Asks a backend through the journal, reads the replies, and asks again where one cannot be read.

::

    for answer in ask(requests, backend, journal, parsers=..., max_reasks=2):
        answer.state  ->  "parsed" | "unparsable" | "truncated" | "refused" | "error"
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

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
) -> Iterator[Answer]:
    """One answer per request, in any order.

    A stored reply is used instead of a call. A reply is stored before it is read. A reply that cannot be read is asked
    for again up to `max_reasks` times with the next re-ask number; cut-off and refused replies are final, since the
    same call would most often end the same way.

    Raises:
        BackendError: the backend as a whole cannot be used; everything that came back before is stored.
    """
    again: deque[Request] = deque()
    ready: deque[Completion] = deque()
    source = iter(requests)
    exhausted = False

    def pending() -> Iterator[Request]:
        nonlocal exhausted
        while len(ready) < READ_AHEAD:
            request = again.popleft() if again else next(source, None)
            if request is None:
                exhausted = True
                return
            stored = journal.get(request.key(backend.identity())) if journal is not None and not backend.free else None
            if stored is None:
                yield request
            else:
                ready.append(Completion.restored(request, stored))

    def settle(completion: Completion) -> Answer | None:
        answer = _read(completion, backend, parse(completion.request))
        if answer.state == "unparsable" and completion.request.reask < max_reasks:
            again.append(dataclasses.replace(completion.request, reask=completion.request.reask + 1))
            return None
        return answer

    def settled() -> Iterator[Answer]:
        while ready:
            answer = settle(ready.popleft())
            if answer is not None:
                yield answer

    while True:
        for completion in backend.complete(pending()):
            if journal is not None and not backend.free:
                completion = _stored(journal, backend, completion)
            answer = settle(completion)
            if answer is not None:
                yield answer
            yield from settled()
        yield from settled()
        if exhausted and not again:
            return


def _stored(journal: Journal, backend: Backend, completion: Completion) -> Completion:
    """Stores a reply and returns what the journal holds.

    Two equal requests in flight get two replies; the first one stored counts for both, as it will after a restart. A
    request that the server refused to work on cost nothing and may be mended there, so it is not stored.
    """
    if completion.finish == "error":
        return completion
    request = completion.request
    key = request.key(backend.identity())
    journal.put(key, task=request.prompt.label, model=backend.name, reply=completion.stored())
    held = journal.get(key)
    return completion if held is None else Completion.restored(request, held)


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
