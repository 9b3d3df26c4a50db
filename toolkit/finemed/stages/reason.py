"""Reason: the long answer with Thought and Summarization, for complex questions only.

*Reads* `RoutedInstruction`. *Writes* `ReasonedInstruction`; common questions pass untouched. *Drops* complex
questions whose long answer is unusable: `reason_unparsable` (a section is missing, empty or out of order),
`reason_truncated`, `reason_refused`, `reason_error`. It runs before the ordinary answers, so that those are not paid
for in vain.
*Reference*: FineMed (arXiv 2501.09213), section 3.1: a reasoning model answers the complex questions.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from finemed.config import ReasonConfig
from finemed.llm.base import Backend, Request
from finemed.llm.structured import format_sections, parse_sections
from finemed.records import ReasonedInstruction, RoutedInstruction, frame
from finemed.stages.base import Answers, Contract, Drops, Outcome
from finemed.stages.calls import Caller, Egress


class ReasonStage(Caller):
    """LLM stage: one call per complex question."""

    contract = Contract.one_to_one("reason", 1, RoutedInstruction, ReasonedInstruction, "instruction_id")

    def __init__(self, config: ReasonConfig, backend: Backend, egress: Egress | None = None) -> None:
        super().__init__(config, backend, "reason", egress)

    def calls(self, rows: pl.DataFrame) -> Iterator[Request]:
        hard = rows.filter(pl.col("route") == "complex")
        for row_id, title, text, instruction in hard.select(
            "instruction_id", "title", "text", "instruction"
        ).iter_rows():
            yield self.request(row_id, {"title": title, "text": text, "instruction": instruction})

    def parse(self, request: Request, text: str) -> str:
        """The answer in its one stored form; raises where a section is missing."""
        return format_sections(*parse_sections(text))

    def results(self, rows: pl.DataFrame, answers: Answers) -> Outcome:
        kept, drops = [], Drops()
        for row in rows.iter_rows(named=True):
            long = None
            if row["route"] == "complex":
                answer = answers[row["instruction_id"], self.prompt.name]
                if answer.state != "parsed":
                    drops.add(row["instruction_id"], f"reason_{answer.state}", answer.detail)
                    continue
                long = answer.value
            written = {
                "reasoning": long,
                "reasoning_model": self.backend.name if long else None,
                "reasoning_prompt": self.prompt.label if long else None,
                "reasoning_extractive": self.backend.extractive if long else None,
            }
            kept.append({**row, **written})
        return Outcome(frame(ReasonedInstruction, kept), drops.frame())
