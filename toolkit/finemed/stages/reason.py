"""Reason: the long answer with Thought and Summarization, for complex questions only.

*Reads* `RoutedInstruction`. *Writes* `ReasonedInstruction`; common questions pass untouched, and the preferred answer
that a source brings is taken word for word, in whatever form it has. *Drops* complex
questions whose long answer is unusable: `reason_unparsable` (a section is missing, empty or out of order),
`reason_truncated`, `reason_refused`, `reason_error`. It runs before the ordinary answers, so that those are not paid
for in vain.
*Reference*: FineMed (arXiv 2501.09213), section 3.1: a reasoning model answers the complex questions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl

from finemed.config import ReasonConfig
from finemed.llm.base import Backend, Request
from finemed.llm.structured import format_sections, parse_sections
from finemed.records import ReasonedInstruction, RoutedInstruction, frame
from finemed.stages.base import Answers, Contract, Drops, Outcome
from finemed.stages.calls import Caller, Egress, span_rows
from finemed.stages.given import GIVEN, background


class ReasonStage(Caller):
    """LLM stage: one call per complex question without a preferred answer of its own."""

    contract = Contract.one_to_one("reason", 2, RoutedInstruction, ReasonedInstruction, "instruction_id")

    def __init__(self, config: ReasonConfig, backend: Backend, egress: Egress | None = None) -> None:
        super().__init__(config, backend, "reason", egress)

    def calls(self, rows: pl.DataFrame) -> Iterator[Request]:
        columns = ("instruction_id", "title", "text", "instruction", "given_instruction")
        hard = rows.filter((pl.col("route") == "complex") & pl.col("given_chosen").is_null())
        for row in hard.select(columns).iter_rows(named=True):
            inputs = {"title": row["title"], "text": background(row), "instruction": row["instruction"]}
            yield self.request(row["instruction_id"], inputs)

    def parse(self, request: Request, text: str) -> str:
        """The answer in its one stored form; raises where a section is missing."""
        return format_sections(*parse_sections(text))

    def results(self, rows: pl.DataFrame, answers: Answers) -> Outcome:
        kept, drops = [], Drops()
        for row in rows.iter_rows(named=True):
            if row["given_chosen"] is not None:
                kept.append({**row, **_written(row["given_chosen"], GIVEN, GIVEN, extractive=False)})
                continue
            if row["route"] != "complex":
                kept.append({**row, **_written(None, None, None, extractive=None)})
                continue
            answer = answers[row["instruction_id"], self.prompt.name]
            if answer.state != "parsed":
                drops.add(row["instruction_id"], f"reason_{answer.state}", answer.detail)
                continue
            by_backend = _written(
                answer.value, self.backend.name, self.prompt.label, extractive=self.backend.extractive
            )
            kept.append({**row, **by_backend, "reasoning_spans": span_rows(answer.spans)})
        return Outcome(frame(ReasonedInstruction, kept), drops.frame())


def _written(long: str | None, model: str | None, prompt: str | None, *, extractive: bool | None) -> dict[str, Any]:
    return {
        "reasoning": long,
        "reasoning_model": model,
        "reasoning_prompt": prompt,
        "reasoning_extractive": extractive,
        "reasoning_spans": None,
    }
