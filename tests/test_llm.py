from __future__ import annotations

import dataclasses
import gc
import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import jinja2
import jinja2.meta
import pytest
from loopback import GOOD, SCORES, Call, Reply, Server, chat, failure

import finemed.prompts
from finemed.config import OpenAIBackend
from finemed.errors import BackendError
from finemed.llm.ask import READ_AHEAD, ask, parser_of
from finemed.llm.base import Answer, Completion, Finish, Request, Sampling, silent
from finemed.llm.openai import OpenAIChat
from finemed.llm.structured import UnparsableError, format_sections, parse_json, parse_sections
from finemed.models import profile_for
from finemed.prompts import load_prompt, prompt_names
from finemed.records import ClassificationReply, JudgementReply, QuestionsReply
from finemed.store.journal import Journal

JUDGED = JudgementReply(**SCORES)


# --- parse_json ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"```json\n{GOOD}\n```",
        f"Sure! Here is my judgement {{as asked}}:\n\n{GOOD}\n\nI hope this helps.",
        f'First try: {{"quality": 3}}. Better: {GOOD}',
        f"{json.dumps({**SCORES, 'quality': 2})} no, rather {GOOD}",
        f"{GOOD}\n" + '{"note": "not a judgement"}',
        json.dumps(SCORES, indent=2),
        json.dumps({**SCORES, "quality": "8", "difficulty": "5", "mention_specific_details": "false"}),
        json.dumps({**SCORES, "quality": 8.0}),
        json.dumps({**SCORES, "confidence": "high"}),
        GOOD.replace("Clear.", "  Clear. "),
    ],
)
def test_parse_json_reads(text: str) -> None:
    assert parse_json(text, JudgementReply) == JUDGED


def test_parse_json_takes_line_breaks_and_braces_inside_strings() -> None:
    text = GOOD.replace("Clear.", 'Clear {but}\nlong \\"}\\"')
    assert parse_json(text, JudgementReply).rationale == 'Clear {but}\nlong "}"'


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("", "no JSON object"),
        ("I would rather not say.", "no JSON object"),
        ("[8, 5, 6]", "no JSON object"),
        (GOOD[:-1], "no JSON object"),
        ("{" * 5000, "no JSON object"),
        (json.dumps({**SCORES, "quality": 11}), "`quality`"),
        (json.dumps({**SCORES, "quality": 0}), "`quality`"),
        (json.dumps({**SCORES, "relevance_to_medicine": 7}), "`relevance_to_medicine`"),
        (json.dumps({**SCORES, "quality": 7.5}), "`quality`"),
        (json.dumps({**SCORES, "quality": "high"}), "`quality`"),
        (json.dumps({**SCORES, "quality": True}), "`quality`"),
        (json.dumps({**SCORES, "quality": None}), "`quality`"),
        (json.dumps({key: value for key, value in SCORES.items() if key != "difficulty"}), "`difficulty`"),
    ],
)
def test_parse_json_refuses(text: str, fact: str) -> None:
    with pytest.raises(UnparsableError, match=fact):
        parse_json(text, JudgementReply)


def test_empty_questions_are_no_reply() -> None:
    reply = {"question1": "Why?", "task_type1": "mechanism", "question2": "  ", "task_type2": "treatment"}
    with pytest.raises(UnparsableError, match="`question2`"):
        parse_json(json.dumps(reply), QuestionsReply)


