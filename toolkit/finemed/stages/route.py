"""Route: which questions get a long reasoning answer.

*Reads* `CheckedInstruction`. *Writes* `RoutedInstruction`. *Drops* nothing; a build that could not fill its pools
fails here, before an answer is paid for. A question that brings one answer is common and one that brings a preferred
answer too is complex, whatever its score; the rule is for the others.
*Reference*: FineMed (arXiv 2501.09213), section 3.1: complexity above 8 is complex. That left 422 of 169,701
questions, so a share of the hardest can be asked for instead.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from finemed.config import RouteConfig, SplitConfig, identity
from finemed.errors import PoolError
from finemed.records import SPLITS, CheckedInstruction, RoutedInstruction
from finemed.stages.assignment import FACTS, assign
from finemed.stages.base import DROP_SCHEMA, Contract, Outcome, Rows
from finemed.stages.components import components
from finemed.stages.split import alike, held_against, pinned
from finemed.store.earlier import Earlier


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
    earlier: Earlier | None = None
    """What earlier versions published: a question of `ttt`, and what hangs together with it, stays complex."""
    contract: Contract = Contract.one_to_one("route", 3, CheckedInstruction, RoutedInstruction, "instruction_id")

    def settings(self) -> dict[str, Any]:
        before = {"previous": self.earlier.content_hash} if self.earlier else {}
        return {**identity(self.config), "split": identity(self.pools), "seed": self.seed, **before}

    def fit(self, shards: Rows) -> Routes:
        """Which questions are complex.

        Raises:
            PoolError: too few questions of either kind for the pools' minimum sizes.
        """
        scores = (pl.col("complexity").cast(pl.Int8()), pl.col("quality").cast(pl.Int8()))
        brought = (
            pl.col("given_response").is_not_null().alias("one"),
            pl.col("given_chosen").is_not_null().alias("two"),
        )
        same = "document_id" if self.pools.whole_documents else None
        facts = (*FACTS, *scores, *brought)
        found = components(shards, "instruction_id", facts, alike(self.pools, answers=False), same=same)
        rows = found.facts.select("complexity", "quality", "one", "two").with_columns(found.ids.alias("id"))
        held = held_against(shards, found, self.pools, self.earlier, answers=False)
        in_ttt = pl.Series(held.side >= len(SPLITS)) if held else pl.Series([False]).new_from_index(0, rows.height)
        free = rows.with_columns(in_ttt.alias("ttt")).filter(~pl.col("one") & ~pl.col("two"))
        if self.config.top_share is not None:
            hard = max(round(self.config.top_share * free.height), int(free["ttt"].sum()))
        else:
            hard = free.filter((pl.col("complexity") > (self.config.complexity_above or 0)) | pl.col("ttt")).height
        order = ["ttt", "complexity", "quality", "id"]
        hardest = free.sort(order, descending=[True, True, True, False])["id"].head(hard)
        chosen = frozenset(hardest) | frozenset(rows.filter(pl.col("two"))["id"])
        check_pools(rows.height - len(chosen), len(chosen), self.pools, answered=rows.height - free.height)
        is_complex = found.ids.is_in(pl.Series(sorted(chosen), dtype=pl.String()).implode()).alias("complex")
        found = replace(held.found if held else found, facts=found.facts.with_columns(is_complex))
        assign(found, self.pools, self.seed, pinned(held))
        return Routes(chosen, found.nbytes, rows.height)

    def apply(self, state: Routes, rows: pl.DataFrame) -> Outcome:
        routes = ["complex" if row_id in state.complex else "common" for row_id in rows["instruction_id"]]
        routed = rows.with_columns(pl.Series("route", routes, dtype=pl.String()))
        return Outcome(routed.select(list(self.contract.schema)), pl.DataFrame(schema=DROP_SCHEMA))

    def report(self, state: Routes) -> dict[str, Any]:
        return {"bytes_per_row": round(state.state_bytes / max(1, state.rows)), "complex": len(state.complex)}


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
