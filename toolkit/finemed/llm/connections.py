"""Posts calls to one server.

::

    server = Connections("http://gpu-1:8000/v1", key=None, timeout_s=600)
    await server.post({"model": "m", "messages": [...]})   ->  Received(status=200, headers=..., body={...})

The `openai` package speaks the protocol; its retries are off, since `tries` decides them, and its models of replies
are left out, since `chat` reads them. The HTTP package below it looks at every connection of a client at each call, so
calls are spread over clients with a few connections each; that halves its work at 256 calls in flight.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from finemed import __version__
from finemed.llm.failures import Failure, failure_of_transport

PER_CLIENT = 8
CONNECT_S = 30.0
KEPT_S = 4.0
"""Idle connections are closed by then; servers close them after 5 s or more, and a call must not run into that."""


@dataclass(frozen=True)
class Received:
    """A reply as it came."""

    status: int
    headers: Mapping[str, str]
    body: Any
    """Its JSON; None where it is none."""


class Connections:
    """HTTP clients for one address; opened as calls need them."""

    def __init__(self, base_url: str, key: str | None, timeout_s: float) -> None:
        import httpx2
        import openai

        self._http, self._api = httpx2, openai
        self._base_url = base_url
        self._key = key
        self._options: Any = {} if key else {"headers": {"Authorization": openai.Omit()}}
        self._timeout_s = timeout_s
        self._trusted: ssl.SSLContext | None = None
        self._clients: list[Any] = []
        self._busy: list[int] = []

    async def post(self, body: dict[str, Any]) -> Received | Failure:
        """Posts a call and waits for the whole reply, for `timeout_s` at most."""
        return await self._send("post", "/chat/completions", {"body": body}, self._timeout_s)

    async def alive(self) -> bool:
        """Whether the server lists its models, which costs nothing."""
        received = await self._send("get", "/models", {}, min(self._timeout_s, CONNECT_S))
        return isinstance(received, Received) and received.status == 200 and isinstance(received.body, dict)

    async def _send(self, method: str, path: str, content: dict[str, Any], timeout_s: float) -> Received | Failure:
        http, api = self._http, self._api
        at = self._least_busy()
        self._busy[at] += 1
        try:
            async with asyncio.timeout(timeout_s):
                response = await getattr(self._clients[at], method)(
                    path, cast_to=http.Response, options=self._options, **content
                )
        except TimeoutError as error:
            return Failure("timeout", f"no whole reply in {timeout_s:g} s", error=error)
        except api.APIStatusError as error:
            response = error.response
        except (api.APIConnectionError, http.HTTPError, http.InvalidURL, OSError) as error:
            cause = error.__cause__ or error
            if isinstance(cause, http.DecodingError):
                return Failure("not_chat", "the reply cannot be decompressed", error=cause)
            return failure_of_transport(cause)
        finally:
            self._busy[at] -= 1
        return Received(response.status_code, response.headers, _json(response.content))

    def _least_busy(self) -> int:
        """Number of a client with a free connection; a new one where all are busy."""
        at = next((at for at, busy in enumerate(self._busy) if busy < PER_CLIENT), len(self._busy))
        if at == len(self._busy):
            self._clients.append(self._client())
            self._busy.append(0)
        return at

    def _client(self) -> Any:
        http = self._http
        if self._trusted is None:
            self._trusted = http.create_ssl_context()
        timeout = http.Timeout(None, connect=min(CONNECT_S, self._timeout_s))
        limits = http.Limits(max_connections=PER_CLIENT, keepalive_expiry=KEPT_S)
        return self._api.AsyncOpenAI(
            api_key=self._key or "none",
            base_url=self._base_url,
            max_retries=0,
            timeout=timeout,
            default_headers={"User-Agent": f"finemed/{__version__}"},
            http_client=http.AsyncClient(verify=self._trusted, timeout=timeout, limits=limits),
        )

    async def close(self) -> None:
        """Disconnects."""
        clients, self._clients, self._busy = self._clients, [], []
        for client in clients:
            await client.close()


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None
