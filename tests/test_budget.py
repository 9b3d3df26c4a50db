"""Limits of a build: tokens, money, unusable replies; through the command line against a server that counts."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from calls import Serve, judge
from faults import Asked, FaultServer, Sent, completion, judgement
from prepared import Prepared, prepare

from finemed.config import Price
from finemed.llm.accounting import LEAST_ANSWERS, Budget, FailureLimit, Tally, most_tokens
from finemed.llm.base import Answer
from finemed.llm.interrupt import deferred_interrupt
from finemed.store.journal import Journal

TOKENS = 240
"""That the fault server says each call took."""
ROWS = 120


def spent(run: Path) -> int:
    journal = Journal(run / "journal.sqlite")
    try:
        return sum((line["prompt_tokens"] or 0) + (line["completion_tokens"] or 0) for line in journal.stats())
    finally:
        journal.close()


def stored(run: Path) -> int:
    journal = Journal(run / "journal.sqlite")
    try:
        return sum(line["replies"] for line in journal.stats())
    finally:
        journal.close()


def reference(serve: Serve, folder: Path, **settings: Any) -> dict[str, bytes]:
    """The output of a build without a limit."""
    prepared = prepare(folder, serve().url, rows=ROWS, shard_rows=30, **settings)
    assert prepared.build()[0] == 0
    return prepared.output()


# --- tokens and money ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("structured", ["off", "auto"])
def test_a_limit_on_tokens_stops_goes_on_and_is_never_exceeded(serve: Serve, tmp_path: Path, structured: str) -> None:
    server = serve(latency_s=0.005)
    prepared = prepare(tmp_path / "run", server.url, rows=ROWS, shard_rows=30, concurrency=32, structured=structured)
    before = 0
    for limit in (15_000, 20_000):
        code, said = prepared.build("--max-tokens", str(limit))
        assert code == 3
        assert (
            f"judge: the budget does not hold the next call ({spent(prepared.run):,} of {limit:,} tokens used" in said
        )
        assert "all replies are stored: go on with a higher limit" in said
        assert "Traceback" not in said
        assert before < spent(prepared.run) <= limit
        assert spent(prepared.run) == stored(prepared.run) * TOKENS == len(server.calls) * TOKENS
        assert spent(prepared.run) > limit - 2500  # one call at its longest
        before = spent(prepared.run)
    same = prepared.build("--max-tokens", "20000")
    assert (same[0], spent(prepared.run)) == (3, before)
    assert prepared.build("--max-tokens", "1000000")[0] == 0
    calls = ROWS + (structured == "auto")
    assert len(server.calls) == calls
    assert prepared.build("--max-tokens", "100")[0] == 0  # nothing is left to do, so no limit stands in the way
    assert len(server.calls) == calls
    assert prepared.output() == reference(serve, tmp_path / "undisturbed", structured=structured)


def test_a_limit_on_money_counts_what_was_paid_before(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    price = {"input": 100, "output": 1000, "currency": "EUR"}  # 200 and 40 tokens: 0.06 a call
    prepared = prepare(tmp_path / "run", server.url, rows=ROWS, shard_rows=30, price=price)
    code, said = prepared.build("--max-cost", "2.00")
    assert code == 3
    assert f"{len(server.calls) * 0.06:.2f} of 2.00 EUR" in said
    assert 1.5 < len(server.calls) * 0.06 <= 2.00
    assert prepared.build("--max-cost", "8.00")[0] == 0
    assert len(server.calls) == ROWS
    session = json.loads((prepared.run / "session.json").read_text())["sessions"][-1]["stages"]["judge"]
    assert (session["currency"], session["stored_replies"] + session["calls"]) == ("EUR", ROWS)


def test_a_limit_on_money_needs_a_price_before_any_call(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    code, said = prepare(tmp_path, server.url, rows=3).build("--max-cost", "1")
    assert (code, server.calls) == (2, [])
    assert "--max-cost: no `price` for openai:loop; set it under `backends`" in said


def test_prices_in_several_currencies_are_refused(serve: Serve, tmp_path: Path) -> None:
    prepared = prepare(tmp_path, serve().url, rows=3, price={"input": 1, "output": 1})
    other = "{type: openai, model: n, price: {input: 1, output: 1, currency: EUR}, api_key_env: null}"
    code, said = prepared.build("--max-cost", "1", "--set", f"backends.o={other}", "--set", "reason.backend=o")
    assert code == 2
    assert "the prices are in several currencies" in said


@pytest.mark.parametrize("option", ["--max-tokens=0", "--max-cost=0", "--max-cost=-1", "--max-tokens=1.5"])
def test_a_limit_of_nothing_is_wrong_usage(serve: Serve, tmp_path: Path, option: str) -> None:
    assert prepare(tmp_path, serve().url, rows=3).build(option)[0] == 2


def test_a_budget_reserves_the_longest_reply() -> None:
    request = judge(1)
    sent, received = most_tokens(request)
    assert sent > sum(len(message["content"]) for message in request.messages())
    assert received == 100
    budget = Budget(max_tokens=2 * (sent + received) - 1)
    other = judge(1)
    assert budget.allows("m", request)
    assert not budget.allows("m", other)
    budget.charge("m", {"prompt_tokens": 10, "completion_tokens": 5}, request)
    assert budget.spent_tokens == 15
    assert budget.allows("m", other)
    budget.release(other)
    assert budget.allows("m", other)


def test_a_budget_in_money_uses_the_price_of_each_backend() -> None:
    budget = Budget(max_cost=1.0, prices={"a": Price(input=1, output=2)})
    budget.charge("a", {"prompt_tokens": 100_000, "completion_tokens": 50_000})
    budget.charge("free", {"prompt_tokens": 100_000, "completion_tokens": 50_000})
    assert budget.spent_cost == pytest.approx(0.2)


# --- unusable replies ------------------------------------------------------------------------------------------------


def failing_from(number: int) -> Any:
    """Prose instead of JSON for every question from this number on."""

    def good(asked: Asked) -> Sent:
        of = int(asked.content.split()[1].rstrip("?"))
        return completion("No." if of >= number else judgement(asked.content))

    return good


def test_too_many_unusable_replies_stop_the_stage_and_a_higher_limit_goes_on(serve: Serve, tmp_path: Path) -> None:
    server = serve(good=failing_from(80), latency_s=0.002)
    prepared = prepare(tmp_path / "run", server.url, rows=ROWS, shard_rows=30, judge={"max_reasks": 0})
    code, said = prepared.build()
    assert code == 1
    assert "replies are unusable (unparsable" in said
    assert "the last unparsable: no JSON object in the reply" in said
    assert "above `judge.max_failure_share` 0.2" in said
    assert "what was received is stored" in said
    assert stored(prepared.run) == len(server.calls) < ROWS
    kept = {name: data for name, data in prepared.output().items() if name.startswith("kept")}
    assert set(kept) <= {f"kept-{number:05d}.parquet" for number in range(3)}
    assert kept
    assert prepared.build("--set", "judge.max_failure_share=0.5")[0] == 0
    assert len(server.calls) == ROWS
    assert kept.items() <= prepared.output().items()


def test_no_shard_is_finished_before_it_is_seen_that_the_server_works(serve: Serve, tmp_path: Path) -> None:
    """Rows that end as `error` are asked again only while their shard is open."""
    server = serve(lambda asked: "422")
    prepared = prepare(tmp_path / "run", server.url, rows=ROWS, shard_rows=10)
    code, said = prepared.build()
    assert code == 1
    assert "(error 50; the last error: HTTP 422, code none: unprocessable)" in said
    assert [name for name in prepared.output() if name.startswith("kept")] == []
    server.plan = lambda asked: ""
    assert prepared.build()[0] == 0
    assert prepared.output() == reference_of_shards(serve, tmp_path / "undisturbed")


def reference_of_shards(serve: Serve, folder: Path) -> dict[str, bytes]:
    prepared = prepare(folder, serve().url, rows=ROWS, shard_rows=10)
    assert prepared.build()[0] == 0
    return prepared.output()


def test_a_server_that_fails_from_some_moment_on_is_noticed_before_the_share_tells() -> None:
    limit, tally = FailureLimit("judge", 0.2), Tally()
    for _ in range(10_000):
        tally.ended(Answer(judge(1), "parsed", None))
    for number in range(LEAST_ANSWERS):
        assert limit.reached(tally) is None, number
        tally.ended(Answer(judge(1), "error", None, "HTTP 422"))
    told = str(limit.reached(tally))
    assert "judge: the last 50 calls failed (error 50; the last error: HTTP 422)" in told


@pytest.mark.parametrize(
    ("share", "failed", "stops"), [(0.2, 10, False), (0.2, 11, True), (0.0, 1, True), (1.0, 50, False)]
)
def test_the_share_of_unusable_replies(share: float, failed: int, stops: bool) -> None:
    tally = Tally()
    for number in range(LEAST_ANSWERS):
        tally.ended(Answer(judge(1), "refused" if number < failed else "parsed", None))
    assert (FailureLimit("judge", share).reached(tally) is not None) == stops
    few = Tally()
    for _ in range(LEAST_ANSWERS - 1):
        few.ended(Answer(judge(1), "refused", None))
    assert FailureLimit("judge", share).reached(few) is None


# --- an interrupt ----------------------------------------------------------------------------------------------------


def interrupted(prepared: Prepared, server: FaultServer, times: int) -> tuple[int, str]:
    """Presses Ctrl-C when the server has seen forty calls; again where asked."""
    due = threading.Event()
    server.on_call = lambda: due.set() if len(server.calls) >= 40 else None
    process = prepared.start()
    try:
        assert due.wait(30)
        for _ in range(times):
            os.kill(process.pid, signal.SIGINT)
            time.sleep(0.15)
        server.on_call = None
        said = process.communicate(timeout=30)[1]
    finally:
        process.kill()
    return process.returncode, said


def test_an_interrupt_waits_for_what_is_at_the_server(serve: Serve, tmp_path: Path) -> None:
    server = serve(latency_s=0.4)
    prepared = prepare(tmp_path, server.url, rows=400, concurrency=40)
    code, said = interrupted(prepared, server, 1)
    assert code == 130
    assert "stops, and waits for what is at the server" in said
    assert "interrupted; run the same command again to go on" in said
    assert stored(prepared.run) == len(server.calls)
    calls = len(server.calls)
    assert prepared.build()[0] == 0
    assert len(server.calls) == 400 > calls


def test_a_second_interrupt_does_not_wait(serve: Serve, tmp_path: Path) -> None:
    server = serve(latency_s=20.0)
    prepared = prepare(tmp_path, server.url, rows=400, concurrency=80)
    code, said = interrupted(prepared, server, 2)
    assert code == 130
    assert "Traceback" not in said
    assert stored(prepared.run) == 0


def test_the_first_interrupt_waits_for_a_good_moment_and_the_second_does_not() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    pressed: list[str] = []
    try:
        with deferred_interrupt(lambda: pressed.append("once")):
            signal.raise_signal(signal.SIGINT)
            with deferred_interrupt(lambda: pressed.append("inside")):
                assert pressed == ["once"]
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert pressed == ["once"]


# --- secrets ---------------------------------------------------------------------------------------------------------


def test_a_planted_key_is_found_nowhere(serve: Serve, tmp_path: Path) -> None:
    key, password = "sk-planted/0f9e+8d7c=b6", "hunter-2/pass!"

    def echo(asked: Asked) -> Sent:
        told = f"{asked.headers.get('authorization')} {key} {password}"
        refused = {"error": {"message": told, "code": key}}
        of = int(asked.content.split()[1].rstrip("?"))
        kinds = [completion(json.dumps({**json.loads(judgement(asked.content)), "rationale": told}))]
        kinds += [
            completion(None, refusal=told),
            completion(told),
            Sent(refused, 400),
        ]
        return kinds[of % 4] if of < 100 else Sent(refused, 500)

    server = serve(good=echo, models=False)
    address = server.url.replace("//", f"//ann:{quote(password, safe='')}@")
    prepared = prepare(
        tmp_path, address, rows=ROWS, shard_rows=20, api_key_env="PLANTED_KEY", patience_s=0.5, max_retries=1
    )
    prepared.environment["PLANTED_KEY"] = key
    said = prepared.build("--set", "judge.max_failure_share=1")[1]
    said += prepared.build("--set", "judge.max_failure_share=0.1")[1]
    assert "[key]" in said
    assert stored(prepared.run) > 50
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path != prepared.config]
    assert any(path.name == "journal.sqlite" for path in files)
    for secret in (key, "planted/", "hunter-2", "b6=="):
        assert secret not in said
        assert [path for path in files if secret.encode() in path.read_bytes()] == []


# --- what is shown ---------------------------------------------------------------------------------------------------


def test_a_build_ends_with_a_table_of_its_calls(serve: Serve, tmp_path: Path) -> None:
    server = serve(lambda asked: "refusal" if asked.content == "Question 3?" else "")
    prepared = prepare(tmp_path, server.url, rows=60, price={"input": 1, "output": 5})
    said = prepared.build()[1].splitlines()
    head = next(number for number, line in enumerate(said) if line.startswith("stage  model"))
    assert said[head].split() == ["stage", "model", "calls", "stored", "tokens", "sent", "received", "cost", "unusable"]
    wanted = ["judge", "openai:loop", "60", "0", "12,000", "2,400", "0.0240", "USD", "refused", "1"]
    assert said[head + 1].split() == wanted
    assert not any(line.startswith("stage ") for line in prepared.build()[1].splitlines())  # no stage asked anything


def test_the_table_also_ends_a_build_that_stops(serve: Serve, tmp_path: Path) -> None:
    prepared = prepare(tmp_path, serve().url, rows=60)
    said = prepared.build("--max-tokens", "5000")[1]
    assert "\njudge  openai:loop" in said
    assert said.splitlines()[-1].startswith("finemed: judge: the budget does not hold")


def test_pauses_are_told_while_they_last(serve: Serve, tmp_path: Path) -> None:
    server = serve(lambda asked: "500" if len(server.calls) in range(30, 42) else "", latency_s=0.01)
    code, said = prepare(tmp_path, server.url, rows=ROWS, concurrency=16).build()
    assert code == 0
    assert f"judge: {server.url.removesuffix('/v1')}: 8 failures in a row (HTTP 500, code none: internal error)" in said
    assert "answers again, going on" in said


def test_one_backend_has_one_price(serve: Serve, tmp_path: Path) -> None:
    prepared = prepare(tmp_path, serve().url, rows=3, price={"input": 1, "output": 1})
    other = "{type: openai, model: loop, price: {input: 2, output: 2}, api_key_env: null}"
    code, said = prepared.build("--max-cost", "1", "--set", f"backends.o={other}", "--set", "reason.backend=o")
    assert code == 2
    assert "two prices for openai:loop" in said
