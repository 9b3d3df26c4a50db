"""Generate: two questions of different task type from each passage.

*Reads* `ClassifiedPassage`. *Writes* `Instruction`, two per passage (one where both questions are the same). *Drops*
`generate_unparsable`, `generate_truncated`, `generate_refused`, `generate_error`.
*Reference*: FineMed (arXiv 2501.09213), section 3.1: two questions per passage, temperature 1.0, top_p 0.9.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from finemed.config import GenerateConfig
from finemed.llm.base import Backend, Request
from finemed.records import (
    OTHER_TASK,
    TASK_TYPES,
    ClassifiedPassage,
    Instruction,
    QuestionsReply,
    content_id,
    frame,
    frame_schema,
)
from finemed.stages.base import Answers, Contract, Drops, Outcome
from finemed.stages.calls import Caller, Egress


class GenerateStage(Caller):
    """LLM stage: one call per passage."""

    contract = Contract(
        "generate", 1, frame_schema(ClassifiedPassage), Instruction, "passage_id", "instruction_id", ("passage_id",)
    )

    def __init__(self, config: GenerateConfig, backend: Backend, egress: Egress | None = None) -> None:
        super().__init__(config, backend, "generate", egress)

    def calls(self, rows: pl.DataFrame) -> Iterator[Request]:
        columns = ("passage_id", "title", "text", "department", "subdepartment")
        for row in rows.select(columns).iter_rows(named=True):
            inputs = {name: row[name] for name in columns[1:]} | {"task_types": TASK_TYPES}
            yield self.request(row["passage_id"], inputs, QuestionsReply)

    def results(self, rows: pl.DataFrame, answers: Answers) -> Outcome:
        kept, drops = [], Drops()
        for row in rows.iter_rows(named=True):
            answer = answers[row["passage_id"], self.prompt.name]
            if answer.state != "parsed":
                drops.add(row["passage_id"], f"generate_{answer.state}", answer.detail)
                continue
            reply: QuestionsReply = answer.value
            pairs = {reply.question1: reply.task_type1}
            pairs.setdefault(reply.question2, reply.task_type2)
            for question, task_type in pairs.items():
                kept.append(
                    {
                        **row,
                        "instruction_id": content_id("instruction", row["passage_id"], question),
                        "instruction": question,
                        "task_type": task_type if task_type in TASK_TYPES else OTHER_TASK,
                        "instruction_model": self.backend.name,
                        "instruction_prompt": self.prompt.label,
                    }
                )
        return Outcome(frame(Instruction, kept), drops.frame())
