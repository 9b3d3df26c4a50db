"""Judge: quality, complexity and relevance of every question.

*Reads* `Instruction`. *Writes* `JudgedInstruction`. *Drops* `judge_failed`: a question without a usable judgement is
held apart and never scored; the detail says whether the reply was unparsable, cut off, refused or an error.
A question that its source brought is judged beside its own answer, or alone.
*Reference*: FineMed (arXiv 2501.09213), section 3.1: quality and difficulty 1-10, relevance 1-6, case details yes/no.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from finemed.config import JudgeConfig
from finemed.llm.base import Backend, Request
from finemed.records import Instruction, JudgedInstruction, JudgementReply, frame
from finemed.stages.base import Answers, Contract, Drops, Outcome
from finemed.stages.calls import Caller, Egress

JUDGE_FAILED = "judge_failed"


class JudgeStage(Caller):
    """LLM stage: one call per question."""

    contract = Contract.one_to_one("judge", 2, Instruction, JudgedInstruction, "instruction_id")

    def __init__(self, config: JudgeConfig, backend: Backend, egress: Egress | None = None) -> None:
        super().__init__(config, backend, "judge", egress)

    def calls(self, rows: pl.DataFrame) -> Iterator[Request]:
        columns = ("instruction_id", "instruction", "text", "given_instruction", "given_response", "given_chosen")
        for row in rows.select(columns).iter_rows(named=True):
            given = row["given_instruction"] is not None
            text = (row["given_chosen"] or row["given_response"] or "") if given else row["text"]
            inputs = {"instruction": row["instruction"], "text": text, "given": given}
            yield self.request(row["instruction_id"], inputs, JudgementReply)

    def results(self, rows: pl.DataFrame, answers: Answers) -> Outcome:
        kept, drops = [], Drops()
        for row in rows.iter_rows(named=True):
            answer = answers[row["instruction_id"], self.prompt.name]
            if answer.state != "parsed":
                drops.add(row["instruction_id"], JUDGE_FAILED, f"{answer.state}: {answer.detail}")
                continue
            reply: JudgementReply = answer.value
            kept.append(
                {
                    **row,
                    "quality": reply.quality,
                    "complexity": reply.difficulty,
                    "relevance": reply.relevance_to_medicine,
                    "mentions_details": reply.mention_specific_details,
                    "rationale": reply.rationale,
                    "judge_model": self.backend.name,
                    "judge_prompt": self.prompt.label,
                }
            )
        return Outcome(frame(JudgedInstruction, kept), drops.frame())
