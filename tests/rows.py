"""Small rows with all columns, a scripted backend, and one way to run a stage: what the stage tests are built from.

::

    judged(instruction_id="i1", quality=9)  ->  a dict with every column of `JudgedInstruction`
    run_stage(JudgeStage(config, Scripted(lambda request: "{}")), frame(Instruction, [question()]))
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from finemed.engines.base import Silent
from finemed.engines.local import run_global, run_llm, run_map
from finemed.llm.base import Completion, Request, silent
from finemed.models import profile_for
from finemed.pipeline.reconcile import reconcile
from finemed.records import (
    CheckedInstruction,
    ClassifiedPassage,
    Instruction,
    JudgedInstruction,
    JudgedResponse,
    Passage,
    PooledSample,
    ReasonedInstruction,
    Response,
    RoutedInstruction,
    Row,
    Sample,
    ScannedPassage,
    frame,
)
from finemed.stages.base import Outcome
from finemed.store.journal import Journal

_VALUES: dict[str, Any] = {
    "passage_id": "p1",
    "missing_answer": None,
    "document_id": "d1",
    "record_id": "demo/corpus.jsonl:1",
    "span_start": 0,
    "span_end": 30,
    "title": "Croup",
    "text": "Croup is a viral infection of the larynx. A barking cough gives it away.",
    "source": "demo",
    "license": "CC0-1.0",
    "attribution": "Somebody",
    "url": "https://example.org/croup",
    "language": "en",
    "source_id": "17",
    "extra": None,
    "given_instruction": None,
    "given_response": None,
    "given_chosen": None,
    "phi_state": "none_found",
    "phi_kinds": None,
    "phi_confidence": 0.0,
    "department": "Pediatrics",
    "subdepartment": "Pediatric Internal Medicine",
    "department_confidence": 0.9,
    "classify_model": "fake",
    "instruction_id": "i1",
    "instruction": "How is croup recognised?",
    "task_type": "presentation",
    "target_difficulty": "intermediate",
    "instruction_model": "fake",
    "instruction_prompt": "generate@1",
    "quality": 7,
    "complexity": 5,
    "relevance": 6,
    "mentions_details": False,
    "rationale": "Clear.",
    "judge_model": "fake",
    "judge_prompt": "judge@1",
    "contamination": None,
    "route": "common",
    "response_id": "r1",
    "kind": "ordinary",
    "style": "concise",
    "response": "By its barking cough.",
    "response_model": "fake",
    "response_prompt": "respond@1",
    "extractive": False,
    "answer_spans": None,
    "grounded": 8,
    "correct": 8,
    "complete": 8,
    "safe": 8,
    "ungrounded_numbers": None,
    "response_score": 8.0,
    "response_rationale": "Grounded.",
    "answer_judge_model": "fake",
    "answer_judge_prompt": "judge_answer@1",
    "model_name": "fake",
    "reasoning_id": None,
    "reasoning": None,
    "reasoning_model": None,
    "reasoning_prompt": None,
    "reasoning_extractive": None,
    "reasoning_spans": None,
    "reasoning_score": None,
    "row_id": "s1",
    "pool": "sft",
    "split": "train",
    "component_id": "i1",
}


def make(row: type[Row], **overrides: Any) -> dict[str, Any]:
    """A valid row of this class; a column that it does not have is a mistake of the test."""
    values = {name: _VALUES[name] for name in row.model_fields} | overrides
    return row.model_validate(values).model_dump()


def passage(**overrides: Any) -> dict[str, Any]:
    return make(Passage, **overrides)


def scanned(**overrides: Any) -> dict[str, Any]:
    return make(ScannedPassage, **overrides)


def classified(**overrides: Any) -> dict[str, Any]:
    return make(ClassifiedPassage, **overrides)


def question(**overrides: Any) -> dict[str, Any]:
    return make(Instruction, **overrides)


def judged(**overrides: Any) -> dict[str, Any]:
    return make(JudgedInstruction, **overrides)


def checked(**overrides: Any) -> dict[str, Any]:
    return make(CheckedInstruction, **overrides)


def routed(**overrides: Any) -> dict[str, Any]:
    return make(RoutedInstruction, **overrides)


def reasoned(**overrides: Any) -> dict[str, Any]:
    return make(ReasonedInstruction, **overrides)


def response(**overrides: Any) -> dict[str, Any]:
    return make(Response, **overrides)


def judged_response(**overrides: Any) -> dict[str, Any]:
    return make(JudgedResponse, **overrides)


def sample(**overrides: Any) -> dict[str, Any]:
    return make(Sample, **overrides)


def pooled(**overrides: Any) -> dict[str, Any]:
    return make(PooledSample, **overrides)


Script = Callable[[Request], str | Completion]


class Scripted:
    """A backend whose replies a function writes; it remembers what it was asked."""

    local = True
    free = False
    extractive = False

    def __init__(self, script: Script, *, name: str = "scripted", backwards: bool = False) -> None:
        self.name = name
        self.say: Callable[[str], None] = silent
        self.profile = profile_for(None)
        self.asked: list[Request] = []
        self._script = script
        self._backwards = backwards

    def ready(self) -> None:
        """Always."""

    def probe(self) -> None:
        """Nothing to learn."""

    def probed(self, completion: Completion) -> None:
        """Never called."""

    def identity(self) -> dict[str, Any]:
        return {"type": "scripted", "name": self.name}

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """In order, or all read ahead and answered from the last to the first."""
        for request in reversed(list(requests)) if self._backwards else requests:
            self.asked.append(request)
            reply = self._script(request)
            yield reply if isinstance(reply, Completion) else Completion(request, reply, "stop")

    def close(self) -> None:
        pass


def numbered(*spans: range) -> str:
    """Words with these numbers, such as `word3 word4`."""
    return " ".join(f"word{n}" for span in spans for n in span)


FAILURES: dict[str, Script] = {
    "unparsable": lambda request: "I would rather talk about the weather.",
    "truncated": lambda request: Completion(request, '{"quality": 9, "diffic', "length"),
    "refused": lambda request: Completion(request, "", "refused", detail="content filter"),
    "error": lambda request: Completion(request, "", "error", detail="status 400"),
}
"""One script for each state that is not an answer."""


def reply(**values: Any) -> Script:
    """A script that always replies with this JSON object."""
    return lambda request: json.dumps(values)


@dataclass
class Memory:
    """A sink that accounts for each shard as the pipeline does and keeps it."""

    contract: Any
    written: dict[int, Outcome] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)

    def done(self, index: int) -> bool:
        return index in self.written

    def write(self, index: int, rows: pl.DataFrame, outcome: Outcome) -> None:
        reconcile(self.contract, rows, outcome)
        self.written[index] = outcome
        self.order.append(index)

    def outcome(self) -> Outcome:
        parts = [self.written[index] for index in sorted(self.written)]
        noted = [part.noted for part in parts if part.noted is not None]
        return Outcome(
            pl.concat([part.kept for part in parts]),
            pl.concat([part.dropped for part in parts]),
            pl.concat(noted) if noted else None,
        )


def run_shards(stage: Any, shards: list[pl.DataFrame], journal: Journal | None = None) -> Memory:
    """Runs a stage of any kind on the local engine; every shard is reconciled."""
    sink = Memory(stage.contract)

    def opened() -> Iterator[tuple[int, pl.DataFrame]]:
        return enumerate(shards)

    if hasattr(stage, "requests"):
        run_llm(stage, opened, sink, journal, Silent())
    elif hasattr(stage, "fit"):
        run_global(stage, opened, sink, Silent())
    else:
        run_map(stage, opened, sink, Silent())
    return sink


def run_stage(stage: Any, row: type[Row], rows: list[dict[str, Any]]) -> Outcome:
    """Runs a stage on one shard of rows of this class."""
    return run_shards(stage, [frame(row, rows)]).outcome()


def reasons(outcome: Outcome) -> dict[str, str]:
    """Dropped id -> reason."""
    return dict(outcome.dropped.select("row_id", "drop_reason").iter_rows())


def details(outcome: Outcome) -> dict[str, str]:
    """Dropped id -> detail."""
    return dict(outcome.dropped.select("row_id", "detail").iter_rows())