# --- parse_sections --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("thought", "summary"),
    [
        ("**Thought**", "**Summarization**"),
        ("**Thought:**", "**Summarization:**"),
        ("**Thought**:", "**Summarization**:"),
        ("## Thought", "## Summarization"),
        ("### **Thoughts**", "### **Summarisation**"),
        ("Thought:", "Summarization:"),
        ("THOUGHT", "summarization"),
        ("__Thought__", "__Summarization__"),
        ("  Thought  ", "  Summarization  "),
        ("Of course.\n\n**Thought**", "**Summarization**"),
    ],
)
def test_parse_sections_knows_the_variants_of_a_header(thought: str, summary: str) -> None:
    text = f"{thought}\n\nA *barking* cough.\n\nA second thought: croup.\n{summary}\n* Croup.\n* Rest.\n"
    assert parse_sections(text) == ("A *barking* cough.\n\nA second thought: croup.", "* Croup.\n* Rest.")


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("It is croup.", "no `Thought` section"),
        ("**Summarization**\nCroup.", "no `Thought` section"),
        ("**Thought**\nA barking cough.", "no `Summarization` section"),
        ("My thought is croup.\n**Summarization**\nCroup.", "no `Thought` section"),
        ("**Thought**\n\n**Summarization**\nCroup.", "the `Thought` section is empty"),
        ("**Thought**\nA cough.\n**Summarization**\n \n", "the `Summarization` section is empty"),
        ("**Summarization**\nCroup.\n**Thought**\nA cough.", "`Summarization` comes before `Thought`"),
        ("**Thought**\na\n**Summarization**\nb\n**Summarization**\nc", "`Summarization` occurs more than once"),
        ("**Thought**\na\n**Thought**\nb\n**Summarization**\nc", "`Thought` occurs more than once"),
    ],
)
def test_parse_sections_says_what_is_wrong(text: str, fact: str) -> None:
    with pytest.raises(UnparsableError, match=fact):
        parse_sections(text)


def test_the_stored_form_parses_to_the_same_sections() -> None:
    sections = ("First.\n\nThen: **bold**.", "Croup.\n- Rest.")
    assert parse_sections(format_sections(*sections)) == sections


# --- requests and keys -----------------------------------------------------------------------------------------------

IDENTITY = {"type": "openai", "model": "m"}


def judge(row: str = "i1", question: str = "What causes croup?", **changes: Any) -> Request:
    request = Request(
        owner=(row, "judge"),
        prompt=load_prompt("judge"),
        inputs={"instruction": question, "text": "Croup is viral.", "given": False},
        sampling=Sampling(temperature=0.8, top_p=1.0, max_tokens=100),
        reply=JudgementReply,
    )
    return dataclasses.replace(request, **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"inputs": {"instruction": "What causes croup?", "text": "Croup is rare.", "given": False}},
        {"prompt": load_prompt("reason")},
        {"sampling": Sampling(0.7, 1.0, 100)},
        {"sampling": Sampling(0.8, 0.9, 100)},
        {"sampling": Sampling(0.8, 1.0, 101)},
        {"reply": ClassificationReply},
        {"reply": None},
        {"sample": 1},
        {"reask": 1},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_the_key_changes_with_all_that_shapes_the_reply(changes: dict[str, Any]) -> None:
    assert judge(**changes).key(IDENTITY) != judge().key(IDENTITY)


def test_the_key_changes_with_the_backend_and_not_with_the_owner() -> None:
    assert judge().key({**IDENTITY, "model": "n"}) != judge().key(IDENTITY)
    assert judge(owner=("i2", "other")).key(IDENTITY) == judge().key(IDENTITY)
    assert judge(inputs={**judge().inputs, "unused": 1}).key(IDENTITY) == judge().key(IDENTITY)


def test_a_reask_says_so_in_the_last_message_only() -> None:
    first, again = judge().messages(), judge(reask=1).messages()
    assert again[0] == first[0]
    assert again[1]["content"].startswith(first[1]["content"])
    assert "could not be used" in again[1]["content"]
    assert judge(reask=2).key(IDENTITY) != judge(reask=1).key(IDENTITY)


# --- ask -------------------------------------------------------------------------------------------------------------


