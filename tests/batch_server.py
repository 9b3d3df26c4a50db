"""A loopback server with OpenAI's Batch API: files, batches, and what a test makes of them.

::

    server = BatchServer()
    server.ending = lambda batch: ("expired", 0.5)      # how a batch ends, and the share of its lines that is answered
    server.paid["9c1f..."]  ->  1                        # lines that were answered, by custom_id
"""

from __future__ import annotations

import contextlib
import json
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SCORES = {"rationale": "Clear.", "quality": 8, "difficulty": 5, "relevance_to_medicine": 6}
GOOD = json.dumps({**SCORES, "mention_specific_details": False})


@dataclass
class Held:
    """A batch on the server."""

    id: str
    number: int
    input_file: str
    metadata: dict[str, str]
    created_at: float
    status: str = "validating"
    looks: int = 0
    output_file: str | None = None
    error_file: str | None = None
    errors: list[dict[str, str]] = field(default_factory=list)

    def shown(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "batch",
            "status": self.status,
            "input_file_id": self.input_file,
            "output_file_id": self.output_file,
            "error_file_id": self.error_file,
            "created_at": int(self.created_at),
            "metadata": self.metadata,
            "errors": {"object": "list", "data": self.errors} if self.errors else None,
        }


def answered(content: str = GOOD, finish: str = "stop") -> tuple[int, dict[str, Any]]:
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content}}
    usage = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
    return 200, {"object": "chat.completion", "model": "m", "choices": [choice], "usage": usage}


def refused(status: int, message: str = "broken") -> tuple[int, dict[str, Any]]:
    return status, {"error": {"message": message, "type": "t", "code": "c"}}


class BatchServer:
    """Everything that a test may set or look at."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.batches: list[Held] = []
        self.paid: Counter[str] = Counter()
        self.seen: list[str] = []
        """Method and path of every call."""
        self.keys: set[str | None] = set()
        self.answer: Callable[[dict[str, Any]], tuple[int, dict[str, Any]]] = lambda body: answered()
        self.ending: Callable[[Held], tuple[str, float]] = lambda batch: ("completed", 1.0)
        self.held = False
        """Batches run on as long as this is set."""
        self.looks = 2
        """Looks at a batch until it ends."""
        self.faults: dict[str, list[int]] = {}
        """By call: statuses that the next ones get; 0 breaks the connection off, -1 does so after the work was done."""
        self.keeps_metadata = True
        self.page = 100
        self.on_call: Callable[[str], None] = lambda call: None
        """Told of each call before it is worked on."""
        self.on_created: Callable[[Held], None] = lambda batch: None
        self.lock = threading.RLock()
        self._random = random.Random(3)
        self._http = _Http(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/v1"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        if not self._thread.is_alive():
            return
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def lines(self, batch: Held) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.files[batch.input_file].splitlines()]

    # --- what the handler calls --------------------------------------------------------------------------------------

    def store(self, data: bytes) -> dict[str, Any]:
        name = f"file-{len(self.files)}"
        self.files[name] = data
        return {"id": name, "object": "file", "bytes": len(data), "purpose": "batch"}

    def create(self, body: dict[str, Any]) -> Held:
        number = len(self.batches) + 1
        metadata = body.get("metadata") or {}
        kept = metadata if self.keeps_metadata else {}
        batch = Held(f"batch_{number}", number, body["input_file_id"], kept, time.time())
        self.batches.append(batch)
        self.on_created(batch)
        return batch

    def look(self, batch: Held) -> Held:
        batch.looks += 1
        if batch.status in ("validating", "in_progress"):
            batch.status = "in_progress"
            if batch.looks >= self.looks and not self.held:
                self.end(batch)
        return batch

    def end(self, batch: Held) -> None:
        """Answers a share of the lines, in another order than they were asked."""
        batch.status, share = self.ending(batch)
        lines = self.lines(batch)
        self._random.shuffle(lines)
        good, bad = [], []
        for number, line in enumerate(lines):
            if number >= round(share * len(lines)):
                if batch.status == "expired":
                    bad.append({"custom_id": line["custom_id"], "response": None, "error": {"code": "batch_expired"}})
                continue
            status, body = self.answer(line["body"])
            self.paid[line["custom_id"]] += status == 200
            told = {"custom_id": line["custom_id"], "response": {"status_code": status, "body": body}, "error": None}
            (good if status == 200 else bad).append(told)
        batch.output_file, batch.error_file = (self._written(each) for each in (good, bad))

    def _written(self, lines: list[dict[str, Any]]) -> str | None:
        data = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        return str(self.store(data)["id"]) if lines else None

    def listed(self, after: str | None, limit: int) -> dict[str, Any]:
        newest = list(reversed(self.batches))
        start = next((at + 1 for at, batch in enumerate(newest) if batch.id == after), 0)
        size = min(limit, self.page)
        page = newest[start : start + size]
        return {"object": "list", "data": [batch.shown() for batch in page], "has_more": start + size < len(newest)}


class _Http(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no error here."""


def _handler(server: BatchServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path, _, query = self.path.removeprefix("/v1/").partition("?")
            self._work("GET", path, lambda: self._got(path, dict(re.findall(r"(\w+)=([\w-]+)", query))))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            path = self.path.removeprefix("/v1/")
            self._work("POST", path, lambda: self._posted(path, body))

        def _work(self, method: str, path: str, work: Callable[[], Any]) -> None:
            call = f"{method} {path.partition('/')[0]}" + ("/content" if path.endswith("/content") else "")
            server.on_call(call)
            with server.lock:
                server.seen.append(call)
                server.keys.add(self.headers["authorization"])
                faults = server.faults.get(call) or []
                fault = faults.pop(0) if faults else None
                found = work() if fault in (None, -1) else None
            if fault in (0, -1):
                with contextlib.suppress(OSError):
                    self.connection.shutdown(2)
                self.close_connection = True
                return
            if fault is not None:
                self._send(fault, {"error": {"message": "fault", "code": "f"}})
            else:
                self._send(404 if found is None else 200, {"error": {"message": "no"}} if found is None else found)

        def _got(self, path: str, query: dict[str, str]) -> Any:
            kind, _, name = path.partition("/")
            if kind == "files":
                return server.files.get(name.removesuffix("/content"))
            if not name:
                return server.listed(query.get("after"), int(query.get("limit", "20")))
            batch = next((batch for batch in server.batches if batch.id == name), None)
            return None if batch is None else server.look(batch).shown()

        def _posted(self, path: str, body: bytes) -> Any:
            if path == "batches":
                return server.create(json.loads(body)).shown()
            boundary = self.headers["content-type"].partition("boundary=")[2].encode()
            parts = [part.partition(b"\r\n\r\n") for part in body.split(b"--" + boundary)[1:-1]]
            assert any(b'name="purpose"' in head and data.strip() == b"batch" for head, _, data in parts)
            (data,) = [data for head, _, data in parts if b'name="file"' in head]
            return server.store(data.removesuffix(b"\r\n"))

        def _send(self, status: int, body: Any) -> None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing."""

    return Handler
