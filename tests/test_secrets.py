"""A key is found nowhere but in the header that carries it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from calls import Connect, Serve, answers, ends_with, judge
from faults import Asked, Sent, completion, judgement, refusal
from hypothesis import given, settings
from hypothesis import strategies as st

from finemed.errors import BackendError
from finemed.llm.base import Completion, Request
from finemed.llm.chat import Secrets, host_of, read_key, read_reply
from finemed.llm.failures import Failure, failure_of_reply, status_in_body
from finemed.records import JudgementReply
from finemed.store.journal import Journal

KEY = "sk-planted/9f3c+1e77=aa"
PASSWORD = "p4ss-w0rd%21"


def everything_stored(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def echoing(asked: Asked) -> Sent:
    """Says the key and the password wherever a server can say something."""
    said = f"{asked.headers['authorization']} {KEY} p4ss-w0rd! {PASSWORD}"
    good = json.loads(judgement(asked.content))
    escaped = json.dumps({**good, "rationale": said}).replace("/", "\\/").replace("+", "\\u002B")
    return {
        "Question 0?": completion(escaped, reasoning_content=said),
        "Question 1?": completion(None, refusal=said),
        "Question 2?": completion(said, "length"),
        "Question 3?": completion(said),
        "Question 4?": refusal(400, said, code=KEY),
        "Question 5?": refusal(500, said.replace("9", "n")) if asked.nth < 9 else refusal(500, said),
        "Question 6?": Sent(said, 400),
        "Question 7?": Sent({"detail": said, "object": "error"}, 422),
        "Question 8?": Sent({"error": said}, 413),
    }.get(asked.content.removesuffix(" (asked again)"), completion(judgement(asked.content)))


def test_a_server_that_echoes_secrets_gets_them_nowhere(
    serve: Serve, connect: Connect, journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANTED_KEY", KEY)
    server = serve(good=echoing, latency_s=0.005)
    address = server.url.replace("//", f"//ann:{PASSWORD}@") + f"?api_key={KEY}"
    backend = connect(base_url=address, api_key_env="PLANTED_KEY", concurrency=4)
    found = answers(backend, journal, *map(judge, range(60)))
    states = {number: found[str(number)].state for number in range(9)}
    assert states == dict(enumerate(["parsed", "refused", "truncated", "unparsable", *["error"] * 5]))
    assert "[key]" in found["0"].value.rationale
    assert "[key]" in found["1"].detail
    told = repr(found) + repr(backend.said) + repr(backend.identity()) + backend.name
    for secret in (KEY, PASSWORD, "p4ss-w0rd!", "planted/", "planted\\", "77=aa"):
        assert secret not in told
        assert secret.encode() not in everything_stored(tmp_path)
    assert server.calls[0].headers["authorization"].startswith("Basic ")  # the address's user goes before the key


@pytest.mark.parametrize("fault", ["401", "402", "403", "404", "500", "quota"])
def test_no_error_that_stops_the_stage_tells_a_secret(
    serve: Serve, connect: Connect, journal: Journal, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setenv("PLANTED_KEY", KEY)
    status, code = (429, "insufficient_quota") if fault == "quota" else (int(fault), KEY)
    server = serve(good=lambda asked: refusal(status, f"no: {KEY} {PASSWORD}", code), models=False)
    address = server.url.replace("//", f"//ann:{PASSWORD}@")
    backend = connect(base_url=address, api_key_env="PLANTED_KEY")
    told = ends_with(backend, journal, judge(1))
    assert "127.0.0.1" in told
    assert not [secret for secret in (KEY, PASSWORD, "p4ss", "ann") if secret in told + repr(backend.said)]


@pytest.mark.parametrize("key", ["sk-1\nsk-2", "sk-\u201cquoted\u201d", "sk-\x00"])
def test_a_key_that_no_header_can_hold_is_refused_without_being_told(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setattr("os.environ", {"PLANTED_KEY": key})
    with pytest.raises(BackendError, match="PLANTED_KEY holds more than a key") as caught:
        read_key("PLANTED_KEY")
    assert "sk-" not in str(caught.value)


@pytest.mark.parametrize("key", ["EMPTY", "none", "ollama", "token", "metformin"])
def test_a_key_that_is_a_word_is_left_in_replies_and_taken_out_of_messages(key: str) -> None:
    secrets = Secrets([key], [])
    assert secrets.taken_out_of(f"The word {key} stays.") == f"The word {key} stays."
    assert key not in secrets.hidden_in(f"refused {key}")


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("https://ann:pw@example.org/v1?token=abc", "https://example.org"),
        ("http://localhost:8000/v1", "http://localhost:8000"),
        ("http://[::1]:8000/v1", "http://[::1]:8000"),
    ],
)
def test_addresses_are_shown_without_secrets(address: str, host: str) -> None:
    assert host_of(address) == host


# --- hostile replies -------------------------------------------------------------------------------------------------

JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=8), part, max_size=4),
    max_leaves=12,
)
MESSAGE = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("content", "refusal", "reasoning", "reasoning_content", "role"), JSON)
)
CHOICE = st.fixed_dictionaries({}, optional={"message": MESSAGE | JSON, "finish_reason": JSON | st.just("length")})
REPLY = st.fixed_dictionaries({}, optional={"choices": st.lists(CHOICE | JSON, max_size=2) | JSON, "usage": JSON})


def some_request() -> Request:
    return judge(1, reply=JudgementReply)


@settings(max_examples=300, deadline=None)
@given(REPLY | JSON)
def test_no_reply_breaks_the_client(reply: Any) -> None:
    read = read_reply(some_request(), reply, Secrets([KEY], []))
    assert isinstance(read, Failure | Completion)
    if isinstance(read, Completion):
        assert json.loads(json.dumps(read.stored())) == read.stored()
        assert all(isinstance(count, int) and count >= 0 for count in read.usage.values())


@settings(max_examples=200, deadline=None)
@given(st.integers(300, 599), JSON | st.fixed_dictionaries({"error": JSON}))
def test_no_error_breaks_the_client(status: int, body: Any) -> None:
    failure = failure_of_reply(status, {}, body)
    assert failure.status == status
    assert len(failure.fact) < 260
    assert status_in_body(body) in (None, *range(400, 600))


@pytest.mark.parametrize(
    "content", [None, "", [{"type": "text", "text": "Cro"}, {"text": "up."}, "x", {}], {"a": 1}, 7]
)
def test_contents_of_other_kinds_are_read_as_text(content: Any) -> None:
    read = read_reply(some_request(), {"choices": [{"message": {"content": content}}]}, Secrets([], []))
    assert isinstance(read, Completion)
    assert read.text == ("Croup." if isinstance(content, list) else "")


@pytest.mark.parametrize(
    ("ended", "finish"),
    [
        *(("stop", "stop"), (None, "stop"), ("eos", "stop"), ("tool_calls", "stop")),
        *(("length", "length"), ("max_tokens", "length"), ("content_filter", "refused")),
    ],
)
def test_how_replies_end(ended: Any, finish: str) -> None:
    choice = {"message": {"content": "Croup."}, "finish_reason": ended}
    read = read_reply(some_request(), {"choices": [choice]}, Secrets([], []))
    assert isinstance(read, Completion)
    assert read.finish == finish
