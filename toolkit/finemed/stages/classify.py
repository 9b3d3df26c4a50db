"""Classify: each passage's place in the department tree.

*Reads* `ScannedPassage`. *Writes* `ClassifiedPassage`; `none` is an answer, at both levels. *Drops*
`classify_<state>` where the backend gave no usable answer, held apart rather than called `none`.
*Reference*: FineMed (arXiv 2501.09213), section 3.2 and figure 2; the tree is `schemas/taxonomy.yaml`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl

from finemed.config import ClassifyConfig
from finemed.llm.base import Backend, Request
from finemed.llm.structured import UnparsableError, parse_json
from finemed.records import ClassificationReply, ClassifiedPassage, ScannedPassage, frame
from finemed.stages.base import Answers, Contract, Drops, Outcome
from finemed.stages.calls import Caller, Egress
from finemed.taxonomy import NONE_LABEL, Taxonomy


class ClassifyStage(Caller):
    """LLM stage: one call per passage."""

    contract = Contract.one_to_one("classify", 2, ScannedPassage, ClassifiedPassage, "passage_id")

    def __init__(
        self, config: ClassifyConfig, backend: Backend, taxonomy: Taxonomy, egress: Egress | None = None
    ) -> None:
        super().__init__(config, backend, "classify", egress)
        self._taxonomy = taxonomy
        self._outline = taxonomy.outline()
        self._labels = {node.label: {child.label for child in node.children} for node in taxonomy.departments}

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "taxonomy": self._taxonomy.content_hash()}

    def calls(self, rows: pl.DataFrame) -> Iterator[Request]:
        for row_id, title, text, language in rows.select("passage_id", "title", "text", "language").iter_rows():
            inputs = {"title": title, "text": text, "language": language, "outline": self._outline}
            yield self.request(row_id, inputs, ClassificationReply)

    def parse(self, request: Request, text: str) -> ClassificationReply:
        """A label that is not in the tree, or a sub-department of another department, is not an answer."""
        reply = parse_json(text, ClassificationReply)
        if reply.department == NONE_LABEL:
            return reply.model_copy(update={"subdepartment": NONE_LABEL})
        if reply.department not in self._labels:
            raise UnparsableError(f"`department`: {reply.department!r} is not in the tree")
        if reply.subdepartment != NONE_LABEL and reply.subdepartment not in self._labels[reply.department]:
            raise UnparsableError(f"`subdepartment`: {reply.subdepartment!r} is not in {reply.department}")
        return reply

    def results(self, rows: pl.DataFrame, answers: Answers) -> Outcome:
        kept, drops = [], Drops()
        for row in rows.iter_rows(named=True):
            answer = answers[row["passage_id"], self.prompt.name]
            if answer.state != "parsed":
                drops.add(row["passage_id"], f"classify_{answer.state}", answer.detail)
                continue
            kept.append(
                {
                    **row,
                    "department": answer.value.department,
                    "subdepartment": answer.value.subdepartment,
                    "department_confidence": answer.value.confidence,
                    "classify_model": self.backend.name,
                }
            )
        return Outcome(frame(ClassifiedPassage, kept), drops.frame())
