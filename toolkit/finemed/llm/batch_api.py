"""The calls of the Batch API: files up and down, batches created, found and looked at; tried until they succeed.

::

    api = BatchApi(settings, say=print)
    file = api.upload("finemed-1f3a.jsonl", opened)         ->  "file-abc"
    api.create(file, {"finemed": "9c..."})                  ->  Batch(id="batch_7", status="validating", ...)
    list(api.lines("file-out"))                             ->  [{"custom_id": ..., "response": {...}}, ...]
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO

from finemed import __version__
from finemed.config import BatchBackend
from finemed.errors import BackendError
from finemed.llm.batch_lines import CALLS
from finemed.llm.chat import Secrets, host_of, read_key
from finemed.llm.failures import Failure, backoff, explain, failure_of_reply, failure_of_transport

OPENAI = "https://api.openai.com/v1"
ENDED = ("completed", "failed", "expired", "cancelled")
CONNECT_S = 30.0
FIRST_TRIES = 6
"""Tries before the server has answered at all; most often its address is wrong."""
KEPT_DAYS = 30
"""Servers drop the output of older batches; further back nothing is looked for."""


@dataclass(frozen=True)
class Batch:
    """A batch as the server describes it."""

    id: str
    status: str
    input_file: str
    output_file: str | None
    error_file: str | None
    created_at: float
    metadata: Mapping[str, str]
    fact: str
    """Why it failed as a whole."""

    @property
    def ended(self) -> bool:
        return self.status in ENDED


class BatchApi:
    """One server; every call is tried until it succeeds or `patience_s` is over."""

    def __init__(self, settings: BatchBackend, say: Callable[[str], None]) -> None:
        import httpx2

        self._http = httpx2
        self._settings = settings
        self._say = say
        address = settings.base_url or OPENAI
        key = read_key(settings.api_key_env)
        self.url = host_of(address)
        self.secrets = Secrets([key], [address])
        self._answered = False
        headers = {"user-agent": f"finemed/{__version__}"} | ({"authorization": f"Bearer {key}"} if key else {})
        timeout = httpx2.Timeout(settings.timeout_s, connect=min(CONNECT_S, settings.timeout_s))
        self._client = httpx2.Client(base_url=address.rstrip("/") + "/", headers=headers, timeout=timeout)

    def upload(self, name: str, file: BinaryIO) -> str:
        """Uploads a file of requests; its id."""

        def send() -> Any:
            file.seek(0)
            parts = {"file": (name, file, "application/jsonl")}
            return self._client.post("files", data={"purpose": "batch"}, files=parts)

        return str(self._json(send)["id"])

    def create(self, file: str, metadata: Mapping[str, str]) -> Batch:
        """Creates the batch of a file, once: where a reply was lost, the batch is looked for before another try."""
        body = {
            "input_file_id": file,
            "endpoint": CALLS,
            "completion_window": self._settings.completion_window,
            "metadata": dict(metadata),
        }

        def made() -> Batch | None:
            return next((batch for batch in self.batches() if batch.input_file == file), None)

        return _batch(self._json(lambda: self._client.post("batches", json=body), lost=made))

    def batches(self) -> Iterator[Batch]:
        """The account's batches, newest first, as far back as their output is kept."""
        after: dict[str, str] = {}
        oldest = time.time() - KEPT_DAYS * 86400
        while True:
            page = self._json(partial(self._client.get, "batches", params={"limit": "100", **after}))
            batches = [_batch(each) for each in page.get("data") or []]
            yield from batches
            if not batches or not page.get("has_more") or 0 < batches[-1].created_at < oldest:
                return
            after = {"after": batches[-1].id}

    def look(self, batch: str) -> Batch:
        """The batch as it is now."""
        return _batch(self._json(lambda: self._client.get(f"batches/{batch}")))

    def lines(self, file: str | None) -> Iterator[dict[str, Any]]:
        """The JSON objects of a file; nothing where there is no file, or no more."""
        if file is None:
            return
        with tempfile.TemporaryFile() as copy:
            found = self._tried(lambda: self._download(file, copy), allow=(404,))
            if isinstance(found, Failure):
                self._say(f"file {file} is gone from the server")
                return
            copy.seek(0)
            for line in copy:
                read = _object(line)
                if read is not None:
                    yield read

    def _download(self, file: str, copy: BinaryIO) -> Any:
        copy.seek(0)
        copy.truncate()
        with self._client.stream("GET", f"files/{file}/content") as response:
            if response.status_code != 200:
                response.read()
                return response
            for piece in response.iter_bytes():
                copy.write(piece)
        return response

    # --- trying ------------------------------------------------------------------------------------------------------

    def _json(self, send: Callable[[], Any], lost: Callable[[], Any] | None = None) -> Any:
        return self._tried(lambda: _with_object(send()), lost)

    def _tried(
        self, send: Callable[[], Any], lost: Callable[[], Any] | None = None, allow: tuple[int, ...] = ()
    ) -> Any:
        """What `send` returns; after a failure that may have had an effect, what `lost` finds of it.

        Raises:
            BackendError: the server refuses the call, or has failed for too long.
        """
        began, tries = time.monotonic(), 0
        while True:
            if tries and lost is not None and (found := lost()) is not None:
                return found
            outcome = self._once(send)
            if not isinstance(outcome, Failure):
                self._answered = True
                return outcome
            if outcome.status in allow:
                return outcome
            tries += 1
            seconds = time.monotonic() - began
            refused = outcome.kind in ("row", "fatal") or (not self._answered and tries >= FIRST_TRIES)
            if refused or seconds > self._settings.patience_s:
                raise BackendError(self.secrets.hidden_in(f"{self.url}: {self._told(outcome, tries, seconds)}"))
            wait = max(backoff(tries - 1, self._settings.retry_wait_s), outcome.retry_after or 0.0)
            time.sleep(min(wait, self._settings.patience_s))

    def _told(self, failure: Failure, tries: int, seconds: float) -> str:
        if failure.status in (404, 405):
            return f"has no Batch API here, or not this file ({failure.fact}); check `base_url` (most end in /v1)"
        if failure.kind == "row":
            return f"refuses the call: {failure.fact}; check `backends`"
        return explain(failure, self._settings.model, self._settings.api_key_env, tries, seconds)

    def _once(self, send: Callable[[], Any]) -> Any:
        try:
            outcome = send()
        except (self._http.HTTPError, self._http.InvalidURL, OSError) as error:
            return failure_of_transport(error)
        if isinstance(outcome, self._http.Response) and not 200 <= outcome.status_code < 300:
            return failure_of_reply(outcome.status_code, outcome.headers, _object(outcome.content))
        return outcome

    def close(self) -> None:
        """Disconnects."""
        self._client.close()


def _with_object(response: Any) -> Any:
    """The object of a good reply; a bad reply as it is."""
    if not 200 <= response.status_code < 300:
        return response
    found = _object(response.content)
    return Failure("not_chat", "the reply is no JSON object") if found is None else found


def _object(data: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _batch(found: Any) -> Batch:
    if isinstance(found, Batch):
        return found
    errors = (found.get("errors") or {}).get("data") or []
    facts = [f"{each.get('code') or 'error'}: {each.get('message') or ''}" for each in errors if isinstance(each, dict)]
    return Batch(
        str(found.get("id")),
        str(found.get("status")),
        str(found.get("input_file_id")),
        found.get("output_file_id") or None,
        found.get("error_file_id") or None,
        float(found.get("created_at") or 0.0),
        found.get("metadata") or {},
        "; ".join(facts)[:300],
    )
