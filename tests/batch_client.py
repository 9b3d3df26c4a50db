"""A process that asks a Batch API through a journal, as a stage does; made to be killed.

``python batch_client.py URL JOURNAL COUNT [KILL_AFTER]`` prints how the answers ended; with KILL_AFTER it kills itself
after that many of them.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from finemed.config import BatchBackend
from finemed.llm.ask import ask, parser_of
from finemed.llm.base import Request, Sampling
from finemed.llm.batch import BatchChat
from finemed.prompts import load_prompt
from finemed.records import JudgementReply
from finemed.store.journal import Journal

QUICK: dict[str, Any] = {"api_key_env": None, "poll_s": 0.01, "longest_poll_s": 0.02, "retry_wait_s": 0.0}


def judge(number: int, **changes: Any) -> Request:
    inputs = {"instruction": f"Question {number}?", "text": changes.pop("text", "Croup is viral."), "given": False}
    prompt = load_prompt(changes.pop("prompt", "judge"))
    chosen = {"sampling": Sampling(0.0, 1.0, 100), "reply": JudgementReply} | changes
    return Request((f"i{number}", prompt.name), prompt, inputs, **chosen)


def connect(url: str, **settings: Any) -> BatchChat:
    return BatchChat(BatchBackend(**{"type": "batch", "model": "m", "base_url": url, **QUICK, **settings}))


def main(url: str, journal: str, count: str, kill_after: str = "0") -> None:
    backend = connect(url)
    asked: Iterator[Request] = (judge(number) for number in range(int(count)))
    states: Counter[str] = Counter()
    for answer in ask(asked, backend, Journal(Path(journal)), parse=parser_of, max_reasks=1):
        states[answer.state] += 1
        if sum(states.values()) == int(kill_after):
            os.kill(os.getpid(), signal.SIGKILL)
    backend.close()
    print(json.dumps(states))


if __name__ == "__main__":
    main(*sys.argv[1:])
