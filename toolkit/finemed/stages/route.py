"""Route: which questions get a long reasoning answer.

*Reads* `JudgedInstruction`. *Writes* `RoutedInstruction`. *Drops* nothing; a build that could not fill its pools
fails here, before an answer is paid for. A question that brings one answer is common and one that brings a preferred
answer too is complex, whatever its score; the rule is for the others.
*Reference*: FineMed (arXiv 2501.09213), section 3.1: complexity above 8 is complex. That left 422 of 169,701
questions, so a share of the hardest can be asked for instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import polars as pl

from finemed.config import RouteConfig, SplitConfig, identity
from finemed.errors import PoolError
from finemed.records import JudgedInstruction, RoutedInstruction
from finemed.stages.base import DROP_SCHEMA, Contract, Outcome
from finemed.stages.components import Question
from finemed.stages.split import assign


class _Scored(NamedTuple):
    """A question with its scores, and its route where its answers decide it."""

    complexity: int
    quality: int
    row_id: str
    text: str
    document_id: str
    department: str
    route: str | None


@dataclass(frozen=True)
class Routes:
    """The complex questions, and what it took to know."""

    complex: frozenset[str]
    state_bytes: int
    rows: int


@dataclass(frozen=True)
class RouteStage:
    """Global stage: keeps scores and questions, and tries the pools out on them before an answer is paid for."""

    config: RouteConfig
    pools: SplitConfig
    seed: int
    contract: Contract = Contract.one_to_one("route", 2, JudgedInstruction, RoutedInstruction, "instruction_id")

    def settings(self) -> dict[str, Any]:
        return {**identity(self.config), "split": identity(self.pools), "seed": self.seed}

    def fit(self, shards: Iterator[pl.DataFrame]) -> Routes:
        """Which questions are complex.

        Raises:
            PoolError: too few questions of either kind for the pools' minimum sizes.
        """
        columns = (
            "complexity",
            "quality",
            "instruction_id",
            "instruction",
            "document_id",
            "department",
            "given_response",
            "given_chosen",
        )
        rows = [
            _Scored(complexity, quality, row_id, text, document_id, department, _fixed(response, chosen))
            for shard in shards
            for complexity, quality, row_id, text, document_id, department, response, chosen in shard.select(
                columns
            ).iter_rows()
        ]
        free = sorted((row for row in rows if row.route is None), key=lambda r: (-r.complexity, -r.quality, r.row_id))
        if self.config.top_share is not None:
            hard = round(self.config.top_share * len(free))
        else:
            limit = self.config.complexity_above or 0
            hard = sum(row.complexity > limit for row in free)
        chosen = frozenset(row.row_id for row in free[:hard]) | {row.row_id for row in rows if row.route == "complex"}
        check_pools(len(rows) - len(chosen), len(chosen), self.pools, answered=len(rows) - len(free))
        questions = [
            Question(row.row_id, row.text, row.document_id, row.department, row.row_id in chosen) for row in rows
        ]
        trial = assign(questions, self.pools, self.seed)
        return Routes(chosen, trial.state_bytes, len(rows))

    def apply(self, state: Routes, rows: pl.DataFrame) -> Outcome:
        routes = ["complex" if row_id in state.complex else "common" for row_id in rows["instruction_id"]]
        routed = rows.with_columns(pl.Series("route", routes, dtype=pl.String()))
        return Outcome(routed.select(list(self.contract.schema)), pl.DataFrame(schema=DROP_SCHEMA))

    def report(self, state: Routes) -> dict[str, Any]:
        return {"bytes_per_row": round(state.state_bytes / max(1, state.rows)), "complex": len(state.complex)}


def _fixed(response: str | None, chosen: str | None) -> str | None:
    """The route of a question that brings its answers; None where the score decides."""
    if chosen is not None:
        return "complex"
    return None if response is None else "common"


def check_pools(common: int, hard: int, pools: SplitConfig, *, answered: int = 0) -> None:
    """Refuses a build whose pools cannot be filled from so many common and complex questions.

    Args:
        common: questions with an ordinary answer alone.
        hard: questions with a long answer too.
        pools: the minimum sizes.
        answered: questions among both that bring their answers, which no setting of `route` moves.

    Raises:
        PoolError: there are too few of a kind.
    """
    least = pools.min_rows
    need = {
        "sft": least.get("sft", 0),
        "complex": max(least.get("dpo", 0), least.get("sft_reasoning", 0)) + least.get("ttt", 0),
    }
    movable = common + hard > answered
    fact = f" ({answered} of all {common + hard} bring their answers, which decides their route)" if answered else ""
    if hard < need["complex"]:
        lower = "lower `route.complexity_above`, set `route.top_share`, add text" if movable else "add preference pairs"
        raise PoolError(
            f"route: {hard} complex questions{fact}, but `split.min_rows` wants {need['complex']} for dpo, "
            f"sft_reasoning and ttt; {lower}, or lower `split.min_rows`"
        )
    if common < need["sft"]:
        lower = "lower `route.top_share`, add text" if movable else "add questions with one answer"
        raise PoolError(
            f"route: {common} common questions{fact}, but `split.min_rows` wants {need['sft']} for sft; "
            f"{lower}, or lower `split.min_rows`"
        )
