"""A judge's requests and what comes back for them, for tests against a server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from faults import FaultServer

from finemed.errors import BackendError
from finemed.llm.ask import ask, parser_of
from finemed.llm.base import Answer, Request, Sampling
from finemed.llm.openai import OpenAIChat
from finemed.prompts import load_prompt
from finemed.records import JudgementReply
from finemed.store.journal import Journal

Connect = Callable[..., OpenAIChat]
Serve = Callable[..., FaultServer]


def judge(number: int, **changes: Any) -> Request:
    inputs = {"instruction": f"Question {number}?", "text": "Croup is viral.", "given": False}
    settings: dict[str, Any] = {"sampling": Sampling(0.8, 1.0, 100), "reply": JudgementReply, **changes}
    return Request((str(number), "judge"), load_prompt("judge"), inputs, **settings)


def answers(backend: OpenAIChat, journal: Journal | None, *requests: Request, max_reasks: int = 2) -> dict[str, Answer]:
    found = list(ask(requests, backend, journal, parse=parser_of, max_reasks=max_reasks))
    assert len(found) == len(requests)
    return {answer.request.owner[0]: answer for answer in found}


def ends_with(backend: OpenAIChat, journal: Journal | None, *requests: Request) -> str:
    with pytest.raises(BackendError) as caught:
        answers(backend, journal, *requests)
    return str(caught.value)
