from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from batch_client import connect, judge
from batch_server import GOOD, BatchServer, answered, refused

from finemed.config import BatchBackend, Price, load_config
from finemed.errors import BackendError, BudgetError
from finemed.llm.accounting import Budget, Tally
from finemed.llm.ask import READ_AHEAD, ask, parser_of
from finemed.llm.base import Answer, Completion, Request, Sampling
from finemed.llm.batch import BatchChat
from finemed.llm.batch_work import SCOPE
from finemed.pipeline.plan import Plan
from finemed.store.journal import Journal

CLIENT = Path(__file__).with_name("batch_client.py")
PATIENCE_S = 60


@pytest.fixture
def server() -> Iterator[BatchServer]:
    running = BatchServer()
    yield running
    running.stop()


Open = Callable[..., BatchChat]


@pytest.fixture
def backend(server: BatchServer) -> Iterator[Open]:
    opened: list[BatchChat] = []

    def make(**settings: Any) -> BatchChat:
        opened.append(connect(server.url, **settings))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def asked(backend: BatchChat, requests: list[Request], journal: Journal | None, **more: Any) -> list[Answer]:
    return list(ask(iter(requests), backend, journal, parse=parser_of, max_reasks=more.pop("max_reasks", 0), **more))


def ends(completions: list[Completion]) -> dict[str, str]:
    return {completion.request.owner[0]: completion.finish for completion in completions}


# --- requests and replies --------------------------------------------------------------------------------------------


def test_replies_find_their_requests_by_custom_id_in_whatever_order_they_come(
    server: BatchServer, backend: Open
) -> None:
    server.answer = lambda body: answered(body["messages"][-1]["content"])
    requests = [judge(number, reply=None) for number in range(30)]
    found = list(backend().complete(requests))
    assert [each.request.owner for each in found] != [each.owner for each in requests]
    assert sorted(each.request.owner for each in found) == sorted(each.owner for each in requests)
    assert all(each.text == each.request.messages()[-1]["content"] for each in found)
    assert all(each.usage == {"prompt_tokens": 11, "completion_tokens": 3} for each in found)


def test_a_line_holds_the_request_and_is_named_as_in_the_journal(server: BatchServer, backend: Open) -> None:
    client = backend(max_tokens_field="max_completion_tokens", extra_body={"top_k": 3})
    list(client.complete([judge(1)]))
    (line,) = server.lines(server.batches[0])
    assert line["custom_id"] == judge(1).key(client.identity())
    assert (line["method"], line["url"]) == ("POST", "/v1/chat/completions")
    assert line["body"]["messages"] == judge(1).messages()
    assert (line["body"]["model"], line["body"]["max_completion_tokens"], line["body"]["top_k"]) == ("m", 100, 3)
    assert line["body"]["response_format"]["json_schema"]["strict"] is True


def test_schemas_can_be_left_out(server: BatchServer, backend: Open) -> None:
    list(backend(structured="off").complete([judge(1)]))
    assert "response_format" not in server.lines(server.batches[0])[0]["body"]


@pytest.mark.parametrize(
    ("finish", "content", "end"), [("stop", GOOD, "stop"), ("length", "{", "length"), ("content_filter", "", "refused")]
)
def test_how_a_reply_ended_is_kept(server: BatchServer, backend: Open, finish: str, content: str, end: str) -> None:
    server.answer = lambda body: answered(content, finish)
    assert ends(list(backend().complete([judge(1)]))) == {"i1": end}


def test_files_keep_to_both_limits(server: BatchServer, backend: Open) -> None:
    list(backend(max_requests=4).complete([judge(number) for number in range(10)]))
    assert [len(server.lines(batch)) for batch in server.batches] == [4, 4, 2]
    size = len(server.files[server.batches[0].input_file]) // 4
    list(backend(max_file_mb=2.5 * size / 1e6).complete([judge(number) for number in range(100, 107)]))
    assert [len(server.lines(batch)) for batch in server.batches[3:]] == [2, 2, 2, 1]
    assert set(server.paid.values()) == {1}