class Scripted:
    """A backend that answers from a function of the request."""

    name = "scripted:m"
    local = False
    extractive = False

    def __init__(self, reply: Callable[[Request], str | Completion], *, free: bool = False) -> None:
        self.reply = reply
        self.free = free
        self.profile = profile_for(None)
        self.say: Callable[[str], None] = silent
        self.calls: list[Request] = []

    def ready(self) -> None:
        """Always."""

    def probe(self) -> None:
        """Nothing to learn."""

    def probed(self, completion: Completion) -> None:
        raise AssertionError("there is no probe")

    def identity(self) -> dict[str, Any]:
        return {"type": "scripted"}

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        for request in requests:
            self.calls.append(request)
            reply = self.reply(request)
            yield Completion(request, reply, "stop") if isinstance(reply, str) else reply

    def close(self) -> None:
        """Nothing to release."""


def never(request: Request) -> str:
    raise AssertionError(f"asked {request.owner} again")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / "journal.sqlite")
    yield opened
    opened.close()


def until_it_fails(items: Iterable[Any]) -> tuple[list[Any], BackendError]:
    """What came before the error, and the error."""
    received: list[Any] = []
    stream = iter(items)
    try:
        while True:
            received.append(next(stream))
    except BackendError as error:
        return received, error


def answers(backend: Scripted, journal: Journal | None, *requests: Request, max_reasks: int = 2) -> list[Answer]:
    return list(ask(requests, backend, journal, parse=parser_of, max_reasks=max_reasks))


def test_ask_again_until_a_reply_can_be_read(journal: Journal) -> None:
    backend = Scripted(lambda request: GOOD if request.reask == 2 else "Hm.")
    (answer,) = answers(backend, journal, judge(), max_reasks=5)
    assert (answer.state, answer.value) == ("parsed", JUDGED)
    assert [call.reask for call in backend.calls] == [0, 1, 2]


@pytest.mark.parametrize("max_reasks", [0, 2])
def test_asking_again_has_an_end(journal: Journal, max_reasks: int) -> None:
    backend = Scripted(lambda request: "Hm.")
    (answer,) = answers(backend, journal, judge(), max_reasks=max_reasks)
    assert (answer.state, answer.value) == ("unparsable", None)
    assert f"no JSON object in the reply (asked {max_reasks + 1} times)" in answer.detail
    assert len(backend.calls) == max_reasks + 1


@pytest.mark.parametrize(
    ("finish", "state", "detail"),
    [
        ("length", "truncated", "cut off after 100 tokens"),
        ("refused", "refused", "no medical advice"),
        ("error", "error", "no medical advice"),
    ],
)
def test_cut_off_refused_and_failed_replies_are_final(
    journal: Journal, finish: Finish, state: str, detail: str
) -> None:
    backend = Scripted(lambda request: Completion(request, GOOD, finish, detail="no medical advice"))
    (answer,) = answers(backend, journal, judge())
    assert (answer.state, answer.value, answer.detail) == (state, None, detail)
    assert len(backend.calls) == 1
    if finish == "error":  # it cost nothing and may be mended at the server
        assert answers(Scripted(lambda request: GOOD), journal, judge())[0].state == "parsed"
    else:
        assert answers(Scripted(never), journal, judge())[0].state == state


def test_equal_requests_in_flight_share_the_reply_that_was_stored_first(journal: Journal) -> None:
    texts = iter([GOOD, GOOD.replace("8", "3")])
    found = answers(Scripted(lambda request: next(texts)), journal, judge("i1"), judge("i2"))
    assert [answer.value for answer in found] == [JUDGED, JUDGED]


def test_a_reply_with_half_a_character_is_unparsable(journal: Journal) -> None:
    (answer,) = answers(Scripted(lambda request: "bad \ud800 text"), journal, judge(reply=None), max_reasks=0)
    assert (answer.state, answer.value) == ("unparsable", None)


def test_a_stored_reply_makes_no_call(journal: Journal) -> None:
    requests = [judge(f"i{number}", f"Question {number}?") for number in range(5)]
    first = answers(Scripted(lambda request: GOOD if request.reask else "Hm."), journal, *requests)
    again = answers(Scripted(never), journal, *reversed(requests))
    assert {answer.request.owner: answer.value for answer in again} == dict.fromkeys(
        [request.owner for request in requests], JUDGED
    )
    assert len(first) == len(again) == 5


