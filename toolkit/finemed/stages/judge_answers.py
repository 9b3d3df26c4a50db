"""Judge of the answers: grounded, correct, complete, safe.

*Reads* `Response`. *Writes* `JudgedResponse`. *Drops* `ungrounded_number`: a written answer with a dose, a percentage
or another quantity that neither passage nor question holds, before its judgement is paid for; `judge_failed`: an answer
without a usable judgement is held apart and never scored.
Answers to a question that its source brought are judged without a background text.
*Reference*: stands where FineMed (arXiv 2501.09213) uses a reward model; a rubric says why an answer lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl

from finemed.config import JudgeAnswersConfig
from finemed.llm.base import Backend, Request
from finemed.records import AnswerJudgementReply, JudgedResponse, Response, frame
from finemed.stages.base import Answers, Contract, Drops, Outcome
from finemed.stages.calls import Caller, Egress
from finemed.stages.given import background
from finemed.stages.judge import JUDGE_FAILED
from finemed.text.numbers import ungrounded_numbers

UNGROUNDED = "ungrounded_number"


def ungrounded(row: dict[str, Any]) -> str | None:
    """Quantities of a written answer that neither its passage nor its question holds, such as ``5 mg; 40 %``."""
    passage = background(row)
    if row["extractive"] or not passage:
        return None
    found = ungrounded_numbers(row["response"], passage, row["instruction"])
    return "; ".join(dict.fromkeys(quantity.value for quantity in found)) or None


class JudgeAnswersStage(Caller):
    """LLM stage: one call per answer."""

    contract = Contract.one_to_one("judge_answers", 3, Response, JudgedResponse, "response_id")

    def __init__(self, config: JudgeAnswersConfig, backend: Backend, egress: Egress | None = None) -> None:
        super().__init__(config, backend, "judge_answer", egress)
        self._drops = config.drop_ungrounded_numbers

    def calls(self, rows: pl.DataFrame) -> Iterator[Request]:
        columns = ("response_id", "text", "instruction", "response", "given_instruction")
        for row in rows.select(*columns, "extractive").iter_rows(named=True):
            if self._drops and ungrounded(row):
                continue
            inputs = {"text": background(row), "instruction": row["instruction"], "response": row["response"]}
            yield self.request(row["response_id"], inputs, AnswerJudgementReply)

    def results(self, rows: pl.DataFrame, answers: Answers) -> Outcome:
        kept, drops = [], Drops()
        for row in rows.iter_rows(named=True):
            numbers = ungrounded(row)
            if numbers and self._drops:
                drops.add(row["response_id"], UNGROUNDED, numbers)
                continue
            answer = answers[row["response_id"], self.prompt.name]
            if answer.state != "parsed":
                drops.add(row["response_id"], JUDGE_FAILED, f"{answer.state}: {answer.detail}")
                continue
            reply: AnswerJudgementReply = answer.value
            scores = {
                "grounded": reply.grounded,
                "correct": reply.correct,
                "complete": reply.complete,
                "safe": reply.safe,
            }
            kept.append(
                {
                    **row,
                    **scores,
                    "ungrounded_numbers": numbers,
                    "response_score": sum(scores.values()) / len(scores),
                    "response_rationale": reply.rationale,
                    "answer_judge_model": self.backend.name,
                    "answer_judge_prompt": self.prompt.label,
                }
            )
        return Outcome(frame(JudgedResponse, kept), drops.frame())