def test_a_request_that_no_file_can_hold_ends_alone(server: BatchServer, backend: Open) -> None:
    requests = [judge(1), judge(2, text="a" * 9000), judge(3)]
    found = list(backend(max_file_mb=0.008).complete(requests))
    assert ends(found) == {"i1": "stop", "i2": "error", "i3": "stop"}
    (detail,) = [each.detail for each in found if each.detail]
    assert "more than a file may have (`max_file_mb` 0.008)" in detail


def test_no_more_batches_are_under_way_than_allowed(server: BatchServer, backend: Open) -> None:
    running: list[int] = []
    server.on_created = lambda batch: running.append(sum(not each.output_file for each in server.batches))
    list(backend(max_requests=1, max_batches=2).complete([judge(number) for number in range(6)]))
    assert (len(server.batches), max(running)) == (6, 2)


def test_no_request_makes_no_call(server: BatchServer, backend: Open) -> None:
    assert list(backend().complete([])) == []
    assert server.seen == []


# --- what goes wrong -------------------------------------------------------------------------------------------------


def test_what_an_expired_batch_left_is_asked_again_and_the_rest_is_not(
    server: BatchServer, backend: Open, journal: Journal
) -> None:
    server.ending = lambda batch: ("expired", 0.5) if batch.number == 1 else ("completed", 1.0)
    answers = asked(backend(), [judge(number) for number in range(20)], journal)
    assert Counter(answer.state for answer in answers) == {"parsed": 20}
    assert [len(server.lines(batch)) for batch in server.batches] == [20, 10]
    assert Counter(server.paid.values()) == {1: 20}


@pytest.mark.parametrize("status", ["expired", "cancelled", "failed"])
def test_what_no_batch_brings_ends_as_error(server: BatchServer, backend: Open, status: str) -> None:
    server.ending = lambda batch: (status, 0.5 if batch.number == 1 else 0.0)
    found = list(backend(max_rounds=3).complete([judge(number) for number in range(4)]))
    assert Counter(ends(found).values()) == {"stop": 2, "error": 2}
    assert [len(server.lines(batch)) for batch in server.batches] == [4, 2, 2]
    details = {each.detail for each in found if each.finish == "error"}
    assert all("(in 3 batches)" in detail for detail in details)


def test_batches_that_bring_nothing_at_all_stop_the_stage_with_their_reason(server: BatchServer, backend: Open) -> None:
    def fail(batch: Any) -> tuple[str, float]:
        batch.errors = [{"code": "model_not_found", "message": "no model m"}]
        return "failed", 0.0

    server.ending = fail
    with pytest.raises(BackendError, match=r"2 batches brought nothing: batch failed \(model_not_found: no model m\)"):
        list(backend(max_rounds=2).complete([judge(1), judge(2)]))