def test_every_request_gets_one_answer_whether_stored_or_not(journal: Journal) -> None:
    requests = [judge(f"i{number}", f"Question {number}?") for number in range(20)]
    answers(Scripted(lambda request: "Hm."), journal, *requests[::3], max_reasks=0)
    backend = Scripted(lambda request: GOOD if request.reask or request.owner[0] == "i1" else "Hm.")
    found = answers(backend, journal, *requests)
    assert sorted(answer.request.owner[0] for answer in found) == sorted(f"i{number}" for number in range(20))
    assert {answer.state for answer in found} == {"parsed"}
    assert not {call.owner for call in backend.calls if not call.reask} & {request.owner for request in requests[::3]}


def test_a_free_backend_needs_no_journal(journal: Journal) -> None:
    backend = Scripted(lambda request: GOOD, free=True)
    answers(backend, journal, judge())
    answers(backend, journal, judge())
    assert len(backend.calls) == 2
    assert journal.stats() == []
    assert answers(Scripted(lambda request: GOOD), None, judge())[0].state == "parsed"


def test_the_raw_reply_is_stored_before_anything_reads_it(journal: Journal) -> None:
    def crashes(request: Request) -> Callable[[str], Any]:
        def parse(text: str) -> Any:
            raise ZeroDivisionError(text)

        return parse

    backend = Scripted(lambda request: Completion(request, GOOD, "stop", "hidden", {"prompt_tokens": 7}))
    with pytest.raises(ZeroDivisionError):
        list(ask([judge()], backend, journal, parse=crashes, max_reasks=2))
    assert journal.get(judge().key(backend.identity())) == {
        "text": GOOD,
        "finish": "stop",
        "reasoning": "hidden",
        "usage": {"prompt_tokens": 7},
        "detail": "",
    }
    assert [(row["task"], row["model"]) for row in journal.stats()] == [(load_prompt("judge").label, "scripted:m")]
    assert answers(Scripted(never), journal, judge())[0].value == JUDGED


def test_a_backend_that_fails_in_the_middle_keeps_what_was_received(journal: Journal) -> None:
    requests = [judge(f"i{number}", f"Question {number}?") for number in range(4)]

    def breaks_at_the_third(request: Request) -> str:
        if request.owner[0] == "i2":
            raise BackendError("unreachable")
        return GOOD

    received, error = until_it_fails(
        ask(requests, Scripted(breaks_at_the_third), journal, parse=parser_of, max_reasks=2)
    )
    assert str(error) == "unreachable"
    assert [answer.request.owner[0] for answer in received] == ["i0", "i1"]
    second = Scripted(lambda request: GOOD)
    assert len(answers(second, journal, *requests)) == 4
    assert [call.owner[0] for call in second.calls] == ["i2", "i3"]


def test_hidden_reasoning_is_not_read(journal: Journal) -> None:
    wrong = json.dumps({**SCORES, "quality": 1})
    backend = Scripted(lambda request: f"<think>{GOOD} or {wrong}?</think>{GOOD}")
    assert answers(backend, journal, judge())[0].value == JUDGED
    unclosed = Scripted(lambda request: f"<think>{GOOD}")
    assert answers(unclosed, None, judge(), max_reasks=0)[0].state == "unparsable"


def test_free_text_must_not_be_empty() -> None:
    free = judge(reply=None)
    assert answers(Scripted(lambda request: " Croup.\n"), None, free)[0].value == "Croup."
    assert answers(Scripted(lambda request: " \n"), None, free)[0].state == "unparsable"


def test_a_long_journal_is_read_in_bounded_memory(journal: Journal) -> None:
    def requests() -> Iterator[Request]:
        for number in range(3 * READ_AHEAD):
            taken.append(number)
            yield judge(f"i{number}")

    taken: list[int] = []
    answers(Scripted(lambda request: GOOD), journal, judge())
    stream = ask(requests(), Scripted(never), journal, parse=parser_of, max_reasks=0)
    next(stream)
    assert len(taken) <= READ_AHEAD
    assert sum(1 for _ in stream) == 3 * READ_AHEAD - 1


