"""Schemas are sent only to servers that are seen to enforce them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
from calls import Connect, Serve, answers, judge
from faults import Asked, Sent, completion, judgement, refusal
from hypothesis import given, settings
from hypothesis import strategies as st

from finemed.errors import BudgetError
from finemed.llm.accounting import Budget, most_tokens
from finemed.llm.ask import ask, parser_of
from finemed.llm.base import Completion, Sampling
from finemed.llm.probe import ProbeReply, enforces_schema, portable_schema, portable_schema_of, probe_request
from finemed.models import profile_for
from finemed.records import AnswerJudgementReply, ClassificationReply, JudgementReply, QuestionsReply
from finemed.store.journal import Journal

REPLIES = (ClassificationReply, QuestionsReply, JudgementReply, AnswerJudgementReply, ProbeReply)
FRUIT = '{"word": "apple", "code": "k3-17", "certainty": 7, "certain": true}'


def is_probe(asked: Asked) -> bool:
    return "Name a fruit" in asked.content


def has_schema(asked: Asked) -> bool:
    return "response_format" in asked.body


def enforcing(asked: Asked) -> Sent:
    if is_probe(asked):
        return completion(FRUIT if has_schema(asked) else "Apple.")
    return completion(judgement(asked.content) if has_schema(asked) else f"Sure! {judgement(asked.content)}")


def ignoring(asked: Asked) -> Sent:
    return completion("Apple." if is_probe(asked) else judgement(asked.content))


def refusing(asked: Asked) -> Sent:
    return refusal(400, "response_format is not supported") if has_schema(asked) else ignoring(asked)


def reasoning(asked: Asked) -> Sent:
    sent = enforcing(asked)
    text = sent.body["choices"][0]["message"]["content"]
    return completion(f'<think>They want a fruit: {{"word": "pear"}}</think>{text}')


KINDS = {"enforces": enforcing, "ignores": ignoring, "refuses": refusing, "reasons": reasoning}


@pytest.mark.parametrize(
    ("structured", "kind", "probes", "sent", "said"),
    [
        ("auto", "enforces", 1, True, ""),
        ("auto", "reasons", 1, True, ""),
        ("auto", "ignores", 1, False, "accepts and ignores reply schemas, so they are not sent"),
        ("auto", "refuses", 1, False, "refuses reply schemas, so they are not sent"),
        ("on", "enforces", 1, True, ""),
        ("on", "ignores", 1, True, "accepts and ignores reply schemas, so they are sent all the same"),
        ("off", "enforces", 0, False, ""),
        ("off", "refuses", 0, False, ""),
    ],
)
def test_who_gets_a_schema(
    serve: Serve, connect: Connect, journal: Journal, structured: str, kind: str, probes: int, sent: bool, said: str
) -> None:
    server = serve(good=KINDS[kind])
    backend = connect(server, structured=structured)
    found = answers(backend, journal, *map(judge, range(3)))
    assert {answer.state for answer in found.values()} == {"parsed"}
    calls = [call for call in server.calls if not is_probe(call)]
    assert len(server.calls) - len(calls) == probes
    assert [has_schema(call) for call in calls] == [sent] * 3
    assert [said in line for line in backend.said] == ([True] if said else [])


def test_a_refused_schema_that_is_wanted_ends_the_rows(serve: Serve, connect: Connect, journal: Journal) -> None:
    backend = connect(serve(good=refusing), structured="on")
    (answer,) = answers(backend, journal, judge(1)).values()
    assert (answer.state, answer.detail) == ("error", "HTTP 400, code none: response_format is not supported")


@pytest.mark.parametrize("kind", ["enforces", "ignores"])
def test_the_reply_to_the_probe_is_stored(serve: Serve, connect: Connect, journal: Journal, kind: str) -> None:
    server = serve(good=KINDS[kind])
    answers(connect(server, structured="auto"), journal, judge(1))
    answers(connect(server, structured="auto"), journal, judge(1))
    assert len(server.calls) == 2  # everything is stored, so there is no call at all
    answers(connect(server, structured="auto"), journal, judge(2))
    assert [is_probe(call) for call in server.calls] == [True, False, False]
    assert has_schema(server.calls[2]) == (kind == "enforces")


def test_a_server_at_another_address_is_probed_anew(serve: Serve, connect: Connect, journal: Journal) -> None:
    first, second = serve(good=enforcing), serve(good=ignoring)
    answers(connect(first, structured="auto"), journal, judge(1))
    answers(connect(second, structured="auto"), journal, judge(2))
    assert [has_schema(call) for call in second.calls if not is_probe(call)] == [False]


def test_free_text_needs_no_probe(serve: Serve, connect: Connect, journal: Journal) -> None:
    server = serve()
    answers(connect(server, structured="auto"), journal, judge(1, reply=None))
    assert [is_probe(call) for call in server.calls] == [False]


def test_each_server_of_a_pool_is_probed(serve: Serve, connect: Connect, journal: Journal) -> None:
    servers = [serve(good=enforcing, latency_s=0.01), serve(good=ignoring, latency_s=0.01)]
    backend = connect(*servers, structured="auto", concurrency=8)
    found = answers(backend, journal, *map(judge, range(60)))
    assert {answer.state for answer in found.values()} == {"parsed"}
    for server, wanted in zip(servers, (True, False), strict=True):
        calls = [call for call in server.calls if not is_probe(call)]
        assert len(server.calls) == len(calls) + 1
        assert {has_schema(call) for call in calls} == {wanted}
    assert len(backend.said) == 1
    assert servers[1].url.removesuffix("/v1") in backend.said[0]


def test_a_server_that_is_down_is_probed_when_it_answers(serve: Serve, connect: Connect, journal: Journal) -> None:
    down, steady = serve(good=enforcing, latency_s=0.01), serve(good=enforcing, latency_s=0.01)
    down.shut()
    backend = connect(down, steady, structured="auto", concurrency=8)
    stream = ask(map(judge, range(900)), backend, journal, parse=parser_of, max_reasks=2)
    states = {next(stream).state for _ in range(50)}
    assert not down.calls
    down.open()
    states |= {answer.state for answer in stream}
    assert states == {"parsed"}
    calls = [call for call in down.calls if not is_probe(call)]
    assert len(down.calls) == len(calls) + 1
    assert len(calls) > 50
    assert has_schema(calls[-1])
    assert not has_schema(calls[0])  # the call that found out that it is back


@pytest.mark.parametrize("larger", ["request", "probe"])
def test_the_probe_is_held_to_the_budget(serve: Serve, connect: Connect, journal: Journal, larger: str) -> None:
    server = serve(good=enforcing)
    probe = probe_request("http://a/v1", 0)
    request = judge(1) if larger == "request" else replace(probe, sampling=Sampling(0.0, 1.0, 16))
    assert (sum(most_tokens(request)) > sum(most_tokens(probe))) == (larger == "request")
    budget = Budget(max_tokens=sum(most_tokens(probe)) - 1)
    stream = ask([request], connect(server, structured="auto"), journal, parse=parser_of, max_reasks=0, budget=budget)
    with pytest.raises(BudgetError, match="the budget does not hold the next call"):
        list(stream)
    assert server.calls == []


# --- what the probe's reply shows ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "finish", "shown"),
    [
        (FRUIT, "stop", True),
        (f"<think>k3-17?</think>{FRUIT}", "stop", True),
        ("Apple", "stop", False),
        ('{"fruit": "apple"}', "stop", False),
        (FRUIT.replace("k3-17", "k3-18"), "stop", False),
        (FRUIT, "length", False),
        ("", "refused", False),
    ],
)
def test_only_the_fixed_value_shows_that_a_schema_is_enforced(text: str, finish: Any, shown: bool) -> None:
    probe = probe_request("http://a/v1", 0)
    assert enforces_schema(Completion(probe, text, finish), profile_for(None)) == shown


def test_the_probe_tells_nothing_of_its_schema() -> None:
    words = json.dumps(probe_request("http://a/v1", 0).messages())
    assert "k3" not in words
    assert "certain" not in words


# --- portable schemas ------------------------------------------------------------------------------------------------

STRICT = {"type", "enum", "const", "minimum", "maximum", "anyOf", "items", "$ref", "$defs"}
STRICT |= {"properties", "required", "additionalProperties"}


def refused_by_strict_mode(schema: dict[str, Any]) -> list[str]:
    """What OpenAI's strict mode would refuse: its rules as documented, over the whole schema."""
    faults = sorted(set(schema) - STRICT)
    if schema.get("type") == "object":
        if schema.get("additionalProperties") is not False:
            faults.append("additionalProperties")
        if schema.get("required") != list(schema.get("properties", {})):
            faults.append("required")
    parts = [*schema.get("properties", {}).values(), *schema.get("$defs", {}).values(), *schema.get("anyOf", [])]
    parts += [schema["items"]] if "items" in schema else []
    return faults + [fault for part in parts for fault in refused_by_strict_mode(part)]


