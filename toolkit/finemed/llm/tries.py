"""Tries a call until it ends: with a completion, with its row as `error`, or with the stage.

A call that fails while its server answers others is at fault itself: after `max_retries` further tries its row ends as
`error`. Where nobody is answered the servers are at fault: they are tried on for `patience_s`, with pauses, and nothing
is lost; then the stage stops. A server that has never answered is not waited for that long: most often its address
is wrong.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from finemed.llm.base import Completion, Request
from finemed.llm.failures import Failure, backoff
from finemed.llm.pacing import NEVER, Endpoint, Pool, Turn

FEW = 3
"""Calls under way that may all be at fault themselves, where the server shows otherwise that it is well."""

Post = Callable[[Endpoint, Request], Awaitable[Completion | Failure]]
Alive = Callable[[Endpoint], Awaitable[bool]]


class GivenUpError(Exception):
    """No call can be made any more; the stage has to stop."""

    def __init__(self, failure: Failure, endpoint: Endpoint, tries: int, seconds: float) -> None:
        super().__init__(failure.fact)
        self.failure = failure
        self.endpoint = endpoint
        self.tries = tries
        self.seconds = seconds


class HaltedError(Exception):
    """The call was stopped between two tries, since the stage stops."""


@dataclass(eq=False)
class Call:
    """One request under way."""

    request: Request
    tokens: int = 0
    """Counted against the rate limit."""
    only: Endpoint | None = None
    """The one server that is asked, once; for probes."""
    avoid: Endpoint | None = None
    posting: bool = False
    """Whether a try is at a server now, and so may be paid for."""
    last: bool = False
    """No further try."""
    tries: int = 0
    """That failed, rate limits apart."""
    own: int = 0
    """Of them, those before which the server had answered a call that was sent after the last failure."""
    first: float = NEVER
    """When the first try that failed was sent."""
    failed: float = NEVER
    """When the last one failed."""


@dataclass(eq=False)
class Tries:
    """What a call may be tried for."""

    pool: Pool
    post: Post
    alive: Alive
    """Whether a server is well, found out without a call that costs."""
    max_retries: int
    retry_wait_s: float
    patience_s: float
    under_way: set[Call] = field(default_factory=set)

    async def complete(self, call: Call) -> Completion:
        """The completion of a call.

        Raises:
            GivenUpError: the server refuses the account, or nobody has answered for too long.
            HaltedError: it was stopped between two tries.
        """
        self.under_way.add(call)
        try:
            while True:
                turn = await self.pool.take(call.tokens, call.avoid, call.only)
                outcome = await self._try(call, turn)
                if isinstance(outcome, Completion):
                    return outcome
                ended = await self._weigh(call, turn, outcome)
                if ended is not None:
                    return ended
                if outcome.kind != "rate_limit":
                    wait = backoff(call.tries - 1, self.retry_wait_s)
                    await asyncio.sleep(max(wait, min(outcome.retry_after or 0.0, self.patience_s)))
        finally:
            self.under_way.discard(call)

    async def _try(self, call: Call, turn: Turn) -> Completion | Failure:
        call.posting = True
        try:
            outcome = await self.post(turn.endpoint, call.request)
        except BaseException:
            self.pool.drop(turn)
            raise
        finally:
            call.posting = False
        self.pool.end(turn, outcome if isinstance(outcome, Failure) else None)
        return outcome

    async def _weigh(self, call: Call, turn: Turn, failure: Failure) -> Completion | None:
        """What follows from a failure: a row that ends as `error`, or None for another try."""
        endpoint, now = turn.endpoint, asyncio.get_running_loop().time()
        if failure.kind == "row":
            return Completion(call.request, "", "refused" if failure.refused else "error", detail=failure.fact)
        if failure.kind == "fatal":
            raise self._given_up(call, failure, endpoint, now)
        if call.only is not None:
            return _error(call, f"{failure.kind}: {failure.fact}")
        self._count(call, turn, failure, now)
        if call.last:
            raise HaltedError
        limited, answering = failure.kind == "rate_limit", endpoint.last_answer > call.first
        silent = now - max(call.first, self.pool.last_answer) > self.patience_s
        spent = now - call.first > self.patience_s if limited else call.own > self.max_retries
        if answering and not spent and not limited and call.tries > self.max_retries:
            spent = await self._well_but_for(endpoint)  # there is no other call left to compare with
        if (answering and spent) or (silent and not limited and await self._well_but_for(endpoint)):
            why = f"for {self.patience_s:g} s" if limited else f"after {self.max_retries} retries"
            return _error(call, f"{failure.kind}: {failure.fact} ({why})")
        if silent or self.pool.opens_at() - now > self.patience_s:
            raise self._given_up(call, failure, endpoint, now)
        if self._nobody_there(call) and not await self._well_but_for(endpoint):
            raise self._given_up(call, failure, endpoint, now)
        return None

    async def _well_but_for(self, endpoint: Endpoint) -> bool:
        """Whether a server is well, though none of the few calls under way is answered."""
        return len(self.under_way) <= FEW and await self.alive(endpoint)

    def _count(self, call: Call, turn: Turn, failure: Failure, now: float) -> None:
        if call.first == NEVER:
            call.first = turn.sent
        if failure.kind != "rate_limit":
            call.own += call.tries == 0 or turn.endpoint.proved > call.failed
            call.tries += 1
            call.avoid = turn.endpoint
        call.failed = now

    def _nobody_there(self, call: Call) -> bool:
        """Whether no server has ever answered, though each was tried."""
        pool = self.pool
        if pool.last_answer > NEVER or not all(endpoint.failures for endpoint in pool.endpoints):
            return False
        return call.tries > self.max_retries or min(e.pauses for e in pool.endpoints) > self.max_retries

    def _given_up(self, call: Call, failure: Failure, endpoint: Endpoint, now: float) -> GivenUpError:
        return GivenUpError(failure, endpoint, max(call.tries, 1), max(0.0, now - call.first))


def _error(call: Call, detail: str) -> Completion:
    return Completion(call.request, "", "error", detail=detail)
