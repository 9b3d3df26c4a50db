"""A loopback server that speaks the OpenAI chat protocol; a test sets what it answers."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SCORES: dict[str, Any] = {
    "rationale": "Clear.",
    "quality": 8,
    "difficulty": 5,
    "relevance_to_medicine": 6,
    "mention_specific_details": False,
}
GOOD = json.dumps(SCORES)


@dataclasses.dataclass
class Reply:
    """What the server sends."""

    body: Any
    status: int = 200
    headers: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Call:
    """What the server received."""

    path: str
    authorization: str | None
    body: dict[str, Any]

    @property
    def question(self) -> str:
        return str(self.body["messages"][-1]["content"])


def chat(content: str | None = GOOD, finish: str = "stop", **message: Any) -> Reply:
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content, **message}}
    usage = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
    return Reply(
        {"id": "c", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}
    )


def failure(status: int, message: str = "broken") -> Reply:
    return Reply({"error": {"message": message, "type": "t", "code": "c"}}, status, {"retry-after-ms": "1"})


class Server:
    """An OpenAI-compatible endpoint on a port of this machine; `answer` maps a call to a reply."""

    def __init__(self) -> None:
        self.answer: Callable[[Call], Reply] = lambda call: chat()
        self.calls: list[Call] = []
        self.now = self.peak = 0
        self.lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                call = Call(self.path, self.headers["authorization"], body)
                with outer.lock:
                    outer.calls.append(call)
                    outer.now += 1
                    outer.peak = max(outer.peak, outer.now)
                try:
                    reply = outer.answer(call)
                finally:
                    with outer.lock:
                        outer.now -= 1
                data = json.dumps(reply.body).encode()
                self.send_response(reply.status)
                for name, value in {"content-type": "application/json", **reply.headers}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                """Says nothing."""

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                """A client that hangs up is no error here."""

        self.http = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/v1"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def stop(self) -> None:
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()
