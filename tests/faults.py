"""A loopback server that speaks the OpenAI chat protocol and injects faults, as a plan says for each call.

::

    with FaultServer(lambda call: "500" if call.nth == 1 else "") as server:     # every request fails once
        ...
        server.asked["Question 3?"]  ->  2

It runs on an event loop in a thread of its own and writes raw HTTP/1.1, so that it can break off anywhere. A reply
without a fault is a judgement that follows from the request's content alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import hashlib
import json
import random
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

RESET = "reset"
STALL_S = 30.0


@dataclass
class Asked:
    """One call as it came in."""

    content: str
    """What tells requests apart: the question between the marks of the prompt."""
    nth: int
    """How often this content has been asked, this time included."""
    at: float
    headers: dict[str, str]
    body: dict[str, Any]
    raw: bytes = field(repr=False)


@dataclass
class Sent:
    """What goes out: a status and a body; or only the first bytes of them, and then a break."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    part: float = 1.0
    """Share of the body that is sent before the connection ends."""
    ends: str = ""
    """How it ends: "reset", "close", "stall"; empty leaves it open."""
    byte_s: float = 0.0
    """Wait between two pieces of the body."""

    def bytes(self) -> tuple[bytes, bytes]:
        """Head and body; text goes out as it is, everything else as JSON."""
        body = self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()
        headers = {"content-type": "application/json", **self.headers, "content-length": str(len(body))}
        lines = [f"HTTP/1.1 {self.status} Status", *(f"{name}: {value}" for name, value in headers.items())]
        return ("\r\n".join(lines) + "\r\n\r\n").encode(), body


def completion(content: str | None, finish: str | None = "stop", **message: Any) -> Sent:
    """A chat completion."""
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content, **message}}
    usage = {"prompt_tokens": 200, "completion_tokens": 40, "total_tokens": 240}
    return Sent(
        {"id": "c", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}
    )


def judgement(content: str) -> str:
    """A judgement that follows from the content."""
    score = int(hashlib.sha256(content.encode()).hexdigest()[:8], 16)
    return json.dumps(
        {
            "rationale": f"As asked of {content[:60]}",
            "quality": 1 + score % 10,
            "difficulty": 1 + score // 10 % 10,
            "relevance_to_medicine": 1 + score // 100 % 6,
            "mention_specific_details": score // 600 % 2 == 0,
        }
    )


def refusal(status: int, message: str = "not now", code: str | None = None, **headers: str) -> Sent:
    """An error as OpenAI words it."""
    error = {"message": message, "type": "some_error", "param": None, "code": code}
    return Sent({"error": error}, status, {name.replace("_", "-"): value for name, value in headers.items()})


HTML = "<!doctype html><html><body><h1>Bad gateway</h1></body></html>"

FAULTS: dict[str, Callable[[Asked], Sent]] = {
    "429": lambda asked: refusal(429),
    "429 with seconds": lambda asked: refusal(429, retry_after="1"),
    "429 with milliseconds": lambda asked: refusal(429, retry_after_ms="40"),
    "429 with a date": lambda asked: refusal(429, retry_after=email.utils.formatdate(time.time() + 1, usegmt=True)),
    "500": lambda asked: refusal(500, "internal error"),
    "502": lambda asked: Sent(HTML, 502, {"content-type": "text/html"}),
    "503": lambda asked: refusal(503, "overloaded"),
    "503 with seconds": lambda asked: refusal(503, "overloaded", retry_after="1"),
    "reset": lambda asked: Sent(part=0, ends=RESET),
    "reset in the body": lambda asked: Sent(completion(judgement(asked.content)).body, part=0.5, ends=RESET),
    "half a body": lambda asked: Sent(completion(judgement(asked.content)).body, part=0.5, ends="close"),
    "stall": lambda asked: Sent(part=0, ends="stall"),
    "stall in the body": lambda asked: Sent(completion(judgement(asked.content)).body, part=0.5, ends="stall"),
    "too slow": lambda asked: Sent(completion(judgement(asked.content)).body, byte_s=0.2),
    "no JSON": lambda asked: Sent("upstream said nothing"),
    "HTML": lambda asked: Sent(HTML, 200, {"content-type": "text/html"}),
    "no choices": lambda asked: Sent({"id": "c", "object": "chat.completion", "choices": []}),
    "choices of another kind": lambda asked: Sent({"choices": {"message": "hello"}}),
    "an error in a good reply": lambda asked: Sent({"error": {"message": "upstream", "code": 502}}),
    "broken off": lambda asked: completion('{"rationale": "Cl', "abort"),
    "cut off": lambda asked: completion(judgement(asked.content)[:40], "length"),
    "ignored schema": lambda asked: completion("I find this question very good indeed."),
    "refusal": lambda asked: completion(None, refusal="I cannot help with that."),
    "content filter": lambda asked: completion("", "content_filter"),
    "empty": lambda asked: completion(""),
    "400 too long": lambda asked: refusal(400, "maximum context length is 4096 tokens", "context_length_exceeded"),
    "400 content filter": lambda asked: refusal(400, "The prompt was filtered", "content_filter"),
    "413": lambda asked: refusal(413, "too large"),
    "422": lambda asked: refusal(422, "unprocessable"),
    "429 too large": lambda asked: refusal(429, "Request too large for m: limit 10000, requested 15000"),
    "301": lambda asked: Sent("", 301, {"location": "http://127.0.0.1:1/v2"}),
    "401": lambda asked: refusal(401, "Incorrect API key provided", "invalid_api_key"),
    "402": lambda asked: refusal(402, "Insufficient balance"),
    "403": lambda asked: refusal(403, "No access"),
    "403 of a firewall": lambda asked: Sent(HTML, 403, {"content-type": "text/html"}),
    "404": lambda asked: refusal(404, "The model `m` does not exist", "model_not_found"),
    "quota": lambda asked: refusal(429, "You exceeded your current quota", "insufficient_quota"),
}
PASSING = [
    *("429", "429 with seconds", "429 with milliseconds", "429 with a date", "500", "502", "503", "503 with seconds"),
    *("reset", "reset in the body", "half a body", "stall", "stall in the body", "too slow"),
    *("no JSON", "HTML", "no choices", "choices of another kind", "an error in a good reply", "broken off"),
]
"""Faults after which a call is tried again."""

