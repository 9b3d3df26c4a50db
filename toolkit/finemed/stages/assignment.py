"""Assignment: components to pools and splits, and rows that quotas and mixtures leave out.

::

    found = components(rows, "instruction_id", FACTS, alike)
    assign(found, SplitConfig(), seed=0).counts  ->  {"sft": 812, "sft_reasoning": 98, "dpo": 98, "ttt": 64}

`found.facts` has the columns of `FACTS`. A component lies in one split, and `ttt` takes only components without any
common question, so no component is in two splits or in `ttt` and another pool.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from finemed.config import SplitConfig
from finemed.errors import PoolError
from finemed.records import SPLITS
from finemed.stages.components import Components
from finemed.stages.mixture import Lots, Mask, mixed
from finemed.text.clusters import Numbers

FACTS = tuple(pl.col(name).cast(pl.Categorical()) for name in ("department", "subdepartment", "source", "task_type"))
"""What an assignment has to know of a row, besides `complex`: whether it has a long answer."""

_MORE_COMPLEX = (
    "raise `route.top_share` (or lower `route.complexity_above`), lower `split.ttt_share`, or lower the minimum"
)
_REMEDY = {
    "sft": "add text, lower `route.top_share`, or lower the minimum",
    "sft_reasoning": _MORE_COMPLEX,
    "dpo": _MORE_COMPLEX,
    "ttt": "raise `split.ttt_share` or `route.top_share` (or lower `route.complexity_above`), or lower the minimum",
}


@dataclass(frozen=True)
class Assignment:
    """Where each row goes; rows stand in the order of their ids."""

    found: Components
    split: npt.NDArray[np.int8]
    """Number in `SPLITS`."""
    ttt: Mask
    reason: npt.NDArray[np.int8]
    """0 where the row is kept, else a number in `reasons`."""
    reasons: tuple[tuple[str, str], ...]
    """(drop reason, detail)."""
    counts: dict[str, int] = field(default_factory=dict)
    """Rows by pool."""


@dataclass(frozen=True)
class Pinned:
    """Where components lie already, from earlier versions of the dataset."""

    split: npt.NDArray[np.int8]
    """Number in `SPLITS` of each row's component, -1 where it is free; shape (rows,)."""
    ttt: Mask
    """Whether the component lies in `ttt`; False where it is free."""
    gone: Mask
    """Rows that go nowhere."""


def assign(found: Components, config: SplitConfig, seed: int, pinned: Pinned | None = None) -> Assignment:
    """Pools and splits of all rows, evenly along departments and sub-departments.

    Components that are pinned stay where they are; the others are drawn so that all together have their shares.

    Raises:
        PoolError: a pool stays below `min_rows`, or a mixture cannot hold.
        ConfigError: a mixture names what no row has.
    """
    lots, component = _lots(found, seed)
    hard = found.facts["complex"].to_numpy()
    reason = np.zeros(component.size, dtype=np.int8)
    reasons = [("", "")]

    def leave_out(rows: Mask, kept: Mask, why: str, detail: str) -> Mask:
        reason[rows & ~kept] = len(reasons)
        reasons.append((why, detail))
        return kept

    most = {pool: rows for pool, rows in config.max_rows.items() if rows is not None}
    common: Mask = ~hard
    split, in_ttt = np.full(component.size, -1, dtype=np.int8), np.zeros_like(hard)
    if pinned is not None:
        split, in_ttt = pinned.split, pinned.ttt
        reason[pinned.gone | (in_ttt & common)] = len(reasons)
        reasons.append(("bridges_splits", ""))
        hard, common = hard & ~pinned.gone, common & ~pinned.gone & ~in_ttt
    for column, shares in config.mixture.items():
        labels = found.facts[column].cast(pl.String())
        asked = ", ".join(f"{name} {share:g}" for name, share in sorted(shares.items()))
        common = leave_out(common, mixed(common, labels, column, shares, lots), "beyond_mixture", f"{column}: {asked}")
        if "sft" in most:
            kept = mixed(common, labels, column, shares, lots, most["sft"])
            common = leave_out(common, kept, "beyond_quota", f"sft: {most['sft']} rows")
    if "sft" in most:
        common = leave_out(common, lots.draw(common, most["sft"]), "beyond_quota", f"sft: {most['sft']} rows")
    wanted = min(round(config.ttt_share * int(hard.sum())), most.get("ttt", hard.size)) - int((in_ttt & hard).sum())
    taken = np.zeros(found.ids.len() and int(component.max()) + 1, dtype=np.bool_)
    free: Mask = split < 0
    taken[lots.whole(hard & free, max(0, wanted), lots.weights(common) == 0)] = True
    ttt: Mask = (taken[component] & free | in_ttt) & hard
    pairs: Mask = hard & ~ttt
    if "ttt" in most:
        ttt = leave_out(ttt, lots.draw(ttt, most["ttt"]), "beyond_quota", f"ttt: {most['ttt']} rows")
    least_of = [most[pool] for pool in ("dpo", "sft_reasoning") if pool in most]
    if least_of:
        quota = min(least_of)
        pairs = leave_out(pairs, lots.draw(pairs, quota), "beyond_quota", f"dpo and sft_reasoning: {quota} rows")
    fixed = np.full(taken.size, -1, dtype=np.int8)
    fixed[component] = split
    place = _splits(lots, ttt, np.zeros_like(ttt), config, fixed)
    place = np.maximum(place, _splits(lots, pairs, common, config, fixed))
    kept_pairs = int(pairs.sum())
    counts = {"sft": int(common.sum()), "sft_reasoning": kept_pairs, "dpo": kept_pairs, "ttt": int(ttt.sum())}
    for pool, least in sorted(config.min_rows.items()):
        if counts[pool] < least:
            raise PoolError(
                f"split: {pool} has {counts[pool]} rows, `split.min_rows.{pool}` wants {least}; {_REMEDY[pool]}"
            )
    return Assignment(found, place[component], ttt, reason, tuple(reasons), counts)


