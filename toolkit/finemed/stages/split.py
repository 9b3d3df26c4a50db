"""Split: samples to pools (`sft`, `sft_reasoning`, `dpo`, `ttt`) and to train, validation and test.

*Reads* `Sample`. *Writes* `PooledSample`: a common sample once (`sft`), a complex one once (`ttt`) or twice (`dpo` and
`sft_reasoning`, whose answer is the chosen side). *Drops* nothing; fails where a pool stays below its minimum size.
*Reference*: FineMed (arXiv 2501.09213), section 4; its TTT pool held data that the model was trained on, ours does not.

Questions of one document, and questions that are near-duplicates of each other, form a component
(`stages.components`). A component lies in one split, and `ttt` takes only components without any common question, so no
component is in two splits or in `ttt` and another pool.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from finemed.config import SplitConfig, identity, stable_hash
from finemed.errors import PoolError
from finemed.records import PooledSample, Sample, content_id, frame, frame_schema
from finemed.stages.base import DROP_SCHEMA, Contract, Outcome
from finemed.stages.components import Question, components


@dataclass
class Assignment:
    """Where each sample goes."""

    component: dict[str, str] = field(default_factory=dict)
    """Sample (instruction id) -> component (its smallest instruction id)."""
    split: dict[str, str] = field(default_factory=dict)
    """Component -> split."""
    ttt: frozenset[str] = frozenset()
    """Components of the TTT pool."""
    counts: dict[str, int] = field(default_factory=dict)
    state_bytes: int = 0


@dataclass(frozen=True)
class SplitStage:
    """Global stage: keeps ids and shingles of the questions."""

    config: SplitConfig
    seed: int
    contract: Contract = Contract(
        "split", 2, frame_schema(Sample), PooledSample, "instruction_id", "row_id", ("instruction_id",)
    )

    def settings(self) -> dict[str, Any]:
        return {**identity(self.config), "seed": self.seed}

    def fit(self, shards: Iterator[pl.DataFrame]) -> Assignment:
        columns = ("instruction_id", "instruction", "document_id", "department", "route")
        questions = [
            Question(row_id, text, document_id, department, route == "complex")
            for shard in shards
            for row_id, text, document_id, department, route in shard.select(columns).iter_rows()
        ]
        return assign(questions, self.config, self.seed)

    def apply(self, state: Assignment, rows: pl.DataFrame) -> Outcome:
        placed = [pooled for row in rows.iter_rows(named=True) for pooled in _place(row, state)]
        return Outcome(frame(PooledSample, placed), pl.DataFrame(schema=DROP_SCHEMA))

    def report(self, state: Assignment) -> dict[str, Any]:
        sizes = Counter(state.component.values())
        rows = max(1, len(state.component))
        return {
            "bytes_per_row": round(state.state_bytes / rows),
            "components": len(sizes),
            "largest_component": max(sizes.values(), default=0),
            "pools": state.counts,
        }


def assign(questions: list[Question], config: SplitConfig, seed: int) -> Assignment:
    """Pools and splits of questions; splits are stratified by department.

    Raises:
        PoolError: a pool stays below `min_rows`.
    """
    component, state_bytes = components(questions, config.component_threshold, whole_documents=config.whole_documents)
    hard: Counter[str] = Counter()
    common: Counter[str] = Counter()
    stratum: dict[str, str] = {}
    for question in sorted(questions):
        name = component[question.row_id]
        (hard if question.complex else common)[name] += 1
        stratum.setdefault(name, question.department)
    order = sorted(stratum, key=lambda name: stable_hash(["split", seed, name]))
    pure = [name for name in order if name not in common]
    ttt = _take(pure, hard, round(config.ttt_share * hard.total()))
    mixed = [name for name in order if name in hard and name not in ttt]
    plain = [name for name in order if name not in hard]
    split = _splits([name for name in order if name in ttt], hard, Counter(), stratum, config)
    split |= _splits(mixed + plain, hard, common, stratum, config)
    kept = sum(hard[name] for name in mixed)
    counts = {"sft": common.total(), "sft_reasoning": kept, "dpo": kept, "ttt": sum(hard[name] for name in ttt)}
    for pool, least in sorted(config.min_rows.items()):
        if counts[pool] < least:
            raise PoolError(
                f"split: {pool} has {counts[pool]} rows, `split.min_rows.{pool}` wants {least}; {_REMEDY[pool]}"
            )
    return Assignment(component, split, frozenset(ttt), counts, state_bytes)


_MORE_COMPLEX = (
    "raise `route.top_share` (or lower `route.complexity_above`), lower `split.ttt_share`, or lower the minimum"
)
_REMEDY = {
    "sft": "add text, lower `route.top_share`, or lower the minimum",
    "sft_reasoning": _MORE_COMPLEX,
    "dpo": _MORE_COMPLEX,
    "ttt": "raise `split.ttt_share` or `route.top_share` (or lower `route.complexity_above`), or lower the minimum",
}


def _take(names: Iterable[str], weight: Counter[str], wanted: int) -> set[str]:
    """Components in order, as many as fit into `wanted` rows."""
    taken: set[str] = set()
    total = 0
    for name in names:
        if total + weight[name] <= wanted:
            taken.add(name)
            total += weight[name]
    return taken


def _splits(
    group: list[str], hard: Counter[str], common: Counter[str], stratum: dict[str, str], config: SplitConfig
) -> dict[str, str]:
    """Places components by systematic sampling along the strata; neither kind of question gets more than its share.

    Components with complex questions are placed first, by these; then the others, up to what is left for common ones. A
    component that would take more than a tenth of a split stays in train.
    """
    placed = dict.fromkeys(group, "train")
    weights = {
        "hard": Counter({name: hard[name] for name in group}),
        "common": Counter({name: common[name] for name in group}),
    }
    for split, share in (("test", config.test), ("validation", config.validation)):
        quota = {kind: _quota(weight.total(), share) for kind, weight in weights.items()}
        most = {kind: max(1, rows // 10) for kind, rows in quota.items()}
        small = [name for name in group if all(weights[kind][name] <= most[kind] for kind in weights)]
        for kind, weight in weights.items():
            rest = [name for name in small if placed[name] == "train" and weight[name]]
            if kind == "common":
                rest = [name for name in rest if not weights["hard"][name]]
            for name in _spread(sorted(rest, key=stratum.__getitem__), weight, quota[kind]):
                if all(weights[each][name] <= quota[each] for each in weights):
                    placed[name] = split
                    for each in weights:
                        quota[each] -= weights[each][name]
    return placed


def _quota(rows: int, share: float) -> int:
    return max(round(share * rows), 1 if share > 0 and rows >= 10 else 0)


def _spread(names: list[str], weight: Counter[str], wanted: int) -> list[str]:
    """Components at even distances along the list, then all others: the order in which to fill `wanted` rows."""
    total = sum(weight[name] for name in names)
    chosen: dict[str, None] = {}
    got, passed = 0, 0
    for name in names:
        passed += weight[name]
        if wanted * passed / total - got >= 0.5 and got + weight[name] <= wanted:
            chosen[name] = None
            got += weight[name]
    return [*chosen, *(name for name in names if name not in chosen)]


def _place(row: dict[str, Any], state: Assignment) -> list[dict[str, Any]]:
    component = state.component[row["instruction_id"]]
    answers = [row["response_id"], row["reasoning_id"] or ""]
    if row["route"] == "common":
        pools: tuple[str, ...] = ("sft",)
    else:
        pools = ("ttt",) if component in state.ttt else ("dpo", "sft_reasoning")
    where = {"split": state.split[component], "component_id": component}
    return [{**row, **where, "pool": pool, "row_id": content_id("row", pool, *answers)} for pool in pools]
