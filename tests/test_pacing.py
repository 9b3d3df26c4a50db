"""Pacing and tries under a simulated clock: hours of outages and rate limits pass in milliseconds."""

from __future__ import annotations

import asyncio
import bisect
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finemed.llm.base import Completion, Request, Sampling
from finemed.llm.failures import Failure, retry_after
from finemed.llm.pacing import OPENS_AFTER, Allowance, Endpoint, Pool
from finemed.llm.tries import Call, GivenUpError, HaltedError, Tries
from finemed.prompts import load_prompt


class Clock(asyncio.SelectorEventLoop):
    """An event loop whose time jumps to the next timer when nothing else is to be done."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        timers = [timer for timer in self._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
        if not self._ready and timers:  # type: ignore[attr-defined]
            self.now = max(self.now, min(timer.when() for timer in timers))
        super()._run_once()  # type: ignore[misc]


def simulate(work: Coroutine[Any, Any, Any]) -> Any:
    loop = Clock()
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()


@pytest.fixture(autouse=True)
def _same_jitter() -> None:
    random.seed(0)


def request(number: int) -> Request:
    return Request((str(number), "judge"), load_prompt("judge"), {}, Sampling(0.0, 1.0, 100))


Rule = Callable[["Served"], Failure | None]


@dataclass
class Served:
    """A server: a latency, and a rule that may refuse a call."""

    rule: Rule = lambda served: None
    latency_s: float = 1.0
    failing_s: float = 0.01
    now: float = 0.0
    active: int = 0
    peak: int = 0
    arrived: list[float] = field(default_factory=list)
    answered: list[float] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    active_at: list[int] = field(default_factory=list)
    well: bool = True

    async def __call__(self, wanted: Request) -> Completion | Failure:
        loop = asyncio.get_running_loop()
        self.now = loop.time()
        self.arrived.append(self.now)
        self.asked.append(wanted.owner[0])
        self.active += 1
        self.peak = max(self.peak, self.active)
        self.active_at.append(self.active)
        failure = self.rule(self)
        await asyncio.sleep(self.latency_s if failure is None else self.failing_s)
        self.active -= 1
        if failure is None:
            self.answered.append(loop.time())
        return failure or Completion(wanted, "Croup.", "stop")


@dataclass
class Outcome:
    ended: list[Completion]
    said: list[str]
    seconds: float
    given_up: list[GivenUpError]
    pool: Pool


def run(
    count: int,
    *servers: Served,
    most: int = 64,
    window: int | None = None,
    per_minute: tuple[float | None, float | None] = (None, None),
    max_retries: int = 6,
    patience_s: float = 1800.0,
    tokens: int = 100,
) -> Outcome:
    """Sends so many calls through a pool, at most `window` under way."""

    async def work() -> Outcome:
        loop = asyncio.get_running_loop()
        said: list[str] = []
        endpoints = [Endpoint(f"http://server-{number}", server, most) for number, server in enumerate(servers)]
        requests, units = (Allowance(limit) if limit else None for limit in per_minute)
        pool = Pool(endpoints, most, lambda message: said.append(f"{loop.time():.0f} s: {message}"), requests, units)

        async def alive(endpoint: Endpoint) -> bool:
            return bool(endpoint.client.well)

        tries = Tries(pool, lambda endpoint, wanted: endpoint.client(wanted), alive, max_retries, 0.5, patience_s)
        ended: list[Completion] = []
        given_up: list[GivenUpError] = []
        room = asyncio.Semaphore(window or most)

        async def one(number: int) -> None:
            async with room:
                if given_up:
                    return
                call = Call(request(number), tokens)
                try:
                    ended.append(await tries.complete(call))
                except GivenUpError as error:
                    given_up.append(error)
                    for other in tasks:
                        other.cancel()
                except (HaltedError, asyncio.CancelledError):
                    pass

        tasks = [asyncio.ensure_future(one(number)) for number in range(count)]
        await asyncio.gather(*tasks, return_exceptions=True)
        assert pool.active == 0
        assert not tries.under_way
        return Outcome(ended, said, loop.time(), given_up, pool)

    return simulate(work())


def down_between(start: float, end: float, failure: Failure | None = None) -> Rule:
    refused = failure or Failure("connection", "connection failed (Connection refused)")
    return lambda served: refused if start <= served.now < end else None


# --- adaptive concurrency --------------------------------------------------------------------------------------------


def test_calls_in_flight_start_at_half_and_grow_to_what_is_allowed() -> None:
    server = Served()
    outcome = run(640, server, most=64)
    assert server.active_at[31] == 32
    assert sum(at < 0.99 for at in server.arrived) == 32
    assert server.peak == 64
    assert len(outcome.ended) == 640
    assert outcome.seconds <= 640 / 64 + 1.01


def test_a_server_that_takes_less_is_asked_for_about_what_it_takes() -> None:
    busy = Failure("rate_limit", "HTTP 429", status=429)
    server = Served(lambda served: busy if served.active > 20 else None)
    outcome = run(4000, server, most=256)
    refused = len(server.arrived) - 4000
    assert len(outcome.ended) == 4000
    assert refused < 0.12 * 4000
    assert outcome.seconds < 1.25 * 4000 / 20
    assert 10 <= outcome.pool.endpoints[0].limit <= 40


def test_one_burst_of_congestion_is_one_cut() -> None:
    overloaded = Failure("server", "HTTP 503", status=503)
    server = Served(lambda served: overloaded if served.now < 0.5 else None)
    outcome = run(32, server, most=64)
    assert sum(at < 0.1 for at in server.arrived) == 32  # all of the first round trip were refused
    assert outcome.pool.endpoints[0].limit >= 32 * 0.7
    assert len(outcome.ended) == 32


def test_time_outs_slow_the_client_down() -> None:
    slow = Failure("timeout", "no whole reply in 600 s")
    server = Served(lambda served: slow if served.active > 8 else None, failing_s=600.0)
    outcome = run(200, server, most=64, max_retries=20)
    assert {completion.finish for completion in outcome.ended} == {"stop"}
    assert max(server.active_at[-50:]) < 32


# --- rate limits -----------------------------------------------------------------------------------------------------


def test_no_call_leaves_before_the_time_that_the_server_names() -> None:
    wait = Failure("rate_limit", "HTTP 429", 20.0, 429)
    server = Served(lambda served: wait if 3.0 <= served.now < 4.0 else None)
    outcome = run(1000, server, most=64)
    refused = next(at for at in server.arrived if at >= 3.0)
    later = [at for at in server.arrived if at > 4.1]
    assert min(later) >= refused + 20.0
    assert not [at for at in server.arrived if refused + 1.1 < at < refused + 20.0]
    assert len(outcome.ended) == 1000
    assert any("asks to wait 20 s (rate limit)" in message for message in outcome.said)


def test_a_used_up_minute_is_not_hammered() -> None:
    """A server that allows a hundred calls a minute and never says when to come back."""

    def rule(served: Served) -> Failure | None:
        minute = sum(at > served.now - 60 for at in served.answered) + served.active - 1
        return Failure("rate_limit", "HTTP 429", status=429) if minute >= 100 else None

    server = Served(rule)
    outcome = run(400, server, most=128)
    assert len(outcome.ended) == 400
    assert outcome.seconds < 320
    assert len(server.arrived) < 1000
    assert sum(at > 10 for at in server.arrived) < 300 * 1.6
    assert not [
        at for at in server.arrived if 8 < at < 60 and sum(at <= other < at + 5 for other in server.arrived) > 3
    ]
    assert any("rate limits in a row" in message for message in outcome.said)


def test_a_lasting_rate_limit_is_waited_out_and_then_stops_the_stage() -> None:
    full = Failure("rate_limit", "HTTP 429, code none", status=429)
    server = Served(lambda served: full)
    outcome = run(40, server, most=16, patience_s=600.0)
    assert not outcome.ended
    assert 600 < outcome.given_up[0].seconds < 700
    assert len(server.arrived) < 100


def test_a_wait_longer_than_patience_stops_the_stage_at_once() -> None:
    tomorrow = Failure("rate_limit", "HTTP 429", 80_000.0, 429)
    outcome = run(10, Served(lambda served: tomorrow if served.now > 2 else None), most=2)
    assert outcome.seconds < 10
    assert outcome.given_up[0].failure.retry_after == 80_000.0


def test_of_two_servers_the_one_that_limits_is_left_alone() -> None:
    limited, free = Served(lambda served: Failure("rate_limit", "HTTP 429", 30.0, 429)), Served()
    outcome = run(600, limited, free, most=32)
    assert len(outcome.ended) == 600
    assert len(free.answered) == 600
    gaps = [later - earlier for earlier, later in pairwise(limited.arrived)]
    assert all(gap >= 30 or gap < 1 for gap in gaps)


def most_within_a_minute(times: list[float], units: list[float]) -> float:
    """The largest sum of units in any sixty seconds."""
    sums = [0.0]
    for unit in units:
        sums.append(sums[-1] + unit)
    return max(sums[bisect.bisect_left(times, at + 60.0)] - sums[index] for index, at in enumerate(times))


@pytest.mark.parametrize("limit", [30, 600, 5000])
def test_requests_a_minute_are_kept_to(limit: int) -> None:
    server = Served(latency_s=0.1)
    outcome = run(2 * limit, server, most=256, per_minute=(limit, None))
    assert most_within_a_minute(server.arrived, [1.0] * len(server.arrived)) <= limit
    assert outcome.seconds < 125


@settings(max_examples=60, deadline=None)
@given(
    limit=st.integers(100, 5000),
    sizes=st.lists(st.integers(1, 100), min_size=2, max_size=120),
    gaps=st.lists(st.floats(0, 40), min_size=120, max_size=120),
)
def test_units_a_minute_are_never_more_than_allowed(limit: int, sizes: list[int], gaps: list[float]) -> None:
    allowance, now, times = Allowance(limit), 0.0, []
    for size, gap in zip(sizes, gaps, strict=False):
        now = max(now + gap / 10, allowance.opens_at(size, now + gap / 10))
        allowance.use(size, now)
        times.append(now)
    assert most_within_a_minute(times, [float(size) for size in sizes]) <= limit + 1e-6


def test_one_call_above_the_limit_goes_out_alone() -> None:
    server = Served()
    run(3, server, most=8, per_minute=(None, 50), tokens=100)
    assert [round(at) for at in server.arrived] == [0, 120, 240]


def test_calls_are_sent_in_the_order_in_which_they_wait() -> None:
    server = Served()
    run(50, server, most=4, window=50)
    assert server.asked == [str(number) for number in range(50)]


# --- several servers -------------------------------------------------------------------------------------------------


def test_equal_servers_share_the_load() -> None:
    servers = [Served() for _ in range(4)]
    run(400, *servers, most=8)
    assert {len(server.arrived) for server in servers} == {100}


def test_a_slow_server_gets_less() -> None:
    slow, quick = Served(latency_s=4.0), Served(latency_s=1.0)
    run(600, slow, quick, most=16)
    assert 3 < len(quick.arrived) / len(slow.arrived) < 5


def test_a_dead_server_costs_nothing_but_a_try_now_and_then() -> None:
    dead, alive = Served(lambda served: Failure("connection", "refused")), Served()
    outcome = run(3200, dead, alive, most=32, max_retries=0)
    assert [completion.finish for completion in outcome.ended] == ["stop"] * 3200
    assert len(alive.answered) == 3200
    assert len(dead.arrived) < 50
    assert outcome.seconds < 1.15 * 3200 / 32
    assert "server-0: " in outcome.said[0]
    assert "failures in a row (refused); pausing" in outcome.said[0]


def test_a_call_that_failed_is_tried_at_another_server() -> None:
    def rule(served: Served) -> Failure | None:
        return Failure("server", "HTTP 500", status=500) if int(served.asked[-1]) % 7 == 0 else None

    outcome = run(400, Served(rule), Served(), most=16, max_retries=1)
    assert {completion.finish for completion in outcome.ended} == {"stop"}


def test_a_server_that_comes_back_is_used_again() -> None:
    back, steady = Served(down_between(5.0, 65.0)), Served()
    outcome = run(4000, back, steady, most=32)
    assert {completion.finish for completion in outcome.ended} == {"stop"}
    assert any("answers again, going on" in message for message in outcome.said)
    after = [at for at in back.arrived if at >= 65.0]
    assert min(after) < 65.0 + 31.0  # the longest pause
    assert len(after) > 0.3 * sum(at >= 100 for at in (*back.arrived, *steady.arrived))


# --- the circuit breaker ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("minutes", [1, 29])
@pytest.mark.parametrize("most", [1, 2, 16])
def test_an_outage_shorter_than_patience_loses_nothing(minutes: int, most: int) -> None:
    server = Served(down_between(10.0, 10.0 + 60 * minutes))
    outcome = run(600 if most > 2 else 60, server, most=most, window=max(2, most))
    assert {completion.finish for completion in outcome.ended} == {"stop"}
    assert len(outcome.ended) == (600 if most > 2 else 60)
    during = [at for at in server.arrived if 11.0 < at < 10.0 + 60 * minutes]
    assert len(during) < 12 + 4 * minutes * max(1, 3 - most)
    if most > 2:
        assert f"{OPENS_AFTER} failures in a row" in outcome.said[0]
        assert "answers again, going on" in outcome.said[-1]


def test_an_outage_longer_than_patience_stops_the_stage() -> None:
    server = Served(down_between(10.0, 1e9))
    server.well = False
    outcome = run(600, server, most=16)
    assert all(completion.finish == "stop" for completion in outcome.ended)
    assert 1800 < outcome.seconds < 1900


def test_a_server_that_never_answers_is_not_waited_for_long() -> None:
    server = Served(down_between(0.0, 1e9))
    server.well = False
    outcome = run(600, server, most=16)
    assert not outcome.ended
    assert outcome.seconds < 60


def test_one_call_tries_a_server_after_a_pause() -> None:
    server = Served(down_between(0.5, 20.0), failing_s=0.5)
    run(64, server, most=16)
    trials = [at for at in server.arrived if 3.0 < at < 20.0]
    assert all(later - earlier > 0.5 for earlier, later in pairwise(trials))


# --- which calls end as errors ---------------------------------------------------------------------------------------


def poisoned(*names: str) -> Rule:
    return lambda served: Failure("server", "HTTP 500", status=500) if served.asked[-1] in names else None


@pytest.mark.parametrize("most", [1, 2, 16])
def test_a_call_that_fails_while_others_are_answered_ends_as_an_error(most: int) -> None:
    server = Served(poisoned("3", "40"))
    outcome = run(60, server, most=most, window=max(2, most))
    errors = {completion.request.owner[0] for completion in outcome.ended if completion.finish == "error"}
    assert errors == {"3", "40"}
    assert server.asked.count("3") >= 7
    assert len(outcome.ended) == 60


def test_the_last_call_of_a_stage_may_be_the_one_that_fails() -> None:
    server = Served(poisoned("59"))
    outcome = run(60, server, most=8)
    assert len(outcome.ended) == 60
    assert outcome.ended[-1].finish == "error"
    assert outcome.seconds < 120


def test_a_last_call_that_fails_alone_waits_for_patience_where_the_server_cannot_be_looked_at() -> None:
    server = Served(poisoned("0"))
    server.well = False
    assert run(1, server).given_up
    well = run(1, Served(poisoned("0")))  # it is there, so it is waited for, and then it is the call
    assert [completion.finish for completion in well.ended] == ["error"]
    assert well.seconds > 1800


def test_tries_during_an_outage_are_not_held_against_a_call() -> None:
    """After an outage of twenty minutes each call may fail `max_retries` times of its own."""
    back = 1210.0

    def rule(served: Served) -> Failure | None:
        if 10 <= served.now < back:
            return Failure("connection", "refused")
        again = served.asked.count(served.asked[-1])
        return Failure("server", "HTTP 500", status=500) if served.now < back + 5 and again % 2 else None

    outcome = run(600, Served(rule), most=16, max_retries=6)
    assert {completion.finish for completion in outcome.ended} == {"stop"}


def test_a_call_that_is_cancelled_leaves_its_place() -> None:
    async def work() -> None:
        pool = Pool([Endpoint("http://a", None, 2, 1.0)], 2)
        first = await pool.take(1)
        waiting = asyncio.ensure_future(pool.take(1))
        third = asyncio.ensure_future(pool.take(1))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.sleep(0)
        pool.end(first, None)
        turn = await asyncio.wait_for(third, 1)
        granted = asyncio.ensure_future(pool.take(1))
        pool.end(turn, None)  # grants in the step in which its waiter is cancelled
        granted.cancel()
        await asyncio.gather(waiting, granted, return_exceptions=True)
        assert pool.active == 0
        assert pool.endpoints[0].active == 0

    simulate(work())


# --- Retry-After -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after-ms": "nan"}, None),
        ({"retry-after-ms": "inf"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "9" * 400}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=40))
def test_no_retry_after_breaks_the_client(value: str) -> None:
    for name in ("retry-after", "retry-after-ms"):
        seconds = retry_after({name: value})
        assert seconds is None or 0 <= seconds <= 7 * 86400