def _lots(found: Components, seed: int) -> tuple[Lots, Numbers]:
    """The components in an order, and each row's number among them."""
    names, component = np.unique(found.component, return_inverse=True)
    strata = found.facts.select(
        pl.concat_str(pl.col("department", "subdepartment").cast(pl.String()), separator="\x1f", ignore_nulls=True)
        .rank("dense")
        .fill_null(0)
        .cast(pl.Int64())
    ).to_series()
    return Lots(component, found.ids.gather(names), strata.to_numpy()[names], seed), component


def _splits(
    lots: Lots, hard: Mask, common: Mask, config: SplitConfig, fixed: npt.NDArray[np.int8]
) -> npt.NDArray[np.int8]:
    """Places components by systematic sampling along the strata; neither kind of question gets more than its share.

    Components with complex questions are placed first, by these; then the others, up to what is left for common ones. A
    component that would take more than a tenth of a split stays in train. `fixed` are the splits that components have
    already, or -1: their rows count for the shares.
    """
    kinds = (lots.weights(hard), lots.weights(common))
    placed = np.maximum(fixed, 0)
    free = fixed < 0
    for split, share in (("test", config.test), ("validation", config.validation)):
        quota = [_quota(int(weight.sum()), share) for weight in kinds]
        small = np.ones(placed.size, dtype=np.bool_)
        for weight, rows in zip(kinds, quota, strict=True):
            small &= weight <= max(1, rows // 10)
        held = fixed == SPLITS.index(split)
        quota = [max(0, rows - int(weight[held].sum())) for weight, rows in zip(kinds, quota, strict=True)]
        for kind, weight in enumerate(kinds):
            rest = small & free & (placed == 0) & (weight > 0)
            if kind == 1:
                rest &= kinds[0] == 0
            for name in lots.spread(lots.along(np.flatnonzero(rest)), weight, quota[kind]):
                if all(kinds[each][name] <= quota[each] for each in (0, 1)):
                    placed[name] = SPLITS.index(split)
                    for each in (0, 1):
                        quota[each] -= int(kinds[each][name])
                if quota[kind] == 0:
                    break
    return placed


def _quota(rows: int, share: float) -> int:
    return max(round(share * rows), 1 if share > 0 and rows >= 10 else 0)


def large_components(found: Components, share: float, least: int) -> Sequence[tuple[int, int]]:
    """Components with more than this share of the rows and at least so many: (place of the smallest id, rows)."""
    big = [(name, rows) for name, rows in found.sizes.items() if rows > share * found.ids.len() and rows >= least]
    return sorted(big, key=lambda pair: (-pair[1], pair[0]))