# --- OpenAIChat over a real server -----------------------------------------------------------------------------------

KEY = "sk-very-secret-0123456789"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("FINEMED_TEST_KEY", KEY)
    running = Server()
    yield running
    running.stop()


@pytest.fixture
def connect(server: Server, caplog: pytest.LogCaptureFixture) -> Iterator[Callable[..., OpenAIChat]]:
    """Opens backends on the server; afterwards closes them and looks for threads and complaints left behind."""
    opened: list[OpenAIChat] = []

    def make(**settings: Any) -> OpenAIChat:
        chosen = {"base_url": server.url, "api_key_env": "FINEMED_TEST_KEY", "max_retries": 2}
        chosen |= {"retry_wait_s": 0.01, "patience_s": 1.0, "structured": "off"} | settings
        opened.append(OpenAIChat(OpenAIBackend(type="openai", model="m", **chosen)))
        return opened[-1]

    yield make
    for backend in opened:
        backend.close()
    assert [thread.name for thread in threading.enumerate() if thread.name == "finemed-calls"] == []
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


Connect = Callable[..., OpenAIChat]


def refused_with(backend: OpenAIChat, *requests: Request) -> str:
    with pytest.raises(BackendError) as caught:
        list(backend.complete(requests or [judge()]))
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return str(caught.value)


def test_what_is_sent_and_what_comes_back(server: Server, connect: Connect) -> None:
    (completion,) = connect(extra_body={"top_k": 5}).complete([judge()])
    (call,) = server.calls
    assert (call.path, call.authorization) == ("/v1/chat/completions", f"Bearer {KEY}")
    assert call.body == {
        "model": "m",
        "messages": judge().messages(),
        "temperature": 0.8,
        "top_p": 1.0,
        "max_tokens": 100,
        "top_k": 5,
    }
    assert completion == Completion(judge(), GOOD, "stop", usage={"prompt_tokens": 11, "completion_tokens": 3})


def test_as_many_calls_are_in_flight_as_allowed_and_no_more(server: Server, connect: Connect) -> None:
    def slow(call: Call) -> Reply:
        time.sleep(0.05)
        return chat()

    server.answer = slow
    requests = [judge(f"i{number}", f"Question {number}?") for number in range(24)]
    completions = list(connect(concurrency=4).complete(requests))
    assert sorted(completion.request.owner for completion in completions) == sorted(r.owner for r in requests)
    assert server.peak == 4


def test_requests_are_taken_only_as_fast_as_they_are_sent(server: Server, connect: Connect) -> None:
    taken: list[int] = []

    def requests() -> Iterator[Request]:
        for number in range(50):
            taken.append(number)
            yield judge(f"i{number}", f"Question {number}?")

    stream = connect(concurrency=3).complete(requests())
    next(stream)
    assert len(taken) == 3
    assert sum(1 for _ in stream) == 49


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_passing_failure_is_tried_again(server: Server, connect: Connect, status: int) -> None:
    server.answer = lambda call: failure(status) if len(server.calls) == 1 else chat()
    (completion,) = connect().complete([judge()])
    assert (completion.text, len(server.calls)) == (GOOD, 2)


@pytest.mark.parametrize(("status", "next_step"), [(429, "lower `concurrency` or wait"), (500, "when it is reachable")])
def test_a_lasting_failure_ends_the_stage(server: Server, connect: Connect, status: int, next_step: str) -> None:
    server.answer = lambda call: failure(status, f"quota of {KEY} used up")
    told = refused_with(connect())
    assert next_step in told
    assert "nothing received is lost" in told
    if status == 500:
        assert len(server.calls) == 3
        assert "tried 3 times" in told
    else:  # waited out for as long as `patience_s` says
        assert 3 < len(server.calls) < 40
    assert KEY not in told


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_names_the_variable_and_not_the_key(server: Server, connect: Connect, status: int) -> None:
    server.answer = lambda call: failure(status, f"Incorrect API key provided: {KEY}")
    told = refused_with(connect())
    assert "FINEMED_TEST_KEY" in told
    assert KEY not in told
    assert len(server.calls) == 1


