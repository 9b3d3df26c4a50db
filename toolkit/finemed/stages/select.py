"""Select: one question per passage, or none, by the published rule.

*Reads* and *writes* `JudgedInstruction`. *Drops* `mentions_details` (leans on details of the passage) and
`not_selected` (lost against the passage's other question; the detail names the winner and what decided).
*Reference*: FineMed (arXiv 2501.09213), section 3.1, and its released selection: a question that mentions specific
details loses; two such, none is taken; then the higher quality + difficulty + relevance, then quality + difficulty,
then quality, then a coin (here: a hash of the seed and the passage's id, so equal inputs give equal outcomes).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import polars as pl

from finemed.config import stable_hash
from finemed.records import JudgedInstruction
from finemed.stages.base import Contract, Outcome, split_rows


@dataclass(frozen=True)
class SelectStage:
    """Map stage: the questions of a passage lie in one shard."""

    seed: int
    contract: Contract = Contract.one_to_one("select", 1, JudgedInstruction, JudgedInstruction, "instruction_id")

    def settings(self) -> dict[str, Any]:
        return {"seed": self.seed}

    def apply(self, rows: pl.DataFrame) -> Outcome:
        return select(rows, self.seed)


def select(rows: pl.DataFrame, seed: int) -> Outcome:
    """Applies the rule to every group of questions with the same `passage_id`."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows.iter_rows(named=True):
        groups.setdefault(row["passage_id"], []).append(row)
    reasons: dict[str, tuple[str, str]] = {}
    for passage_id, questions in groups.items():
        able = []
        for question in questions:
            if question["mentions_details"]:
                reasons[question["instruction_id"]] = (
                    "mentions_details",
                    "leans on details that its reader cannot see",
                )
            else:
                able.append(question)
        while len(able) > 1:
            loser, winner, rule = _compare(able[0], able[1], seed, passage_id)
            reasons[loser["instruction_id"]] = ("not_selected", f"{rule}; winner {winner['instruction_id']}")
            able.remove(loser)
    return split_rows(rows, "instruction_id", reasons)


def _compare(
    first: dict[str, Any], second: dict[str, Any], seed: int, passage_id: str
) -> tuple[dict[str, Any], dict[str, Any], str]:
    """(loser, winner, what decided)."""
    keys: dict[str, Callable[[dict[str, Any]], int]] = {
        "quality + complexity + relevance": lambda row: int(row["quality"] + row["complexity"] + row["relevance"]),
        "quality + complexity": lambda row: int(row["quality"] + row["complexity"]),
        "quality": lambda row: int(row["quality"]),
    }
    for name, key in keys.items():
        left, right = key(first), key(second)
        if left != right:
            loser, winner = (first, second) if left < right else (second, first)
            return loser, winner, f"{name} {min(left, right)} < {max(left, right)}"
    ordered = sorted((first, second), key=lambda row: str(row["instruction_id"]))
    heads = int(stable_hash(["select", seed, passage_id])[:8], 16) % 2
    return ordered[heads], ordered[1 - heads], "a coin, all scores equal"