Plan = Callable[[Asked], str]
_QUESTION = re.compile(r"<question>\n(.*?)\n</question>", re.DOTALL)


def content_of(body: dict[str, Any]) -> str:
    """The question of a judge's prompt, a re-ask marked; the whole last message of others."""
    last = str(body["messages"][-1]["content"])
    found = _QUESTION.search(last)
    again = " (asked again)" if "could not be used" in last else ""
    return (found.group(1) if found else last) + again


def seeded(share: float, names: Iterable[str], seed: int = 0, times: int = 1) -> Plan:
    """A share of the contents meets a fault, drawn from the content; their first `times` calls do."""
    choices = sorted(names)

    def plan(asked: Asked) -> str:
        chance = random.Random(f"{seed} {asked.content}")
        return chance.choice(choices) if chance.random() < share and asked.nth <= times else ""

    return plan


class FaultServer:
    """An endpoint on a port of this machine."""

    def __init__(
        self,
        plan: Plan = lambda asked: "",
        *,
        latency_s: float = 0.0,
        models: bool = True,
        good: Callable[[Asked], Sent] | None = None,
    ) -> None:
        self.plan = plan
        self.latency_s = latency_s
        self.models = models
        self.good = good or (lambda asked: completion(judgement(asked.content)))
        self.calls: list[Asked] = []
        self.asked: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.now = self.peak = 0
        self.on_call: Callable[[], object] | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-server", daemon=True)
        self._thread.start()
        self._port = 0
        self._server: asyncio.Server | None = None
        self.open()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    def open(self) -> None:
        """Listens; again on the same port after `shut`."""

        async def listen() -> asyncio.Server:
            return await asyncio.start_server(self._serve, "127.0.0.1", self._port, backlog=1024)

        self._server = asyncio.run_coroutine_threadsafe(listen(), self._loop).result(10)
        self._port = self._server.sockets[0].getsockname()[1]

    def shut(self) -> None:
        """Stops listening and resets every connection."""

        async def leave() -> None:
            assert self._server is not None
            self._server.close()
            for writer in tuple(self._writers):
                _reset(writer)
            await asyncio.sleep(0)

        asyncio.run_coroutine_threadsafe(leave(), self._loop).result(10)

    def stop(self) -> None:
        self.shut()

        async def end() -> None:
            left = asyncio.all_tasks() - {asyncio.current_task()}
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def __enter__(self) -> FaultServer:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    # --- one connection ----------------------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._writers.discard(writer)
            with contextlib.suppress(Exception):
                writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        raw = await reader.readexactly(int(headers.get("content-length", 0)))
        if head[0].startswith("GET "):
            return await _send(writer, Sent({"object": "list", "data": []}) if self.models else refusal(404))
        self.now += 1
        self.peak = max(self.peak, self.now)
        try:
            sent = self._answer(headers, raw)
            if self.latency_s:
                await asyncio.sleep(self.latency_s)
        finally:
            self.now -= 1
        return await _send(writer, sent)

    def _answer(self, headers: dict[str, str], raw: bytes) -> Sent:
        body = json.loads(raw)
        content = content_of(body)
        self.asked[content] += 1
        asked = Asked(content, self.asked[content], time.monotonic(), headers, body, raw)
        self.calls.append(asked)
        if self.on_call is not None:
            self.on_call()
        fault = self.plan(asked)
        if fault:
            self.faults[fault] += 1
        return FAULTS[fault](asked) if fault else self.good(asked)


async def _send(writer: asyncio.StreamWriter, sent: Sent) -> bool:
    """Sends; True where the connection stays open."""
    head, body = sent.bytes()
    part = body[: int(len(body) * sent.part)]
    if sent.byte_s:
        writer.write(head)
        step = max(1, len(part) // 20)
        for start in range(0, len(part), step):
            writer.write(part[start : start + step])
            await writer.drain()
            await asyncio.sleep(sent.byte_s)
    elif sent.part or not sent.ends:
        writer.write(head + part)
    await writer.drain()
    if sent.ends == "stall":
        await asyncio.sleep(STALL_S)
    elif sent.ends == "reset":
        await asyncio.sleep(0.005)
        _reset(writer)
    return not sent.ends


def _reset(writer: asyncio.StreamWriter) -> None:
    """Ends a connection with RST instead of FIN."""
    handle = writer.get_extra_info("socket")
    if handle is not None and handle.fileno() != -1:
        with contextlib.suppress(OSError):
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
