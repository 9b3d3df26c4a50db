"""Generate: two questions of different task type from each passage.

*Reads* `ClassifiedPassage`. *Writes* `Instruction`, two per passage; of a row whose source brings a question, that one,
without a call. *Drops* `generate_unparsable` (no such JSON, one question twice, one task type twice),
`generate_truncated`, `generate_refused`, `generate_error`.
*Reference*: FineMed (arXiv 2501.09213), section 3.1: two questions per passage, temperature 1.0, top_p 0.9.

Every passage is offered the task types in an order of its own and draws a target difficulty, both from a hash of its
id, so that a corpus is balanced and a passage's prompt does not depend on its neighbours. Questions that point at the
passage ("the text above") are left to the judge: one of a pair may be sound, and a re-ask would lose it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl
import xxhash

from finemed.config import GenerateConfig
from finemed.llm.base import Backend, Request
from finemed.llm.rules.questions import guess_task
from finemed.llm.structured import UnparsableError
from finemed.records import (
    DIFFICULTIES,
    OTHER_TASK,
    TASK_TYPES,
    ClassifiedPassage,
    Difficulty,
    Instruction,
    QuestionsReply,
    content_id,
    frame,
    frame_schema,
)
from finemed.stages.base import Answers, Contract, Drops, Outcome
from finemed.stages.calls import Caller, Egress
from finemed.stages.given import GIVEN
from finemed.text.normalise import words

_INPUTS = ("title", "text", "language", "department", "subdepartment")


class GenerateStage(Caller):
    """LLM stage: one call per passage that does not bring its question."""

    contract = Contract(
        "generate", 2, frame_schema(ClassifiedPassage), Instruction, "passage_id", "instruction_id", ("passage_id",)
    )

    def __init__(self, config: GenerateConfig, backend: Backend, egress: Egress | None = None) -> None:
        super().__init__(config, backend, "generate", egress)
        self._task_types = config.task_types
        self._difficulty = config.difficulty

    def calls(self, rows: pl.DataFrame) -> Iterator[Request]:
        asked = rows.filter(pl.col("given_instruction").is_null())
        for row in asked.select("passage_id", *_INPUTS).iter_rows(named=True):
            row_id = row.pop("passage_id")
            steering = {
                "task_types": offered_types(row_id, self._task_types),
                "difficulty": target_difficulty(row_id, self._difficulty),
            }
            yield self.request(row_id, row | steering, QuestionsReply)

    def parse(self, request: Request, text: str) -> QuestionsReply:
        """The reply; raises where it asks the same thing twice."""
        reply: QuestionsReply = super().parse(request, text)
        if words(reply.question1) == words(reply.question2):
            raise UnparsableError("`question2` repeats `question1`")
        if _task_name(reply.task_type1) == _task_name(reply.task_type2):
            raise UnparsableError(f"`task_type1` and `task_type2` are both {_task_name(reply.task_type1)!r}")
        return reply

    def results(self, rows: pl.DataFrame, answers: Answers) -> Outcome:
        kept, drops = [], Drops()
        for row in rows.iter_rows(named=True):
            row_id, given = row["passage_id"], row["given_instruction"]
            if given is not None:
                kept.append(_instruction(row, given, guess_task(given), None, GIVEN, GIVEN))
                continue
            answer = answers[row_id, self.prompt.name]
            if answer.state != "parsed":
                drops.add(row_id, f"generate_{answer.state}", answer.detail)
                continue
            reply: QuestionsReply = answer.value
            difficulty = target_difficulty(row_id, self._difficulty)
            for question, task in ((reply.question1, reply.task_type1), (reply.question2, reply.task_type2)):
                named = _task_name(task)
                known = named if named in TASK_TYPES else OTHER_TASK
                kept.append(_instruction(row, question, known, difficulty, self.backend.name, self.prompt.label))
        return Outcome(frame(Instruction, kept), drops.frame())


def offered_types(passage_id: str, task_types: Sequence[str]) -> list[str]:
    """The task types in this passage's own order; over many passages each stands equally often at each place."""
    code = xxhash.xxh64_intdigest(passage_id.encode())
    rest, order = sorted(task_types), []
    while rest:
        code, place = divmod(code, len(rest))
        order.append(rest.pop(place))
    return order


def target_difficulty(passage_id: str, weights: Mapping[Difficulty, float]) -> Difficulty:
    """The level that the passage draws."""
    levels = [level for level in DIFFICULTIES if weights.get(level, 0) > 0]
    point = xxhash.xxh64_intdigest(passage_id.encode(), seed=1) / 2**64 * sum(weights[level] for level in levels)
    for level in levels:
        point -= weights[level]
        if point < 0:
            return level
    return levels[-1]


def _task_name(name: str) -> str:
    """The name as the rows write it: "Differential diagnosis" is `differential_diagnosis`."""
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def _instruction(
    row: Mapping[str, Any], question: str, task: str, difficulty: str | None, model: str, prompt: str
) -> dict[str, Any]:
    return {
        **row,
        "instruction_id": content_id("instruction", row["passage_id"], question),
        "instruction": question,
        "task_type": task,
        "target_difficulty": difficulty,
        "instruction_model": model,
        "instruction_prompt": prompt,
    }
