"""What calls cost and how replies end: tallies for the display, a budget that holds across restarts, a failure limit.

::

    budget = Budget(max_tokens=1_000_000)
    budget.charge("openai:m", {"prompt_tokens": 812, "completion_tokens": 96})
    budget.allows("openai:m", request)      ->  True while the longest possible reply still fits
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from finemed.config import Price
from finemed.errors import BudgetError, StageError
from finemed.llm.base import Answer, Request, State

LEAST_ANSWERS = 50
"""Answers before a share of failures means something."""

TOKENS_PER_CHARACTER = 0.4
"""For what no server counted; English has about 0.25, digits and other scripts have more."""

TEMPLATE_TOKENS = 256
"""Room for what a model's chat template adds to a prompt."""


@dataclass
class Tally:
    """What a stage's calls came to so far in this process."""

    model: str = ""
    """Name of the backend."""
    calls: int = 0
    """Replies that came from the backend now."""
    stored: int = 0
    """Replies that the journal held."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: int = 0
    """Replies whose tokens no server counted."""
    states: Counter[State] = field(default_factory=Counter)
    examples: dict[State, str] = field(default_factory=dict)
    """What became of the last reply that ended in a state."""
    errors_in_a_row: int = 0
    price: Price | None = None

    def called(self, usage: Mapping[str, int]) -> None:
        """Counts a reply that came now."""
        self.calls += 1
        self.prompt_tokens += usage.get("prompt_tokens", 0)
        self.completion_tokens += usage.get("completion_tokens", 0)
        self.estimated += bool(usage.get("estimated"))

    def ended(self, answer: Answer) -> None:
        """Counts an answer."""
        self.states[answer.state] += 1
        self.examples[answer.state] = answer.detail
        self.errors_in_a_row = self.errors_in_a_row + 1 if answer.state == "error" else 0

    def plain(self) -> dict[str, Any]:
        """The tally as JSON values."""
        plain: dict[str, Any] = {
            "calls": self.calls,
            "stored_replies": self.stored,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "states": dict(sorted(self.states.items())),
        }
        if self.estimated:
            plain["replies_with_estimated_tokens"] = self.estimated
        if self.price is not None and self.cost is not None:
            plain |= {"cost": round(self.cost, 6), "currency": self.price.currency}
        return plain

    @property
    def cost(self) -> float | None:
        """In the price's currency; None without a price."""
        return cost(self.price, self.prompt_tokens, self.completion_tokens)

    @property
    def failures(self) -> dict[State, int]:
        """Answers that are none, by state."""
        return {state: count for state, count in sorted(self.states.items()) if state != "parsed"}


def cost(price: Price | None, prompt_tokens: int, completion_tokens: int) -> float | None:
    """What so many tokens cost; None without a price, never an invented one."""
    if price is None:
        return None
    return (prompt_tokens * price.input + completion_tokens * price.output) / 1e6


def money(amount: float) -> str:
    """An amount with as many places as it needs."""
    return f"{amount:,.2f}" if amount >= 1 or not amount else f"{amount:.4f}"


@dataclass
class Budget:
    """A limit on tokens or money, counted over all that the journal holds and all that is in flight."""

    max_tokens: int | None = None
    max_cost: float | None = None
    prices: Mapping[str, Price] = field(default_factory=dict)
    """By backend name."""
    spent_tokens: int = 0
    spent_cost: float = 0.0
    _reserved: dict[int, tuple[int, float]] = field(default_factory=dict)
    _reserved_tokens: int = 0
    _reserved_cost: float = 0.0

    def charge(self, backend: str, usage: Mapping[str, int], request: Request | None = None) -> None:
        """Counts a reply; its reservation is released."""
        if request is not None:
            self.release(request)
        sent, received = usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0
        self.spent_tokens += sent + received
        self.spent_cost += cost(self.prices.get(backend), sent, received) or 0.0

    def release(self, request: Request) -> None:
        """The call came to nothing that costs."""
        tokens, money = self._reserved.pop(id(request), (0, 0.0))
        self._reserved_tokens -= tokens
        self._reserved_cost -= money

    def allows(self, backend: str, request: Request) -> bool:
        """Reserves what the call may cost at most; False where that does not fit any more."""
        sent, received = most_tokens(request)
        most = (sent + received, cost(self.prices.get(backend), sent, received) or 0.0)
        tokens = self.spent_tokens + self._reserved_tokens + most[0]
        money = self.spent_cost + self._reserved_cost + most[1]
        if self.max_tokens is not None and tokens > self.max_tokens:
            return False
        if self.max_cost is not None and money > self.max_cost:
            return False
        self._reserved[id(request)] = most
        self._reserved_tokens += most[0]
        self._reserved_cost += most[1]
        return True

    def reached(self, stage: str) -> BudgetError:
        """The error that ends the stage once nothing is in flight."""
        facts = []
        if self.max_tokens is not None:
            facts.append(f"{self.spent_tokens:,} of {self.max_tokens:,} tokens")
        if self.max_cost is not None:
            currency = next((price.currency for price in self.prices.values()), "")
            facts.append(f"{money(self.spent_cost)} of {money(self.max_cost)} {currency}".rstrip())
        return BudgetError(
            f"{stage}: the budget does not hold the next call ({', '.join(facts)} used, this run's earlier calls "
            "included); all replies are stored: go on with a higher limit"
        )


def most_tokens(request: Request) -> tuple[int, int]:
    """Most tokens that a call can send and receive: tokenisers make no more of a text than it has bytes."""
    texts = [message["content"] for message in request.messages()]
    if request.reply is not None:
        texts.append(json.dumps(request.schema()))
    sent = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
    return sent + TEMPLATE_TOKENS, request.sampling.max_tokens


@dataclass(frozen=True)
class FailureLimit:
    """The share of unusable replies from which a stage stops instead of passing a biased rest on."""

    stage: str
    share: float

    def settled(self, tally: Tally) -> bool:
        """Whether there are enough answers to judge by."""
        return sum(tally.states.values()) >= LEAST_ANSWERS

    def reached(self, tally: Tally) -> StageError | None:
        """The error that ends the stage; None while few enough are unusable.

        A server that fails from some moment on shows in `error` after `error`, long before the share of all tells.
        """
        answers = sum(tally.states.values())
        failed = answers - tally.states["parsed"]
        in_a_row = tally.errors_in_a_row >= LEAST_ANSWERS and self.share < 1
        if answers < LEAST_ANSWERS or not (failed > self.share * answers or in_a_row):
            return None
        kinds = ", ".join(f"{state} {count}" for state, count in tally.failures.items())
        worst = max(tally.failures, key=lambda state: tally.states[state])
        last = f"; the last {worst}: {tally.examples[worst]}" if tally.examples[worst] else ""
        what = f"{failed} of {answers} replies are unusable"
        if in_a_row:
            what = f"the last {tally.errors_in_a_row} calls failed"
        return StageError(
            f"{self.stage}: {what} ({kinds}{last}), above `{self.stage}.max_failure_share` {self.share:g}; look at "
            "them with `finemed journal export`, mend the prompt, the model or the server, or raise the limit; what "
            "was received is stored"
        )
