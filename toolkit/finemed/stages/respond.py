"""Respond: two ordinary answers in different styles, beside the long one where there is one.

*Reads* `ReasonedInstruction`. *Writes* `Response`: one row per answer. *Drops* a question without a single usable
ordinary answer under `respond_<state>` of its first answer; a question with one keeps it.
*Reference*: FineMed (arXiv 2501.09213), section 3.1: two answers of which the better is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl

from finemed.config import RespondConfig
from finemed.llm.base import Backend, Request
from finemed.records import ReasonedInstruction, Response, content_id, frame, frame_schema
from finemed.stages.base import Answers, Contract, Drops, Outcome
from finemed.stages.calls import Caller, Egress

STYLES = ("concise", "explanatory")


class RespondStage(Caller):
    """LLM stage: two calls per question."""

    contract = Contract(
        "respond", 1, frame_schema(ReasonedInstruction), Response, "instruction_id", "response_id", ("instruction_id",)
    )

    def __init__(self, config: RespondConfig, backend: Backend, egress: Egress | None = None) -> None:
        super().__init__(config, backend, "respond", egress)

    def calls(self, rows: pl.DataFrame) -> Iterator[Request]:
        for row_id, title, text, instruction in rows.select(
            "instruction_id", "title", "text", "instruction"
        ).iter_rows():
            for style in STYLES:
                inputs = {"title": title, "text": text, "instruction": instruction, "style": style}
                yield self.request(row_id, inputs, label=style)

    def results(self, rows: pl.DataFrame, answers: Answers) -> Outcome:
        kept, drops = [], Drops()
        for row in rows.iter_rows(named=True):
            row_id = row["instruction_id"]
            outcomes = {style: answers[row_id, style] for style in STYLES}
            usable = {style: answer.value for style, answer in outcomes.items() if answer.state == "parsed"}
            if not usable:
                first = outcomes[STYLES[0]]
                drops.add(row_id, f"respond_{first.state}", first.detail)
                continue
            lost = [
                f"{style}: {answer.state}: {answer.detail}" for style, answer in outcomes.items() if style not in usable
            ]
            row["missing_answer"] = lost[0] if lost else None
            for style, text in usable.items():
                kept.append(
                    self._row(
                        row, "ordinary", style, text, self.backend.name, self.prompt.label, self.backend.extractive
                    )
                )
            if row["reasoning"] is not None:
                written = (row["reasoning_model"], row["reasoning_prompt"], row["reasoning_extractive"])
                kept.append(self._row(row, "reasoning", "reasoning", row["reasoning"], *written))
        return Outcome(frame(Response, kept), drops.frame())

    @staticmethod
    def _row(
        row: dict[str, Any], kind: str, style: str, text: str, model: str, prompt: str, extractive: bool
    ) -> dict[str, Any]:
        return {
            **row,
            "response_id": content_id("response", row["instruction_id"], kind, style, text),
            "kind": kind,
            "style": style,
            "response": text,
            "response_model": model,
            "response_prompt": prompt,
            "extractive": extractive,
        }