@pytest.mark.parametrize("reply", REPLIES)
def test_reply_schemas_are_portable(reply: type[Any]) -> None:
    schema = portable_schema_of(reply)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["type"] == "object"
    assert refused_by_strict_mode(schema) == []
    assert list(schema["properties"]) == list(reply.model_fields)
    assert refused_by_strict_mode(reply.model_json_schema()) != []


def test_the_probe_uses_every_keyword_that_the_replies_use() -> None:
    def keywords(schema: dict[str, Any]) -> set[tuple[str, str]]:
        own = {(str(schema.get("type")), key) for key in schema}
        return own.union(*(keywords(part) for part in schema.get("properties", {}).values()))

    numbers = {("number", key) for key in ("type", "minimum", "maximum")}
    used = set().union(*(keywords(portable_schema_of(reply)) for reply in REPLIES)) - numbers
    assert used == keywords(portable_schema_of(ProbeReply))


def test_a_portable_schema_takes_the_replies_that_the_model_takes() -> None:
    check = jsonschema.Draft202012Validator(portable_schema_of(JudgementReply))
    good = json.loads(judgement("Question 1?"))
    assert check.is_valid(good)
    for wrong in ({**good, "quality": 11}, {**good, "more": 1}, {k: v for k, v in good.items() if k != "quality"}):
        assert not check.is_valid(wrong)


def test_nested_schemas_become_portable() -> None:
    schema = {
        "title": "T",
        "type": "object",
        "$defs": {"A": {"type": "object", "title": "A", "properties": {"title": {"type": "string", "minLength": 1}}}},
        "properties": {
            "list": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/A"}},
            "either": {"anyOf": [{"type": "string", "pattern": "a"}, {"type": "null"}], "default": None},
        },
    }
    assert refused_by_strict_mode(portable_schema(schema)) == []
    assert list(portable_schema(schema)["$defs"]["A"]["properties"]) == ["title"]


@settings(max_examples=50, deadline=None)
@given(
    st.recursive(st.none() | st.integers() | st.text(), lambda part: st.lists(part) | st.dictionaries(st.text(), part))
)
def test_no_schema_breaks_the_portable_form(value: Any) -> None:
    portable_schema({"type": "object", "properties": {"a": {"enum": [value]}}})