def test_lines_that_failed_are_asked_again_and_lines_that_are_refused_are_not(
    server: BatchServer, backend: Open
) -> None:
    def answer(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        question = body["messages"][-1]["content"]
        if "Question 1?" in question:
            return refused(400, "too long")
        return refused(500) if "Question 2?" in question and len(server.batches) == 1 else answered()

    server.answer = answer
    found = list(backend().complete([judge(number) for number in range(4)]))
    assert ends(found) == {"i0": "stop", "i1": "error", "i2": "stop", "i3": "stop"}
    assert [len(server.lines(batch)) for batch in server.batches] == [4, 1]
    (detail,) = [each.detail for each in found if each.detail]
    assert detail == "HTTP 400, code c: too long"


def test_a_reply_that_is_no_completion_is_asked_again(server: BatchServer, backend: Open) -> None:
    server.answer = lambda body: (200, {"choices": []}) if len(server.batches) == 1 else answered()
    assert ends(list(backend().complete([judge(1)]))) == {"i1": "stop"}
    assert len(server.batches) == 2


@pytest.mark.parametrize("call", ["POST files", "GET batches", "GET files/content"])
def test_calls_that_fail_are_tried_again(server: BatchServer, backend: Open, call: str) -> None:
    server.faults = {call: [500, 503, 0, 429, 500]}
    assert ends(list(backend().complete([judge(1)]))) == {"i1": "stop"}
    assert (server.faults[call], len(server.batches)) == ([], 1)


@pytest.mark.parametrize("fault", [500, 0, -1], ids=["refused", "broken off before", "broken off after"])
def test_a_batch_is_created_once_whatever_became_of_the_reply(server: BatchServer, backend: Open, fault: int) -> None:
    server.faults = {"POST batches": [fault]}
    assert ends(list(backend().complete([judge(1)]))) == {"i1": "stop"}
    assert len(server.batches) == 1


def test_a_server_that_is_not_there_is_not_waited_for(server: BatchServer, backend: Open) -> None:
    server.stop()
    with pytest.raises(BackendError, match=r"127\.0\.0\.1:\d+: connection failed .*tried 6 times"):
        list(backend().complete([judge(1)]))


def test_a_server_that_fails_for_too_long_stops_the_stage(server: BatchServer, backend: Open) -> None:
    client = backend(patience_s=0.2)
    server.on_created = lambda batch: server.faults.update({"GET batches": [500] * 10_000})
    with pytest.raises(BackendError, match=r"HTTP 500.*when it is reachable, run the same command again"):
        list(client.complete([judge(1)]))


def test_a_refused_key_is_told_by_its_variable(
    server: BatchServer, backend: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCH_KEY", "sk-planted-0123456789abcdef")
    server.faults = {"GET batches": [401]}
    client = backend(api_key_env="BATCH_KEY")
    client.ready()
    with pytest.raises(BackendError, match="refuses the key in BATCH_KEY") as caught:
        list(client.complete([judge(1)]))
    assert "sk-planted" not in str(caught.value)
    assert server.keys == {"Bearer sk-planted-0123456789abcdef"}


def test_a_key_that_a_reply_holds_is_taken_out(
    server: BatchServer, backend: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCH_KEY", "sk-planted-0123456789abcdef")
    server.answer = lambda body: answered("It is sk-planted-0123456789abcdef.")
    (found,) = backend(api_key_env="BATCH_KEY").complete([judge(1, reply=None)])
    assert found.text == "It is [key]."


def test_a_missing_key_is_told_before_anything_is_sent(
    backend: Open, server: BatchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BATCH_KEY", raising=False)
    with pytest.raises(BackendError, match="environment variable BATCH_KEY is not set"):
        backend(api_key_env="BATCH_KEY").ready()
    assert server.seen == []


def test_a_server_without_batches_is_told(server: BatchServer, backend: Open) -> None:
    server.faults = {"GET batches": [404]}
    with pytest.raises(BackendError, match="has no Batch API here"):
        list(backend().complete([judge(1)]))


# --- through the journal ---------------------------------------------------------------------------------------------


def test_replies_that_cannot_be_read_go_into_a_further_batch(
    server: BatchServer, backend: Open, journal: Journal
) -> None:
    server.answer = lambda body: answered(GOOD if len(server.batches) == 2 else "I would rather not.")
    answers = asked(backend(), [judge(1), judge(2)], journal, max_reasks=1)
    assert [answer.state for answer in answers] == ["parsed", "parsed"]
    assert [len(server.lines(batch)) for batch in server.batches] == [2, 2]
    assert "could not be used" in server.lines(server.batches[1])[0]["body"]["messages"][-1]["content"]


def test_a_second_pass_calls_nobody(server: BatchServer, backend: Open, journal: Journal) -> None:
    requests = [judge(number) for number in range(5)]
    asked(backend(), requests, journal)
    server.seen.clear()
    assert len(asked(backend(), requests, journal)) == 5
    assert server.seen == []


def test_many_stored_replies_between_do_not_cut_a_stage_into_small_batches(
    server: BatchServer, backend: Open, journal: Journal
) -> None:
    every_other = [judge(number) for number in range(0, 3 * READ_AHEAD, 2)]
    asked(backend(), every_other, journal)
    answers = asked(backend(), [judge(number) for number in range(3 * READ_AHEAD)], journal)
    assert len(answers) == 3 * READ_AHEAD
    assert len(server.batches) == 2


def test_batches_have_a_price_of_their_own(server: BatchServer, backend: Open, journal: Journal) -> None:
    price = Price(input=10.0, output=100.0)
    tally, budget = Tally(price=price), Budget(max_cost=1.0, prices={"batch:m": price})
    asked(backend(), [judge(number) for number in range(4)], journal, tally=tally, budget=budget)
    assert tally.cost == pytest.approx(4 * (11 * 10 + 3 * 100) / 1e6)
    assert budget.spent_cost == tally.cost


def test_a_budget_that_does_not_hold_the_next_request_ends_the_stage_with_all_that_was_sent_stored(
    server: BatchServer, backend: Open, journal: Journal
) -> None:
    one = Budget(max_tokens=10**9)
    assert one.allows("batch:m", judge(0))
    budget = Budget(max_tokens=one._reserved_tokens + 20)  # one request at a time, each of which uses 14
    with pytest.raises(BudgetError):
        asked(backend(), [judge(number) for number in range(12)], journal, budget=budget)
    stored = sum(line["replies"] for line in journal.stats())
    assert stored == sum(len(server.lines(batch)) for batch in server.batches) == 2


def test_a_build_makes_it_with_its_price(tmp_path: Path) -> None:
    backends = "{cheap: {type: batch, model: m, api_key_env: null, price: {input: 1, output: 2}}}"
    path = tmp_path / "finemed.yaml"
    judge = "{backend: cheap, model: n}"
    path.write_text(f"name: demo\nsources: [{{name: a, path: a.jsonl}}]\nbackends: {backends}\njudge: {judge}\n")
    plan = Plan(load_config(path), tmp_path)
    made = plan.backend("judge")
    assert isinstance(made, BatchChat)
    assert (made.name, made.local, made.free, made.extractive) == ("batch:n", False, False, False)
    assert plan.prices() == {"batch:n": Price(input=1, output=2)}


def test_where_and_how_fast_is_no_part_of_the_identity() -> None:
    here = BatchChat(BatchBackend(type="batch", model="m", base_url="http://a/v1", max_requests=3, poll_s=9))
    there = BatchChat(BatchBackend(type="batch", model="m", price=Price(input=1, output=1)))
    assert here.identity() == there.identity()
    assert BatchChat(BatchBackend(type="batch", model="n")).identity() != there.identity()


# --- stopped and gone on with ----------------------------------------------------------------------------------------


def test_a_batch_under_way_is_found_again_and_nothing_is_sent_twice(
    server: BatchServer, backend: Open, journal: Journal
) -> None:
    server.held = True
    requests = [judge(number) for number in range(6)]
    first = backend()
    threading.Timer(0.3, lambda: server.faults.update({"GET batches": [401]})).start()
    with pytest.raises(BackendError):
        asked(first, requests, journal)
    server.held = False
    said: list[str] = []
    second = backend()
    second.say = said.append
    answers = asked(second, [*requests, judge(6)], journal)
    assert Counter(answer.state for answer in answers) == {"parsed": 7}
    assert [len(server.lines(batch)) for batch in server.batches] == [6, 1]
    assert set(server.paid.values()) == {1}
    assert "batch:m: found batch batch_1 (in_progress, 6 requests)" in said


def test_a_batch_that_ended_meanwhile_gives_what_it_has_and_the_rest_is_asked_again(
    server: BatchServer, backend: Open, journal: Journal
) -> None:
    server.ending = lambda batch: ("expired", 0.5) if batch.number == 1 else ("completed", 1.0)
    requests = [judge(number) for number in range(8)]
    stopped = backend().complete(iter(requests))
    next(stopped)  # the batch has ended; of its replies one came
    stopped.close()
    answers = asked(backend(), requests, journal)
    assert len(answers) == 8
    assert sorted(len(server.lines(batch)) for batch in server.batches) == [4, 8]
    assert set(server.paid.values()) == {1}


def test_batches_of_other_models_prompts_and_people_are_left_alone(server: BatchServer, backend: Open) -> None:
    server.held = True
    other_model, other_prompt = backend(model="other"), backend()
    for client, request in ((other_model, judge(1)), (other_prompt, judge(1, prompt="probe", reply=None))):
        stream = client.complete(iter([request]))
        threading.Timer(0.2, lambda: server.faults.update({"GET batches": [401]})).start()
        with pytest.raises(BackendError):
            next(stream)
    server.create({"input_file_id": "file-0"})
    server.held, server.seen[:] = False, []
    assert ends(list(backend().complete([judge(1)]))) == {"i1": "stop"}
    assert server.seen.count("GET files/content") == 1  # the output of its own batch
    assert len(server.batches) == 4


def test_long_lists_of_batches_are_read_to_the_end(server: BatchServer, backend: Open) -> None:
    server.page = 2
    list(backend().complete([judge(1)]))
    for _ in range(5):
        server.create({"input_file_id": "file-0"})
    assert ends(list(backend().complete([judge(1)]))) == {"i1": "stop"}
    assert sum(server.paid.values()) == 1
    assert server.seen.count("GET batches") >= 3


def test_a_server_that_keeps_no_metadata_is_told_of(server: BatchServer, backend: Open) -> None:
    server.keeps_metadata = False
    said: list[str] = []
    client = backend()
    client.say = said.append
    list(client.complete([judge(1)]))
    assert any("keeps no metadata" in message for message in said)
    server.keeps_metadata = True
    said.clear()
    list(client.complete([judge(2)]))
    assert not any("keeps no metadata" in message for message in said)
    assert server.batches[1].metadata == {
        SCOPE: server.batches[1].metadata[SCOPE],
        "prompts": "judge@2",
        "requests": "1",
    }


def test_equal_requests_without_a_journal_are_sent_and_paid_once(server: BatchServer, backend: Open) -> None:
    twin = judge(1, text="Croup is viral.")
    found = list(backend().complete([judge(1), twin, judge(2)]))
    assert len(found) == 3
    assert set(server.paid.values()) == {1}
    assert sorted(sum(each.usage.values()) for each in found) == [0, 14, 14]


# --- killed ----------------------------------------------------------------------------------------------------------


def client(server: BatchServer, journal: Path, *more: str) -> list[str]:
    return [sys.executable, str(CLIENT), server.url, str(journal), "40", *more]


MOMENTS = [
    "before it is created",
    "as it is created",
    "while it runs",
    "before the download",
    "while replies are stored",
]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_kill_pays_for_nothing_twice(server: BatchServer, tmp_path: Path, moment: str) -> None:
    started = threading.Event()
    process: list[subprocess.Popen[bytes]] = []

    def kill() -> None:
        started.wait(PATIENCE_S)
        process[0].kill()

    def at_call(call: str) -> None:
        created, looked = len(server.batches), server.batches and server.batches[0].looks
        if moment == "before it is created" and call == "POST batches":
            kill()
        if moment == "while it runs" and call == "GET batches" and created and looked == 1:
            kill()
        if moment == "before the download" and call == "GET files/content":
            kill()

    server.on_call = at_call
    if moment == "as it is created":
        server.on_created = lambda batch: kill()
    more = ("17",) if moment == "while replies are stored" else ()
    journal = tmp_path / "journal.sqlite"
    process.append(subprocess.Popen(client(server, journal, *more)))
    started.set()
    assert process[0].wait(PATIENCE_S) == -signal.SIGKILL
    server.on_call, server.on_created = lambda call: None, lambda batch: None
    again = subprocess.run(client(server, journal), stdout=subprocess.PIPE, timeout=PATIENCE_S, check=True)
    assert json.loads(again.stdout) == {"parsed": 40}
    assert len(server.batches) == 1
    assert Counter(server.paid.values()) == {1: 40}


def test_sampling_is_part_of_what_is_found_again(server: BatchServer, backend: Open, journal: Journal) -> None:
    list(backend().complete([judge(1)]))
    list(backend().complete([judge(1, sampling=Sampling(0.5, 1.0, 100))]))
    assert len(server.batches) == 2
