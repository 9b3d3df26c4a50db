"""How fast servers may be asked: adaptive concurrency, rate limits, and pauses while one is down.

::

    pool = Pool([Endpoint("http://a/v1", client, cap=64), Endpoint("http://b/v1", client, cap=64)], most=64)
    turn = await pool.take(tokens=900)       # the least loaded server that may be asked now
    ...                                      # the call goes to turn.endpoint.client
    pool.end(turn, failure)                  # None where a reply came

Everything here runs on one event loop; nothing of it decides what a reply says.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from finemed.llm.base import silent
from finemed.llm.failures import LONGEST_WAIT_S, Failure, backoff

GROWTH = 1 / 16
"""Share by which the calls allowed in flight grow per round trip, by one at least."""

DECREASE = 0.7
"""Factor of the calls allowed in flight after congestion, at most once per round trip."""

OPENS_AFTER = 8
"""Failures in a row, without an answer between, that open the circuit breaker."""

SHORTEST_PAUSE_S = 0.05
TOLD_FROM_S = 2.0
"""Waits that a server asks for are told from this length on."""

NEVER = float("-inf")


@dataclass(eq=False)
class Endpoint:
    """One server of a pool: what is in flight there, and how much may be."""

    url: str
    """As messages show it: without user, password and query."""
    client: Any
    cap: int
    limit: float = 0.0
    """Calls allowed in flight: starts at half the cap, doubles per round trip until the first congestion, then grows
    by one or a sixteenth per round trip."""
    active: int = 0
    taken: int = 0
    """Calls so far; equally loaded servers take turns."""
    starting: bool = True
    last_cut: float = NEVER
    last_answer: float = NEVER
    proved: float = NEVER
    """When the newest call that was answered had been sent; the server was well then."""
    told_until: float = NEVER
    """No call before then: the server said so."""
    paused_until: float = NEVER
    """No call before then: the circuit breaker is open."""
    paused_at: float = NEVER
    pauses: int = 0
    """Of the breaker, in a row; until it closes again one call at a time tries the server."""
    trying: bool = False
    failures: int = 0
    """In a row."""
    cuts: int = 0
    """In a row."""

    def __post_init__(self) -> None:
        """Starts at half the cap."""
        self.limit = self.limit or max(1.0, self.cap / 2)

    def opens_at(self) -> float:
        """The time from which it may be asked."""
        return max(self.told_until, self.paused_until)

    def free(self, now: float) -> bool:
        """Whether one more call may go out now."""
        if now < self.opens_at():
            return False
        return not self.trying if self.pauses else self.active < int(self.limit)

    def load(self) -> tuple[float, int]:
        """Share of the allowed calls that are in flight, then how often it was asked."""
        return self.active / self.limit, self.taken


class Allowance:
    """So many units a minute, spread evenly: never more within any sixty seconds, unless one call alone needs more."""

    _SLACK_S = 0.5
    """A timer that fires late may be made up for, within this."""

    def __init__(self, per_minute: float) -> None:
        self._limit = per_minute
        self._pace = 60.0 / per_minute
        self._next = NEVER
        self._used: deque[tuple[float, float]] = deque()
        self._sum = 0.0

    def opens_at(self, units: float, now: float) -> float:
        """The time from which so many units may be used."""
        while self._used and self._used[0][0] <= now - 60.0:
            self._sum -= self._used.popleft()[1]
        opens, left = self._next, self._sum
        for at, used in self._used:
            if left + units <= self._limit:
                break
            opens, left = max(opens, at + 60.0), left - used
        return opens

    def use(self, units: float, now: float) -> None:
        """Counts them as used."""
        self._next = max(self._next, now - self._SLACK_S) + units * self._pace
        self._used.append((now, units))
        self._sum += units


@dataclass(eq=False)
class Turn:
    """A call that waits for a server, or has one."""

    tokens: int
    avoid: Endpoint | None
    only: Endpoint | None
    granted: asyncio.Future[None]
    endpoint: Endpoint = field(init=False)
    sent: float = NEVER
    trial: bool = False
    """Whether it is the one call that tries a server after a pause."""


@dataclass(eq=False)
class Pool:
    """The servers of one backend; calls wait in line, and the least loaded server is asked first."""

    endpoints: Sequence[Endpoint]
    most: int
    """Calls in flight over all servers."""
    say: Callable[[str], None] = silent
    """Told when calls are paused and when they go on."""
    requests: Allowance | None = None
    tokens: Allowance | None = None
    first_pause_s: float = 0.5
    active: int = 0
    _waiting: deque[Turn] = field(default_factory=deque)
    _timer: asyncio.TimerHandle | None = None

    async def take(self, tokens: int, avoid: Endpoint | None = None, only: Endpoint | None = None) -> Turn:
        """Waits for a turn; `avoid` is asked only if no other server is free."""
        turn = Turn(tokens, avoid, only, asyncio.get_running_loop().create_future())
        self._waiting.append(turn)
        self._dispatch()
        try:
            await turn.granted
        except asyncio.CancelledError:
            if turn in self._waiting:
                self._waiting.remove(turn)
            else:
                self.drop(turn)
            raise
        return turn

    def drop(self, turn: Turn) -> None:
        """The call was given up; nothing is known of the server."""
        turn.endpoint.active -= 1
        self.active -= 1
        turn.endpoint.trying = turn.endpoint.trying and not turn.trial
        self._dispatch()

    def end(self, turn: Turn, failure: Failure | None) -> None:
        """A call has ended, well where there is no failure."""
        now = asyncio.get_running_loop().time()
        if failure is None or failure.kind in ("row", "fatal"):
            self._answered(turn, now)
        else:
            if failure.congested:
                self._congested(turn, failure, now)
            if failure.kind != "rate_limit":
                self._broke(turn, failure, now)
        self.drop(turn)

    @property
    def last_answer(self) -> float:
        """When any server last answered a call."""
        return max(endpoint.last_answer for endpoint in self.endpoints)

    def opens_at(self) -> float:
        """The time from which any server may be asked."""
        return min(endpoint.opens_at() for endpoint in self.endpoints)

    # --- handing out turns -------------------------------------------------------------------------------------------

    def _dispatch(self) -> None:
        loop = asyncio.get_running_loop()
        now, later = loop.time(), NEVER
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        blocked = []
        while self._waiting and self.active < self.most:
            free = [endpoint for endpoint in self.endpoints if endpoint.free(now)]
            if not free:
                later = min((e.opens_at() for e in self.endpoints if e.opens_at() > now), default=NEVER)
                break
            turn = self._waiting[0]
            later = self._allowed_at(turn.tokens, now)
            if later > now:
                break
            self._waiting.popleft()
            able = free if turn.only is None else [endpoint for endpoint in free if endpoint is turn.only]
            if able:
                self._grant(turn, [e for e in able if e is not turn.avoid] or able, now)
            else:
                blocked.append(turn)
                later = max(later, turn.only.opens_at() if turn.only else NEVER)
        self._waiting.extendleft(reversed(blocked))
        if self._waiting and later > now:
            self._timer = loop.call_at(later, self._dispatch)

    def _allowed_at(self, tokens: int, now: float) -> float:
        opens = self.requests.opens_at(1, now) if self.requests else NEVER
        return max(opens, self.tokens.opens_at(tokens, now)) if self.tokens else opens

    def _grant(self, turn: Turn, able: Sequence[Endpoint], now: float) -> None:
        chosen = min(able, key=Endpoint.load)
        if turn.granted.done():  # its waiter was cancelled in the same step
            return
        if self.requests:
            self.requests.use(1, now)
        if self.tokens:
            self.tokens.use(turn.tokens, now)
        turn.endpoint, turn.sent, turn.trial = chosen, now, chosen.pauses > 0
        chosen.trying = chosen.trying or turn.trial
        chosen.active += 1
        chosen.taken += 1
        self.active += 1
        turn.granted.set_result(None)

    # --- what is learnt from how calls end ---------------------------------------------------------------------------

    def _answered(self, turn: Turn, now: float) -> None:
        """Room for more, and the breaker closes."""
        endpoint = turn.endpoint
        endpoint.last_answer, endpoint.proved = now, max(endpoint.proved, turn.sent)
        endpoint.failures = endpoint.cuts = 0
        if endpoint.pauses:
            endpoint.pauses = 0
            endpoint.paused_until = NEVER
            self.say(f"{endpoint.url}: answers again, going on")
        if endpoint.limit < endpoint.cap and 2 * endpoint.active >= endpoint.limit:
            step = 1.0 if endpoint.starting else max(1.0 / endpoint.limit, GROWTH)
            endpoint.limit = min(float(endpoint.cap), endpoint.limit + step)

    def _congested(self, turn: Turn, failure: Failure, now: float) -> None:
        """Fewer calls in flight, and none before the time that the server names."""
        endpoint = turn.endpoint
        if failure.retry_after is not None and now + failure.retry_after > endpoint.told_until:
            endpoint.told_until = now + failure.retry_after
            if failure.retry_after >= TOLD_FROM_S:
                self.say(f"{endpoint.url}: asks to wait {failure.retry_after:.0f} s (rate limit)")
        if turn.sent <= endpoint.last_cut:  # calls that were under way at the last cut tell nothing new
            return
        endpoint.starting = False
        endpoint.last_cut = now
        endpoint.cuts += 1
        if not turn.trial:
            endpoint.limit = max(1.0, endpoint.limit * DECREASE)
        if failure.kind == "rate_limit" and endpoint.cuts > (1 if failure.retry_after is None else OPENS_AFTER):
            self._pause(endpoint, f"{endpoint.cuts} rate limits in a row", now)

    def _broke(self, turn: Turn, failure: Failure, now: float) -> None:
        """After several failures in a row the server is left alone for a while, and then tried with one call."""
        endpoint = turn.endpoint
        if turn.sent <= endpoint.paused_at:
            return
        endpoint.failures += 1
        if endpoint.pauses or endpoint.failures >= OPENS_AFTER:
            self._pause(endpoint, f"{endpoint.failures} failures in a row ({failure.fact})", now)

    def _pause(self, endpoint: Endpoint, why: str, now: float) -> None:
        first = max(self.first_pause_s, SHORTEST_PAUSE_S)
        pause = backoff(endpoint.pauses, first, max(first, LONGEST_WAIT_S))
        endpoint.pauses += 1
        endpoint.paused_at, endpoint.paused_until = now, now + pause
        self.say(f"{endpoint.url}: {why}; pausing {pause:.1f} s")