def test_a_server_that_wants_a_key_where_none_is_set(server: Server, connect: Connect) -> None:
    server.answer = lambda call: failure(401)
    told = refused_with(connect(api_key_env=None))
    assert "`api_key_env`" in told
    assert "None" not in told


def test_a_model_that_is_not_served(server: Server, connect: Connect) -> None:
    server.answer = lambda call: failure(404)
    assert "does not serve model `m`" in refused_with(connect())


def test_secrets_in_the_address_are_not_told(server: Server, connect: Connect) -> None:
    server.answer = lambda call: failure(401)
    told = refused_with(connect(base_url=server.url.replace("//", "//ann:hunter2@") + "?token=hunter3"))
    assert "hunter" not in told
    assert "127.0.0.1" in told


def test_nobody_there(connect: Connect) -> None:
    told = refused_with(connect(base_url="http://127.0.0.1:9/v1", max_retries=0))
    assert "http://127.0.0.1:9" in told
    assert "run the same command again" in told


@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_key_is_found_before_any_call(
    server: Server, connect: Connect, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("FINEMED_TEST_KEY")
    if value is not None:
        monkeypatch.setenv("FINEMED_TEST_KEY", value)
    told = refused_with(connect())
    assert "environment variable FINEMED_TEST_KEY is not set" in told
    assert "`api_key_env: null`" in told
    assert server.calls == []


@pytest.mark.parametrize("broken", [Reply({"id": "c", "object": "chat.completion", "choices": []}), Reply("<html>")])
def test_a_reply_that_is_none_is_tried_again(server: Server, connect: Connect, broken: Reply) -> None:
    replies = iter([broken, broken, chat()])
    server.answer = lambda call: next(replies)
    (completion,) = connect(retry_wait_s=0.001).complete([judge()])
    assert (completion.finish, completion.text) == ("stop", GOOD)
    server.answer = lambda call: broken
    with pytest.raises(BackendError, match="does not speak the chat protocol"):
        list(connect(retry_wait_s=0.001).complete([judge()]))


def test_a_bad_request_costs_its_own_row_only(server: Server, connect: Connect) -> None:
    server.answer = lambda call: failure(400, f"too long, {KEY}") if "Question 1?" in call.question else chat()
    requests = [judge(f"i{number}", f"Question {number}?") for number in range(3)]
    finishes = {c.request.owner[0]: (c.finish, c.detail) for c in connect().complete(requests)}
    assert finishes["i0"] == finishes["i2"] == ("stop", "")
    assert finishes["i1"][0] == "error"
    assert finishes["i1"][1] == "HTTP 400, code c: too long,"  # less the words that may differ from call to call
    assert KEY not in finishes["i1"][1]
    assert len(server.calls) == 3


@pytest.mark.parametrize(
    ("reply", "finish", "detail"),
    [
        (chat("Cut o", "length"), "length", ""),
        (chat(None, refusal="I cannot help."), "refused", "I cannot help."),
        (chat("", "content_filter"), "refused", "stopped by the content filter"),
        (chat(None), "stop", ""),
        (Reply({**chat().body, "usage": None}), "stop", ""),
    ],
)
def test_how_a_reply_ended(server: Server, connect: Connect, reply: Reply, finish: str, detail: str) -> None:
    server.answer = lambda call: reply
    (completion,) = connect().complete([judge()])
    assert (completion.finish, completion.detail) == (finish, detail)


def test_states_through_ask_and_the_journal(server: Server, connect: Connect, journal: Journal) -> None:
    replies = {"0": chat(), "1": chat("Cut o", "length"), "2": chat(None, refusal="No."), "3": failure(400)}
    server.answer = lambda call: next(reply for n, reply in replies.items() if f"Question {n}?" in call.question)
    requests = [judge(f"i{number}", f"Question {number}?") for number in range(4)]
    backend = connect()
    for asked in (4, 5):  # the refused request cost nothing and is asked again, the others are stored
        found = {a.request.owner[0]: a.state for a in ask(requests, backend, journal, parse=parser_of, max_reasks=2)}
        assert found == {"i0": "parsed", "i1": "truncated", "i2": "refused", "i3": "error"}
        assert len(server.calls) == asked


def test_marked_reasoning_is_stripped_and_separate_reasoning_kept(
    server: Server, connect: Connect, journal: Journal
) -> None:
    server.answer = lambda call: chat("<think>Cough. Croup?</think>\n\nCroup.", reasoning_content="hidden")
    backend = connect(model_family="qwen")
    (answer,) = ask([judge(reply=None)], backend, journal, parse=parser_of, max_reasks=0)
    assert answer.value == "Croup."
    stored = journal.get(judge(reply=None).key(backend.identity()))
    assert stored is not None
    assert (stored["text"], stored["reasoning"]) == ("<think>Cough. Croup?</think>\n\nCroup.", "hidden")


def test_the_schema_is_sent_only_where_it_is_asked_for(server: Server, connect: Connect) -> None:
    list(connect().complete([judge()]))
    enforcing = connect(structured="on")
    list(enforcing.complete([judge()]))
    list(enforcing.complete([judge(reply=None)]))
    assert ["response_format" in call.body for call in server.calls] == [False, True, False]
    sent = server.calls[1].body["response_format"]
    assert sent["type"] == "json_schema"
    assert (sent["json_schema"]["name"], sent["json_schema"]["strict"]) == ("judge", True)
    assert set(sent["json_schema"]["schema"]["properties"]) == set(JudgementReply.model_fields)


def test_what_is_in_flight_when_a_call_fails_for_good_is_handed_on(server: Server, connect: Connect) -> None:
    failed = threading.Event()

    def slow_or_refused(call: Call) -> Reply:
        if "Question 0?" in call.question:
            failed.set()
            return failure(401)
        failed.wait(10)
        return chat()

    server.answer = slow_or_refused
    received, _ = until_it_fails(connect(concurrency=3).complete(judge(f"i{n}", f"Question {n}?") for n in range(9)))
    assert {"i1", "i2"} <= {completion.request.owner[0] for completion in received}


def test_identity_leaves_out_where_and_how_fast() -> None:
    here = OpenAIChat(OpenAIBackend(type="openai", model="m", base_url="http://a/v1", concurrency=2, api_key_env=None))
    there = OpenAIChat(OpenAIBackend(type="openai", model="m"))
    assert here.identity() == there.identity()
    assert OpenAIChat(OpenAIBackend(type="openai", model="n")).identity() != there.identity()
    assert (there.name, there.free, there.extractive) == ("openai:m", False, False)


@pytest.mark.parametrize("failing", [False, True])
def test_close_leaves_nothing_open(server: Server, connect: Connect, failing: bool) -> None:
    if failing:
        server.answer = lambda call: failure(401)
    backend = connect()
    if failing:
        refused_with(backend)
    else:
        list(backend.complete([judge()]))
    backend.close()
    backend.close()
    connect().close()
    del backend
    gc.collect()  # an unclosed socket or loop would warn here, and a warning is an error


def test_close_with_calls_in_flight(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    release = threading.Event()

    def all_but_one_hang(call: Call) -> Reply:
        if "Question 0?" not in call.question:
            release.wait(10)
        return chat()

    server.answer = all_but_one_hang
    backend = OpenAIChat(OpenAIBackend(type="openai", model="m", base_url=server.url, api_key_env=None, concurrency=3))
    stream = backend.complete(judge(f"i{n}", f"Question {n}?") for n in range(9))
    assert next(stream).request.owner[0] == "i0"
    backend.close()
    del stream, backend
    gc.collect()  # a call that was dropped unfinished would log "Task was destroyed" here
    release.set()
    assert caplog.messages == []


def test_a_closed_backend_opens_again(server: Server, connect: Connect) -> None:
    backend = connect()
    for _ in range(2):
        assert [completion.finish for completion in backend.complete([judge()])] == ["stop"]
        backend.close()


# --- prompts ---------------------------------------------------------------------------------------------------------

INPUTS: dict[str, Any] = {
    "title": "Croup",
    "text": "Croup is a viral infection.",
    "outline": "Internal Medicine\n- Pulmonology",
    "department": "Pediatrics",
    "subdepartment": "none",
    "task_types": ("mechanism", "treatment"),
    "instruction": "What causes croup?",
    "response": "A virus.",
    "style": "concise",
    "difficulty": "advanced",
    "language": "en",
    "given": False,
}


def needed(name: str) -> set[str]:
    """The inputs that a template reads."""
    source = Path(finemed.prompts.__file__).with_name(f"{name}.jinja").read_text("utf-8")
    return jinja2.meta.find_undeclared_variables(jinja2.Environment(autoescape=True).parse(source))


STAGE_PROMPTS = [name for name in prompt_names() if name != "probe"]


@pytest.mark.parametrize("name", STAGE_PROMPTS)
def test_every_template_renders_with_a_version(name: str) -> None:
    prompt = load_prompt(name)
    system, user = prompt.render({key: INPUTS[key] for key in needed(name)})
    assert prompt.version >= 1
    assert prompt.label == f"{name}@{prompt.version}"
    assert (system["role"], user["role"]) == ("system", "user")
    assert system["content"]
    assert INPUTS["text"] in user["content"]
    for content in (system["content"], user["content"]):
        assert "{%" not in content
        assert "{{" not in content
        assert "\n\n\n" not in content


@pytest.mark.parametrize(("name", "missing"), [(name, key) for name in prompt_names() for key in sorted(needed(name))])
def test_a_missing_input_is_an_error(name: str, missing: str) -> None:
    inputs = {key: INPUTS[key] for key in needed(name) - {missing}}
    with pytest.raises(jinja2.UndefinedError, match=missing):
        load_prompt(name).render(inputs)


@pytest.mark.parametrize("hostile", ["{{ 7*7 }}", "{% raw %}", "{# no #}", "<b>&amp;</b>", "{{ text }}", "{%"])
@pytest.mark.parametrize("name", STAGE_PROMPTS)
def test_text_of_the_corpus_is_never_read_as_a_template(name: str, hostile: str) -> None:
    free = needed(name) - {"style", "task_types", "difficulty", "given"}
    inputs = {key: f"[{key} {hostile}]" if key in free else INPUTS[key] for key in needed(name)}
    told = load_prompt(name).render(inputs)[1]["content"]
    for key in free:
        assert inputs[key] in told
    assert "49" not in told


def test_optional_parts_of_the_prompts() -> None:
    concise = load_prompt("respond").render({**INPUTS, "style": "concise"})[1]["content"]
    explanatory = load_prompt("respond").render({**INPUTS, "style": "explanatory"})[1]["content"]
    assert ("Style: direct" in concise, "Style: explanatory" in concise) == (True, False)
    assert ("Style: direct" in explanatory, "Style: explanatory" in explanatory) == (False, True)
    generate = load_prompt("generate")
    assert "belongs to: Pediatrics. Ask" in generate.render(INPUTS)[1]["content"]
    assert (
        "belongs to: Pediatrics, Neonatology. Ask"
        in (generate.render({**INPUTS, "subdepartment": "Neonatology"})[1]["content"])
    )
    assert generate.render({**INPUTS, "title": None})[1]["content"].startswith("<text>\nCroup is a viral infection.")
    assert generate.render(INPUTS)[1]["content"].startswith("<text>\nCroup\n\nCroup is a viral infection.")
