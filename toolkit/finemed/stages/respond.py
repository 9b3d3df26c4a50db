"""Respond: two ordinary answers in different styles, beside the long one where there is one.

*Reads* `ReasonedInstruction`. *Writes* `Response`: one row per answer. *Drops* a question without a single usable
ordinary answer under `respond_<state>` of its first answer; a question with one keeps it. An answer that the source
brings is taken word for word, as the only one.
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
from finemed.stages.calls import Caller, Egress, span_rows
from finemed.stages.given import GIVEN, background

STYLES = ("concise", "explanatory")


class RespondStage(Caller):
    """LLM stage: two calls per question without an answer of its own."""

    contract = Contract(
        "respond", 2, frame_schema(ReasonedInstruction), Response, "instruction_id", "response_id", ("instruction_id",)
    )

    def __init__(self, config: RespondConfig, backend: Backend, egress: Egress | None = None) -> None:
        super().__init__(config, backend, "respond", egress)

    def calls(self, rows: pl.DataFrame) -> Iterator[Request]:
        columns = ("instruction_id", "title", "text", "instruction", "given_instruction")
        unanswered = rows.filter(pl.col("given_response").is_null())
        for row in unanswered.select(columns).iter_rows(named=True):
            for style in STYLES:
                inputs = {
                    "title": row["title"],
                    "text": background(row),
                    "instruction": row["instruction"],
                    "style": style,
                }
                yield self.request(row["instruction_id"], inputs, label=style)

    def results(self, rows: pl.DataFrame, answers: Answers) -> Outcome:
        kept, drops = [], Drops()
        for row in rows.iter_rows(named=True):
            row["missing_answer"] = None
            if row["given_response"] is not None:
                kept.append(self._row(row, "ordinary", GIVEN, row["given_response"], GIVEN, GIVEN, False))
            else:
                written = self._written(row, answers, drops)
                if not written:
                    continue
                kept.extend(written)
            if row["reasoning"] is not None:
                long = (row["reasoning_model"], row["reasoning_prompt"], row["reasoning_extractive"])
                spans = row["reasoning_spans"]
                kept.append(self._row(row, "reasoning", "reasoning", row["reasoning"], *long, spans=spans))
        return Outcome(frame(Response, kept), drops.frame())

    def _written(self, row: dict[str, Any], answers: Answers, drops: Drops) -> list[dict[str, Any]]:
        """The backend's usable answers; the question is dropped where there is none."""
        row_id = row["instruction_id"]
        outcomes = {style: answers[row_id, style] for style in STYLES}
        usable = {style: answer for style, answer in outcomes.items() if answer.state == "parsed"}
        if not usable:
            first = outcomes[STYLES[0]]
            drops.add(row_id, f"respond_{first.state}", first.detail)
            return []
        lost = [
            f"{style}: {answer.state}: {answer.detail}" for style, answer in outcomes.items() if style not in usable
        ]
        row["missing_answer"] = lost[0] if lost else None
        by_backend = (self.backend.name, self.prompt.label, self.backend.extractive)
        return [
            self._row(row, "ordinary", style, answer.value, *by_backend, spans=span_rows(answer.spans))
            for style, answer in usable.items()
        ]

    @staticmethod
    def _row(
        row: dict[str, Any],
        kind: str,
        style: str,
        text: str,
        model: str,
        prompt: str,
        extractive: bool,
        *,
        spans: list[dict[str, int]] | None = None,
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
            "answer_spans": spans,
        }
