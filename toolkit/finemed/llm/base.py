"""The interface between stages and sources of language.

A stage hands over `Request`s; a `Backend` turns a stream of them into `Completion`s in any order::

    for completion in backend.complete(requests):      # pulls requests only as fast as it can work on them
        ...

A request names its task and structured inputs (what an embedded backend reads) and renders its chat messages on demand
(what a model reads). Its `key` is the content of the call, for the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, Protocol

from pydantic import BaseModel

from finemed.config import stable_hash
from finemed.models import ModelProfile
from finemed.prompts import Prompt

State = Literal["parsed", "unparsable", "truncated", "refused", "error"]
Finish = Literal["stop", "length", "refused", "error"]


@dataclass(frozen=True)
class Sampling:
    """How to draw tokens."""

    temperature: float
    top_p: float
    max_tokens: int


@cache
def _schema_of(reply: type[BaseModel]) -> dict[str, Any]:
    return reply.model_json_schema()


@dataclass(frozen=True)
class Request:
    """One call of a model."""

    owner: tuple[str, str]
    """Row id and label of the call within the row; not part of the key."""
    prompt: Prompt
    inputs: Mapping[str, Any]
    sampling: Sampling
    reply: type[BaseModel] | None = None
    """Schema of the reply; None asks for free text."""
    sample: int = 0
    """Index of this draw where the same question is asked several times."""
    reask: int = 0

    def messages(self) -> list[dict[str, str]]:
        """The chat messages; a re-ask adds what was wrong with the last reply."""
        messages = self.prompt.render(self.inputs)
        if self.reask:
            last = "Your last reply" if self.reask == 1 else f"Your last {self.reask} replies"
            messages[-1]["content"] += f"\n\n{last} could not be used. Keep exactly to the form that is asked for."
        return messages

    def schema(self) -> dict[str, Any] | None:
        """The JSON Schema of the reply; not to be changed."""
        return None if self.reply is None else _schema_of(self.reply)

    def key(self, identity: Mapping[str, Any]) -> str:
        """The journal's key: the backend's identity and everything that shapes the reply."""
        return stable_hash(
            {
                "backend": identity,
                "messages": self.messages(),
                "sampling": vars(self.sampling),
                "schema": self.schema(),
                "sample": self.sample,
                "reask": self.reask,
            }
        )


@dataclass(frozen=True)
class Completion:
    """What came back for one request, before anything reads it."""

    request: Request
    text: str
    finish: Finish
    reasoning: str = ""
    """Reasoning that the server returned apart from the answer."""
    usage: Mapping[str, int] = field(default_factory=dict)
    detail: str = ""
    """Why there is no usable text, where `finish` is `refused` or `error`."""
    spans: tuple[tuple[int, int], ...] | None = None
    """Where the pieces of an extractive answer stand in the passage's text; such backends need no journal."""

    def stored(self) -> dict[str, Any]:
        """The form that the journal keeps."""
        return {
            "text": self.text,
            "finish": self.finish,
            "reasoning": self.reasoning,
            "usage": dict(self.usage),
            "detail": self.detail,
        }

    @classmethod
    def restored(cls, request: Request, stored: Mapping[str, Any]) -> Completion:
        return cls(request, stored["text"], stored["finish"], stored["reasoning"], stored["usage"], stored["detail"])


@dataclass(frozen=True)
class Answer:
    """The outcome of a request after parsing and re-asks."""

    request: Request
    state: State
    value: Any
    """The parsed reply (a `Reply` model, or text); None unless `state` is `parsed`."""
    detail: str = ""
    spans: tuple[tuple[int, int], ...] | None = None
    """Where the pieces of an extractive answer stand in the passage's text."""


def silent(message: str) -> None:
    """What backends say to where nobody listens."""


class Backend(Protocol):
    """A source of language."""

    name: str
    """What rows carry: backend and model, such as ``openai:qwen2.5-72b-instruct``."""
    local: bool
    """True where text never leaves this process or machine."""
    free: bool
    """True where asking again costs nothing and gives the same reply, so that no journal is needed."""
    profile: ModelProfile
    """How the model marks its reasoning."""
    extractive: bool
    """True where answers are cut from the passage instead of written."""
    say: Callable[[str], None]
    """Told what a person should know while it works: pauses, a server that ignores schemas."""

    def identity(self) -> dict[str, Any]:
        """What decides its replies besides the request; part of keys and fingerprints."""

    def ready(self) -> None:
        """Looks, without a call, whether the backend can be used.

        Raises:
            BackendError: it cannot, for example since its key is not set.
        """

    def probe(self) -> Request | None:
        """A call to make before the first structured one, to learn what the server can do; None where none is due."""

    def probed(self, completion: Completion) -> None:
        """Takes the reply to the probe."""

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """Completions in any order; reads ahead only as far as it works in parallel.

        A backend with an attribute ``interleaves = True`` also takes None for "nothing more now, ask again after the
        next completion", and ends where it gets None with nothing in flight. Others see the stream end there.

        Raises:
            BackendError: the backend as a whole cannot be used (unreachable, unauthorised, out of quota). What was
                paid for by then is handed on first.
        """

    def close(self) -> None:
        """Releases connections."""
