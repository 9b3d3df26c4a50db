"""What the stages that call a backend share: requests, what may leave the machine, what decides the replies."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import polars as pl
from pydantic import BaseModel

from finemed.config import LlmConfig, identity
from finemed.llm.accounting import FailureLimit
from finemed.llm.ask import parser_of
from finemed.llm.base import Backend, Request, Sampling
from finemed.prompts import load_prompt
from finemed.stages.base import Answers, Contract, Drops, Outcome

PHI_WITHHELD = "phi_withheld"


@dataclass(frozen=True)
class Egress:
    """Which rows may be sent to a backend that is not local."""

    withhold_from: float = 0.8
    """Confidence from which a finding keeps its passage back."""
    withhold_unscanned: bool = False
    allowed: bool = False
    """True where the backend is allowed by name."""

    def blocked(self, backend: Backend) -> pl.Expr:
        """Rows that must not be sent."""
        if backend.local or self.allowed:
            return pl.lit(value=False)
        high = pl.col("phi_confidence") >= self.withhold_from
        return high | (pl.col("phi_state") == "not_scanned") if self.withhold_unscanned else high

    def settings(self, backend: Backend) -> dict[str, Any] | None:
        """What of it decides the output; None where all may be sent."""
        if backend.local or self.allowed:
            return None
        return {"withhold_from": self.withhold_from, "withhold_unscanned": self.withhold_unscanned}


class Caller(ABC):
    """Base of the llm stages: one prompt, one backend.

    A subclass writes `calls` and `results`. Rows with personal data that the backend must not see are kept from both
    where they would have led to a call, and dropped as `phi_withheld`.
    """

    contract: ClassVar[Contract]

    def __init__(self, config: LlmConfig, backend: Backend, prompt: str, egress: Egress | None = None) -> None:
        self.backend = backend
        self.max_reasks = config.max_reasks
        self.prompt = load_prompt(prompt)
        self.limit = FailureLimit(self.contract.name, config.max_failure_share)
        self._config = config
        self._sampling = Sampling(config.temperature, config.top_p, config.max_tokens)
        self._egress = egress or Egress()

    @abstractmethod
    def calls(self, rows: pl.DataFrame) -> Iterator[Request]:
        """The requests of these rows; a row may need none."""

    @abstractmethod
    def results(self, rows: pl.DataFrame, answers: Answers) -> Outcome:
        """What became of these rows."""

    def requests(self, rows: pl.DataFrame) -> Iterator[Request]:
        """The requests of the rows that may be sent."""
        return self.calls(rows.filter(~self._egress.blocked(self.backend)))

    def collect(self, rows: pl.DataFrame, answers: Answers) -> Outcome:
        """The outcome of all rows, the withheld ones dropped."""
        key = self.contract.key_in
        blocked = rows.filter(self._egress.blocked(self.backend))
        withheld = {request.owner[0] for request in self.calls(blocked)}
        if not withheld:
            return self.results(rows, answers)
        drops = Drops()
        for row_id, state, kinds in blocked.select(key, "phi_state", "phi_kinds").iter_rows():
            if row_id in withheld:
                drops.add(row_id, PHI_WITHHELD, f"{kinds or state}; {self.backend.name} is not local")
        outcome = self.results(rows.filter(~pl.col(key).is_in(sorted(withheld))), answers)
        return Outcome(outcome.kept, pl.concat([outcome.dropped, drops.frame()]))

    def settings(self) -> dict[str, Any]:
        """Sampling, backend and prompt; the names that only point to them are left out."""
        own = {key: value for key, value in identity(self._config).items() if key not in ("backend", "model")}
        return {
            **own,
            "backend": self.backend.identity(),
            "prompt": {"name": self.prompt.label, "sha256": self.prompt.sha256},
            "egress": self._egress.settings(self.backend),
        }

    def request(
        self, row_id: str, inputs: Mapping[str, Any], reply: type[BaseModel] | None = None, *, label: str | None = None
    ) -> Request:
        """A request of this stage; `label` tells several calls of one row apart."""
        return Request((row_id, label or self.prompt.name), self.prompt, inputs, self._sampling, reply)

    def parse(self, request: Request, text: str) -> Any:
        """Reads a reply by the request's schema."""
        return parser_of(request)(text)


def span_rows(spans: Sequence[tuple[int, int]] | None) -> list[dict[str, int]] | None:
    """The offsets of an extractive answer as a row holds them."""
    return None if spans is None else [{"start": start, "end": end} for start, end in spans]
