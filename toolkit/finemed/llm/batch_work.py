"""How a stream of requests is worked on in batches: gathered into files, sent, waited for, and asked once more.

::

    work = Work(settings, identity, api, earlier, say, requests)
    while work.fill():                  # files go up while batches may be under way
        yield from work.collect()       # waits until at least one has ended
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

from finemed.config import BatchBackend, stable_hash
from finemed.errors import BackendError
from finemed.llm.base import Completion, Request
from finemed.llm.batch_api import Batch, BatchApi
from finemed.llm.batch_lines import is_reply, key_of, read_line, request_line
from finemed.records.counts import how_many

SCOPE, PROMPTS = "finemed", "prompts"
"""Keys of the metadata: whose requests a batch holds, and of which prompts."""
POLL_GROWTH = 1.5

Asked = dict[str, list[Request]]
"""Requests by their journal key, which is their `custom_id`."""


def scope_of(identity: Mapping[str, Any]) -> str:
    """What batches of this model with these settings are found by."""
    return stable_hash(identity)[:32]


class Earlier:
    """The batches of earlier processes, searched once for each prompt."""

    def __init__(self, api: BatchApi, scope: str, say: Callable[[str], None]) -> None:
        self._api = api
        self._scope = scope
        self._say = say
        self._searched: set[str] = set()
        self._batches: dict[str, str] = {}
        """By key of a request."""

    def batch_of(self, request: Request, key: str) -> str | None:
        """The batch that holds a request, or its reply."""
        if request.prompt.label not in self._searched:
            self._search(request.prompt.label)
        return self._batches.get(key)

    def _search(self, prompt: str) -> None:
        self._searched.add(prompt)
        for batch in self._api.batches():
            prompts = str(batch.metadata.get(PROMPTS, "")).split(",")
            if batch.metadata.get(SCOPE) != self._scope or prompt not in prompts:
                continue
            if batch.ended:
                held = {key_of(line) for line in self._api.lines(batch.output_file) if is_reply(line)}
                self._batches |= dict.fromkeys(held, batch.id)
            else:
                held = {key_of(line) for line in self._api.lines(batch.input_file)}
                self._batches = dict.fromkeys(held, batch.id) | self._batches
            self._say(f"found batch {batch.id} ({batch.status}, {how_many(len(held), 'request')})")


class Work:
    """The batches of one stream of requests."""

    def __init__(
        self,
        settings: BatchBackend,
        identity: Mapping[str, Any],
        api: BatchApi,
        earlier: Earlier,
        say: Callable[[str], None],
        requests: Iterator[Request],
    ) -> None:
        self._settings = settings
        self._identity = identity
        self._api = api
        self._earlier = earlier
        self._say = say
        self._requests = requests
        self._again: deque[tuple[str, list[Request]]] = deque()
        self._left: tuple[str, list[Request], bytes] | None = None
        """What the last file had no room for."""
        self._refused: list[Completion] = []
        self._under_way: dict[str, Asked] = {}
        self._rounds: Counter[str] = Counter()
        self._answered = False
        self._wait = settings.poll_s

    def fill(self) -> bool:
        """Sends files until enough batches are under way; False where there is nothing more to wait for."""
        while len(self._under_way) < self._settings.max_batches:
            with tempfile.TemporaryFile() as file:
                asked = self._gather(file)
                if not asked:
                    break
                self._send(file, asked)
        return bool(self._under_way or self._refused)

    def _gather(self, file: BinaryIO) -> Asked:
        """Writes one file, and says what is in it."""
        asked: Asked = {}
        most = int(self._settings.max_file_mb * 1e6)
        while len(asked) < self._settings.max_requests and (each := self._next(asked)) is not None:
            key, requests, line = each
            if file.tell() + len(line) <= most:
                file.write(line)
                asked[key] = requests
            elif asked:
                self._left = each
                break
            else:
                fact = f"{len(line):,} bytes, more than a file may have (`max_file_mb` {self._settings.max_file_mb:g})"
                self._refused += [Completion(request, "", "error", detail=fact) for request in requests]
        return asked

    def _next(self, asked: Asked) -> tuple[str, list[Request], bytes] | None:
        """The next request that has to be sent; those that lie in a batch already join it."""
        if self._left is not None:
            left, self._left = self._left, None
            return left
        if self._again:
            key, requests = self._again.popleft()
            return key, requests, request_line(self._settings, requests[0], key)
        for request in self._requests:
            key = request.key(self._identity)
            batch = self._earlier.batch_of(request, key) if self._rounds[key] == 0 else None
            twins = next((held[key] for held in (asked, *self._under_way.values()) if key in held), None)
            if twins is not None:
                twins.append(request)
            elif batch is not None:
                self._under_way.setdefault(batch, {})[key] = [request]
            else:
                return key, [request], request_line(self._settings, request, key)
        return None

    def _send(self, file: BinaryIO, asked: Asked) -> None:
        uploaded = self._api.upload(f"finemed-{stable_hash(list(asked))[:16]}.jsonl", file)
        batch = self._api.create(uploaded, self._metadata(asked))
        self._under_way[batch.id] = asked
        self._wait = self._settings.poll_s
        self._say(
            f"batch {batch.id}: {how_many(len(asked), 'request')}; a stop loses nothing, the same command waits for it "
            "again"
        )
        if batch.metadata.get(SCOPE) is None:
            self._say("the server keeps no metadata of batches; after a stop this batch would be paid for again")

    def _metadata(self, asked: Asked) -> dict[str, str]:
        """What the batch carries to be found by."""
        prompts = sorted({requests[0].prompt.label for requests in asked.values()})
        return {SCOPE: scope_of(self._identity), PROMPTS: ",".join(prompts), "requests": str(len(asked))}

    # --- what comes back ---------------------------------------------------------------------------------------------

    def collect(self) -> Iterator[Completion]:
        """Waits until batches end, and hands on what they brought."""
        refused, self._refused = self._refused, []
        yield from refused
        while self._under_way:
            ended = [batch for batch in map(self._api.look, list(self._under_way)) if batch.ended]
            for batch in ended:
                yield from self._results(batch, self._under_way.pop(batch.id))
            if ended:
                return
            self._pause()

    def _pause(self) -> None:
        time.sleep(self._wait)
        self._wait = min(self._wait * POLL_GROWTH, self._settings.longest_poll_s)

    def _results(self, batch: Batch, asked: Asked) -> Iterator[Completion]:
        total = len(asked)
        facts: dict[str, str] = {}
        for file in (batch.output_file, batch.error_file):
            for line in self._api.lines(file):
                key = key_of(line)
                outcome = read_line(asked[key][0], line, self._api.secrets) if key in asked else None
                if isinstance(outcome, Completion):
                    self._answered = True
                    yield from _for_all(outcome, asked.pop(key))
                elif outcome is not None and outcome.kind in ("row", "fatal"):
                    self._answered = True
                    yield from _errors(asked.pop(key), outcome.fact)
                elif outcome is not None:
                    facts[key] = outcome.fact
        told = f"batch {batch.status}" + (f" ({batch.fact})" if batch.fact else "")
        self._say(f"{told}: {total - len(asked):,} of {total:,} replies ({batch.id})")
        for key, requests in asked.items():
            yield from self._once_more(key, requests, facts.get(key, told))
        if total == len(asked) and self._again:
            self._pause()

    def _once_more(self, key: str, requests: list[Request], fact: str) -> Iterator[Completion]:
        """Into another batch, up to `max_rounds`.

        Raises:
            BackendError: no batch has brought anything.
        """
        self._rounds[key] += 1
        if self._rounds[key] < self._settings.max_rounds:
            self._again.append((key, requests))
        elif self._answered:
            yield from _errors(requests, f"{fact} (in {self._rounds[key]} batches)")
        else:
            raise BackendError(
                f"{self._api.url}: {self._rounds[key]} batches brought nothing: {fact}; mend that, then run the same "
                "command again"
            )


def _for_all(completion: Completion, requests: list[Request]) -> Iterator[Completion]:
    """One reply for equal requests; it cost once."""
    yield completion
    stored = completion.stored() | {"usage": {}}
    for request in requests[1:]:
        yield Completion.restored(request, stored)


def _errors(requests: list[Request], detail: str) -> Iterator[Completion]:
    for request in requests:
        yield Completion(request, "", "error", detail=detail)
