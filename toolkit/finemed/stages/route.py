"""Route: which questions get a long reasoning answer.

*Reads* `JudgedInstruction`. *Writes* `RoutedInstruction`. *Drops* nothing; a build that could not fill its pools
fails here, before an answer is paid for.
*Reference*: FineMed (arXiv 2501.09213), section 3.1: complexity above 8 is complex. That left 422 of 169,701
questions, so a share of the hardest can be asked for instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl

from finemed.config import RouteConfig, SplitConfig, identity
from finemed.errors import PoolError
from finemed.records import JudgedInstruction, RoutedInstruction
from finemed.stages.base import DROP_SCHEMA, Contract, Outcome
from finemed.stages.components import Question
from finemed.stages.split import assign


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
    contract: Contract = Contract.one_to_one("route", 1, JudgedInstruction, RoutedInstruction, "instruction_id")

    def settings(self) -> dict[str, Any]:
        return {**identity(self.config), "split": identity(self.pools), "seed": self.seed}

    def fit(self, shards: Iterator[pl.DataFrame]) -> Routes:
        """Which questions are complex.

        Raises:
            PoolError: too few questions of either kind for the pools' minimum sizes.
        """
        columns = ("complexity", "quality", "instruction_id", "instruction", "document_id", "department")
        rows = [row for shard in shards for row in shard.select(columns).iter_rows()]
        rows.sort(key=lambda row: (-row[0], -row[1], row[2]))
        if self.config.top_share is not None:
            hard = round(self.config.top_share * len(rows))
        else:
            limit = self.config.complexity_above or 0
            hard = sum(row[0] > limit for row in rows)
        check_pools(len(rows) - hard, hard, self.pools)
        questions = [
            Question(row_id, text, document_id, department, number < hard)
            for number, (_, _, row_id, text, document_id, department) in enumerate(rows)
        ]
        trial = assign(questions, self.pools, self.seed)
        return Routes(frozenset(row[2] for row in rows[:hard]), trial.state_bytes, len(rows))

    def apply(self, state: Routes, rows: pl.DataFrame) -> Outcome:
        routes = ["complex" if row_id in state.complex else "common" for row_id in rows["instruction_id"]]
        routed = rows.with_columns(pl.Series("route", routes, dtype=pl.String()))
        return Outcome(routed.select(list(self.contract.schema)), pl.DataFrame(schema=DROP_SCHEMA))

    def report(self, state: Routes) -> dict[str, Any]:
        return {"bytes_per_row": round(state.state_bytes / max(1, state.rows)), "complex": len(state.complex)}


def check_pools(common: int, hard: int, pools: SplitConfig) -> None:
    """Refuses a build whose pools cannot be filled from so many common and complex questions."""
    least = pools.min_rows
    need = {
        "sft": least.get("sft", 0),
        "complex": max(least.get("dpo", 0), least.get("sft_reasoning", 0)) + least.get("ttt", 0),
    }
    if hard < need["complex"]:
        raise PoolError(
            f"route: {hard} complex questions, but `split.min_rows` wants {need['complex']} for dpo, sft_reasoning "
            "and ttt; lower `route.complexity_above`, set `route.top_share`, add text, or lower `split.min_rows`"
        )
    if common < need["sft"]:
        raise PoolError(
            f"route: {common} common questions, but `split.min_rows` wants {need['sft']} for sft; "
            "lower `route.top_share`, add text, or lower `split.min_rows`"
        )
