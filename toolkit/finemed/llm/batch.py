"""The Batch API: requests go up as files, replies come back within a day, at a price of their own.

::

    backend = BatchChat(BatchBackend(type="batch", model="gpt-x", price=Price(input=1.25, output=5.0)))
    for completion in backend.complete(requests): ...     # waits for the batches

What is under way is written down nowhere but on the server, in the batch itself: its metadata name the backend's
identity, and its lines carry the journal's keys. Creating a batch and recording it are thus one act, and no moment of a
kill lies between them; a record of our own would be written before that act or after it, and would have to be compared
with the server's list all the same. Before a prompt's first request is sent, the account's batches are searched for it:
a request that lies in one that runs, or that has a reply in one that ended, goes into no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from finemed.config import BatchBackend, identity
from finemed.llm.base import Completion, Request, silent
from finemed.llm.batch_api import BatchApi
from finemed.llm.batch_work import Earlier, Work, scope_of
from finemed.llm.chat import read_key
from finemed.models import profile_for


class BatchChat:
    """Backend over a Batch API."""

    local = False
    free = False
    extractive = False

    def __init__(self, settings: BatchBackend) -> None:
        self._settings = settings
        self.name = f"batch:{settings.model}"
        self.profile = profile_for(settings.model_family)
        self.say: Callable[[str], None] = silent
        self.read_ahead = 4 * settings.max_requests
        """Stored replies taken up before any is handed on: fewer would cut a stage into small batches, each a day."""
        self._identity = identity(settings)
        self._opened: tuple[BatchApi, Earlier] | None = None

    def identity(self) -> dict[str, Any]:
        return self._identity

    def ready(self) -> None:
        read_key(self._settings.api_key_env)

    def probe(self) -> Request | None:
        return None

    def probed(self, completion: Completion) -> None:
        """There is no probe: its answer would take as long as a batch."""

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        if self._opened is None:
            api = BatchApi(self._settings, self._tell)
            self._opened = api, Earlier(api, scope_of(self._identity), self._tell)
        work = Work(self._settings, self._identity, *self._opened, self._tell, iter(requests))
        while work.fill():
            yield from work.collect()

    def _tell(self, message: str) -> None:
        self.say(f"{self.name}: {message}")

    def close(self) -> None:
        if self._opened is not None:
            self._opened[0].close()
            self._opened = None
