"""Split: samples to pools (`sft`, `sft_reasoning`, `dpo`, `ttt`) and to train, validation and test.

*Reads* `Sample`. *Writes* `PooledSample`: a common sample once (`sft`), a complex one once (`ttt`) or twice (`dpo` and
`sft_reasoning`, whose answer is the chosen side). *Drops* `beyond_mixture` and `beyond_quota` where `split.mixture` and
`split.max_rows` say so, `bridges_splits` where earlier versions have the like of a row on two sides; fails where a pool
stays below its minimum size.
*Reference*: FineMed (arXiv 2501.09213), section 4; its TTT pool held data that the model was trained on, ours does not.

Questions of one document, and questions that are near-duplicates of each other, or that have near-duplicate passages or
answers, form a component (`stages.components`). A component lies in one split, and not in `ttt` and another pool. What
earlier versions published stays where it was, and what is like it goes there too (`stages.earlier`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from finemed.config import SplitConfig, identity
from finemed.errors import InternalError
from finemed.records import SPLITS, PooledSample, Sample, content_id, frame, frame_schema
from finemed.stages.assignment import FACTS, Assignment, Pinned, assign, large_components
from finemed.stages.base import Contract, Drops, Outcome, Rows
from finemed.stages.components import ANSWER_LEAST, ANSWER_NGRAM, QUESTION_NGRAM, Alike, Components, components
from finemed.stages.earlier import Held, Link, hold
from finemed.store.earlier import Earlier

LARGE_SHARE, LARGE_ROWS, LARGE_SHOWN = 0.01, 5, 20
"""A component above this share and of so many rows at least is reported, up to so many of them."""


def alike(config: SplitConfig, *, answers: bool) -> tuple[Alike, ...]:
    """What joins questions: similar questions, passages and, once they are there, answers."""
    rules = (
        Alike(("instruction",), QUESTION_NGRAM, config.component_threshold),
        Alike(("text",), ANSWER_NGRAM, config.passage_threshold),
    )
    return (
        (*rules, Alike(("response", "reasoning"), ANSWER_NGRAM, config.answer_threshold, ANSWER_LEAST))
        if answers
        else rules
    )


def held_against(
    shards: Rows, found: Components, config: SplitConfig, earlier: Earlier | None, *, answers: bool
) -> Held | None:
    """The sides of earlier versions; None where there are none to hold rows against.

    Raises:
        InternalError: the settings name earlier versions that nobody opened.
    """
    if earlier is None:
        if config.previous:
            raise InternalError(f"`split.previous` names {', '.join(config.previous)}, and nobody opened them")
        return None
    kinds = ("question", None, "answer")
    links = [Link(rule, kind) for rule, kind in zip(alike(config, answers=answers), kinds, strict=False)]
    same = "document_id" if config.whole_documents else None
    keys = ("instruction_id", "passage_id")
    return hold(shards, "instruction_id", found, links, earlier, keys=keys, same=same)


def pinned(held: Held | None) -> Pinned | None:
    """The sides as an assignment takes them."""
    if held is None:
        return None
    gone = np.zeros(held.side.size, dtype=np.bool_)
    gone[list(held.gone)] = True
    ttt = held.side >= len(SPLITS)
    return Pinned(np.where(ttt, held.side - len(SPLITS), held.side).astype(np.int8), ttt, gone)


@dataclass(frozen=True)
class Placed:
    """An assignment, and what the large components are about."""

    rows: Assignment
    large: list[dict[str, Any]] = field(default_factory=list)
    held: Held | None = None


@dataclass(frozen=True)
class SplitStage:
    """Global stage: reads all samples twice; holds ids, taxonomy and sketches of questions, passages and answers."""

    config: SplitConfig
    seed: int
    earlier: Earlier | None = None
    """What earlier versions published."""
    contract: Contract = Contract(
        "split", 3, frame_schema(Sample), PooledSample, "instruction_id", "row_id", ("instruction_id",)
    )

    def settings(self) -> dict[str, Any]:
        before = {"previous": self.earlier.content_hash} if self.earlier else {}
        return {**identity(self.config), "seed": self.seed, **before}

    def fit(self, shards: Rows) -> Placed:
        facts = (*FACTS, (pl.col("route") == "complex").alias("complex"))
        same = "document_id" if self.config.whole_documents else None
        found = components(shards, "instruction_id", facts, alike(self.config, answers=True), same=same)
        held = held_against(shards, found, self.config, self.earlier, answers=True)
        found = held.found if held else found
        return Placed(assign(found, self.config, self.seed, pinned(held)), describe_large(shards, found), held)

    def apply(self, state: Placed, rows: pl.DataFrame) -> Outcome:
        placed: list[dict[str, Any]] = []
        drops = Drops()
        assigned = state.rows
        positions = assigned.found.ids.search_sorted(rows["instruction_id"]).to_list()
        for row, position in zip(rows.iter_rows(named=True), positions, strict=True):
            if state.held and position in state.held.gone:
                drops.add(row["instruction_id"], "bridges_splits", state.held.gone[position])
            elif assigned.reason[position]:
                drops.add(row["instruction_id"], *assigned.reasons[assigned.reason[position]])
            else:
                placed.extend(_place(row, assigned, position))
        return Outcome(frame(PooledSample, placed), drops.frame())

    def report(self, state: Placed) -> dict[str, Any]:
        found = state.rows.found
        rows = found.ids.len()
        several = sum(found.sizes.values())
        return {
            "bytes_per_row": round(found.nbytes / max(1, rows)),
            "components": rows - several + len(found.sizes),
            "largest_component": max(found.sizes.values(), default=min(1, rows)),
            "large_components": state.large,
            "compared": found.compared,
            "joined_unverified": found.unverified,
            "pools": state.rows.counts,
            **({"previous": state.held.facts} if state.held else {}),
        }


def describe_large(shards: Rows, found: Components) -> list[dict[str, Any]]:
    """The components above 1% of the rows: id, rows, share, and title or first words of the smallest row."""
    big = {found.ids[name]: rows for name, rows in large_components(found, LARGE_SHARE, LARGE_ROWS)[:LARGE_SHOWN]}
    if not big:
        return []
    examples: dict[str, str] = {}
    wanted = pl.Series(sorted(big)).implode()
    for shard in shards.again():
        rows = shard.select("instruction_id", "title", "instruction").filter(pl.col("instruction_id").is_in(wanted))
        for name, title, question in rows.iter_rows():
            examples[name] = " ".join((title or question).split()[:10])
    return [
        {"component_id": name, "rows": rows, "share": round(rows / found.ids.len(), 4), "example": examples[name]}
        for name, rows in big.items()
    ]


def _place(row: dict[str, Any], assigned: Assignment, position: int) -> list[dict[str, Any]]:
    answers = [row["response_id"], row["reasoning_id"] or ""]
    if row["route"] == "common":
        pools: tuple[str, ...] = ("sft",)
    else:
        pools = ("ttt",) if assigned.ttt[position] else ("dpo", "sft_reasoning")
    where = {
        "split": SPLITS[assigned.split[position]],
        "component_id": assigned.found.ids[int(assigned.found.component[position])],
    }
    return [{**row, **where, "pool": pool, "row_id": content_id("row", pool, *answers)} for pool in pools]
