"""How fast an endpoint may be asked: adaptive concurrency, rate limits, and pauses while it is down.

::

    pool = Pool([Endpoint("http://a/v1", client, cap=64), Endpoint("http://b/v1", client, cap=64)], say=print)
    endpoint = await pool.take(tokens=900)     # the least loaded one that may be asked now
    pool.succeeded(endpoint, sent)             # or .congested(...), .failed(...); then
    pool.give_back(endpoint)

Everything here runs on one event loop; nothing of it decides what a reply says.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

DECREASE = 0.7
"""Factor of the allowed calls in flight after congestion, at most once per round trip."""

OPENS_AFTER = 8
"""Failures in a row, without a success between, that open the circuit breaker."""

FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 60.0


@dataclass
class Endpoint:
    """One server of a pool: what is in flight there, and how much may be."""

    url: str
    """As messages show it: without user, password and query."""
    client: Any
    cap: int
    limit: float = 0.0
    """Calls allowed in flight: starts at half the cap, doubles per round trip until the first congestion, then grows
    by a thirty-second of the cap per round trip (additive increase, multiplicative decrease)."""
    active: int = 0
    starting: bool = True
    last_cut: float = float("-inf")
    paused_until: float = float("-inf")
    failures: int = 0
    """In a row."""
    pauses: int = 0
    """Of the circuit breaker, in a row."""
    last_success: float = float("-inf")

    def __post_init__(self) -> None:
        """Starts at half the cap."""
        self.limit = self.limit or max(1.0, self.cap / 2)

    def free(self, now: float) -> bool:
        """Whether one more call may go out now; after a pause, a single one goes first."""
        return now >= self.paused_until and self.active < (1 if self.pauses else int(self.limit))

    def load(self) -> float:
        """Share of the allowed calls that are in flight."""
        return self.active / max(1.0, self.limit)


@dataclass
class Allowance:
    """So many units a minute, handed out evenly; a minute's worth may be saved up to a tenth."""

    per_minute: float
    _next: float = float("-inf")

    def wait(self, units: float, now: float) -> float:
        """Seconds until these units may be used; they count as used from then on."""
        start = max(self._next, now - 6.0)
        self._next = start + units * 60.0 / self.per_minute
        return max(0.0, start - now)


@dataclass
class Pool:
    """The endpoints of one backend, the least loaded first."""

    endpoints: Sequence[Endpoint]
    say: Callable[[str], None]
    """Told when calls are paused and when they go on."""
    requests: Allowance | None = None
    tokens: Allowance | None = None
    _waiting: deque[asyncio.Future[None]] = field(default_factory=deque)

    async def take(self, tokens: int) -> Endpoint:
        """An endpoint that may be asked now; waits for one, and for the rate limits."""
        loop = asyncio.get_running_loop()
        while True:
            now = loop.time()
            able = [endpoint for endpoint in self.endpoints if endpoint.free(now)]
            if able:
                chosen = min(able, key=Endpoint.load)
                chosen.active += 1
                delay = self._delay(tokens, now)
                if delay:
                    try:
                        await asyncio.sleep(delay)
                    except asyncio.CancelledError:
                        self.give_back(chosen)
                        raise
                return chosen
            await self._turn(loop)

    async def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Waits until a call ends or a pause does."""
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append(turn)
        now = loop.time()
        ends = [endpoint.paused_until for endpoint in self.endpoints if endpoint.paused_until > now]
        timer = loop.call_at(min(ends), self._wake) if ends else None
        try:
            await turn
        finally:
            if timer is not None:
                timer.cancel()
            if not turn.done() or turn.cancelled():
                self._forget(turn)

    def _forget(self, turn: asyncio.Future[None]) -> None:
        if turn in self._waiting:
            self._waiting.remove(turn)

    def _delay(self, tokens: int, now: float) -> float:
        delay = self.requests.wait(1, now) if self.requests else 0.0
        return max(delay, self.tokens.wait(tokens, now)) if self.tokens else delay

    def _wake(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def give_back(self, endpoint: Endpoint) -> None:
        """A call has ended, whichever way."""
        endpoint.active -= 1
        self._wake()

    def succeeded(self, endpoint: Endpoint) -> None:
        """A reply came: room for more, and the breaker closes."""
        endpoint.last_success = asyncio.get_running_loop().time()
        endpoint.failures = 0
        if endpoint.pauses:
            endpoint.pauses = 0
            self.say(f"{endpoint.url}: answers again, going on")
            for _ in range(int(endpoint.limit)):
                self._wake()
        if endpoint.limit < endpoint.cap:
            step = 1.0 if endpoint.starting else max(1.0, endpoint.cap / 32) / endpoint.limit
            endpoint.limit = min(float(endpoint.cap), endpoint.limit + step)
            self._wake()

    def congested(self, endpoint: Endpoint, sent: float, retry_after: float | None) -> None:
        """The server asks for less: fewer calls in flight, and none before the time that it names."""
        now = asyncio.get_running_loop().time()
        endpoint.starting = False
        if sent > endpoint.last_cut:  # calls that were under way at the last cut tell nothing new
            endpoint.limit = max(1.0, endpoint.limit * DECREASE)
            endpoint.last_cut = now
        if retry_after is not None and now + retry_after > endpoint.paused_until:
            endpoint.paused_until = now + retry_after
            if retry_after >= FIRST_PAUSE_S:
                self.say(f"{endpoint.url}: asks to wait {retry_after:.0f} s (rate limit)")

    def failed(self, endpoint: Endpoint, fact: str) -> None:
        """A call broke; after several in a row the endpoint is left alone for a while, and then tried with one call."""
        now = asyncio.get_running_loop().time()
        endpoint.failures += 1
        trial_failed = endpoint.pauses > 0 and now >= endpoint.paused_until
        if trial_failed or (endpoint.pauses == 0 and endpoint.failures >= OPENS_AFTER):
            pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**endpoint.pauses)
            endpoint.pauses += 1
            endpoint.paused_until = now + pause
            self.say(f"{endpoint.url}: {endpoint.failures} failures in a row ({fact}); pausing {pause:.0f} s")

    def answered_since(self, moment: float) -> bool:
        """Whether any endpoint answered a call since then."""
        return any(endpoint.last_success >= moment for endpoint in self.endpoints)
