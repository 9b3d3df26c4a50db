"""The rules about the rows of a release, each over a batch of rows at once.

::

    check_judge(Batch("sft", "train", 0, table), faults)
    # sft/train:17, id s3f0...: `quality` is 11, above 10; ...

What follows from the row classes (types, bounds, where a null may be) is read from their JSON Schemas.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

import polars as pl

from finemed.publish.checks.faults import Faults
from finemed.publish.checks.turns import Turns, is_visible
from finemed.publish.pools import pool_of
from finemed.records import json_schema

REBUILD = "find the cause in the run (`finemed ledger`), then build again"
RETRACT = "take the row out with `finemed retract --id`"
CONVERSATIONS = ("messages", "prompt", "completion", "chosen", "rejected")
ENDS = {"messages": ("user", "assistant"), "prompt": ("user", "user")}
"""Who begins and who ends in a column of messages; in all others the assistant does both."""


@dataclass(frozen=True)
class Batch:
    """Some rows of one file."""

    config: str
    split: str
    first: int
    """Rows of the file before these."""
    table: Any
    """The Arrow record batch, with those columns that have the right type."""
    _turns: dict[str, Turns] = field(default_factory=dict)

    @cached_property
    def frame(self) -> pl.DataFrame:
        return pl.DataFrame(pl.from_arrow(self.table))

    def turns(self, name: str) -> Turns:
        """The messages of a column, laid out once."""
        if name not in self._turns:
            self._turns[name] = Turns(self.table.column(name))
        return self._turns[name]

    def place(self, row: int) -> str:
        """Config, split, number of the row in its file, counted from 1, and its id."""
        known = self.frame["id"][row] if "id" in self.frame.columns else None
        return f"{self.config}/{self.split}:{self.first + row + 1}" + (f", id {known[:60]!a}" if known else "")

    def has(self, faults: Faults, rule: str, *columns: str) -> bool:
        """Whether a rule can be applied; where not, the report says what lacks."""
        missing = [name for name in columns if name not in self.frame.columns]
        if missing:
            faults.skip(rule, f"{self.config}/{self.split} has no usable column {', '.join(missing)}")
        else:
            faults.apply(rule)
        return not missing


# --- schema and judge: what the JSON Schemas say ---------------------------------------------------------------------


@cache
def properties(config: str) -> dict[str, dict[str, Any]]:
    """The columns of a config as its JSON Schema has them."""
    return dict(json_schema("preference" if pool_of(config) == "dpo" else "chat")["properties"])


def _choices(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return list(schema.get("anyOf", [schema]))


def _bounds() -> dict[str, tuple[float, float]]:
    """Least and highest value of each score of a published row."""
    judged = json_schema("response")["properties"]
    found = {name: (prop["minimum"], prop["maximum"]) for name, prop in judged.items() if "maximum" in prop}
    return found | dict.fromkeys(("chosen_score", "rejected_score"), found["response_score"])


SCORES = _bounds()
_REASONS = ("rationale", "judge_model", "judge_prompt", "answer_judge_model", "answer_judge_prompt")
_ELSEWHERE = frozenset(("id", "messages", "prompt", "completion", "chosen", "rejected", *SCORES, *_REASONS))
"""Columns whose nulls another rule tells of."""


def check_values(batch: Batch, faults: Faults) -> None:
    """`schema`: no null where none may be, and no other value than those of the schema."""
    faults.apply("schema")
    frame, known = batch.frame, properties(batch.config)
    counted = frame.null_count().row(0, named=True) if frame.width else {}
    nulls = {name: count for name, count in counted.items() if name in known}  # a source's own columns may be null
    for name, count in nulls.items():
        if count and name not in _ELSEWHERE and not any(kind.get("type") == "null" for kind in _choices(known[name])):
            row = frame[name].is_null().arg_true()[0]
            faults.add("schema", batch.place(row), f"`{name}` is null; {count} such rows here", REBUILD, count=count)
    values = {name: [value for kind in _choices(known[name]) for value in kind.get("enum", [])] for name in nulls}
    closed = {name: allowed for name, allowed in values.items() if allowed}
    wrong = frame.select(~pl.col(name).is_in(allowed).fill_null(value=True) for name, allowed in closed.items())
    for name, allowed in closed.items():
        if rows := wrong[name].arg_true().to_list():
            fact = f"`{name}` is {frame[name][rows[0]][:40]!a}, not one of {', '.join(allowed)}"
            faults.add("schema", batch.place(rows[0]), fact, REBUILD, count=len(rows))


def check_judge(batch: Batch, faults: Faults) -> None:
    """`judge`: scores in range, and the reason for them."""
    wanted = [name for name in properties(batch.config) if name in SCORES or name in _REASONS]
    if not batch.has(faults, "judge", *wanted):
        return
    remedy = f"a failed judgement is no score: {REBUILD}"
    sound = {name: pl.col(name).is_between(*SCORES[name]) if name in SCORES else is_visible(name) for name in wanted}
    wrong = batch.frame.select((~rule.fill_null(value=False)).alias(name) for name, rule in sound.items())
    for name in wanted:
        for row in wrong[name].arg_true():
            value, (least, most) = batch.frame[name][row], SCORES.get(name, (0, 0))
            stated = value is not None and name in SCORES
            fact = f"`{name}` is {value}, outside {least} to {most}" if stated else f"`{name}` is missing"
            faults.add("judge", batch.place(row), fact, remedy)


# --- messages --------------------------------------------------------------------------------------------------------


def check_messages(batch: Batch, faults: Faults) -> None:
    """`messages`: well-formed conversations whose columns say the same."""
    known = properties(batch.config)
    columns = [name for name in CONVERSATIONS if name in known]
    if not batch.has(faults, "messages", *columns):
        return
    turns = {name: batch.turns(name) for name in columns}
    told: dict[int, str] = {}
    for name in columns:
        for row, fact in turns[name].faults(*ENDS.get(name, ("assistant", "assistant"))).items():
            told.setdefault(row, f"`{name}`: {fact}")
    if "messages" in turns:
        for row in turns["messages"].differing(turns["prompt"], turns["completion"]):
            told.setdefault(int(row), "`messages` is not `prompt` followed by `completion`")
        for text, name in (("instruction", "prompt"), ("response", "completion")):
            if text in batch.frame.columns:
                wrong = batch.frame[text].ne_missing(turns[name].last_contents())
                for row in wrong.arg_true():
                    told.setdefault(row, f"`{text}` is not the text of `{name}`")
    else:
        ends = [turns[name].last_contents().str.strip_chars() for name in ("chosen", "rejected")]
        for row in (ends[0] == ends[1]).fill_null(value=False).arg_true():
            told.setdefault(row, "`chosen` and `rejected` are the same answer")
    for row, fact in sorted(told.items()):
        faults.add("messages", batch.place(row), fact, f"{RETRACT}, or {REBUILD}")
