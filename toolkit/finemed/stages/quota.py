"""Quota: holds passages back where a node of the tree would get more questions than wanted, before any is paid for.

*Reads* and *writes* `ClassifiedPassage`. *Drops* `over_quota`; the detail names the node. `finemed coverage --backfill`
takes some of them up again where later stages lost more than `quota.surplus` foresaw.
*Reference*: ours; FineMed (arXiv 2501.09213, section 3.2) classifies after generation and takes what comes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any

import polars as pl
import xxhash

from finemed.config import QuotaConfig, identity
from finemed.errors import ConfigError
from finemed.records import ClassifiedPassage
from finemed.stages.base import Contract, Outcome, split_rows
from finemed.taxonomy import NONE_LABEL, Taxonomy

Labels = tuple[str, str]
"""Labels of department and sub-department, either may be `none`."""


BYTES_PER_ROW = 410
"""Peak of `fit` over 100,000 passages (tracemalloc): ids, labels, what is held back."""


@dataclass(frozen=True)
class Draw:
    """The passages held back, each with the node that is full, and what each pair of labels had and gave."""

    held: dict[str, str]
    rows: int
    available: Counter[Labels]
    drawn: Counter[Labels]


@dataclass(frozen=True)
class QuotaStage:
    """Global stage: keeps the ids of all passages by node."""

    config: QuotaConfig
    taxonomy: Taxonomy
    seed: int
    extra: Mapping[str, int] = field(default_factory=dict)
    """Further passages to draw by node id, from ``finemed coverage --backfill``."""
    contract: Contract = Contract.one_to_one("quota", 1, ClassifiedPassage, ClassifiedPassage, "passage_id")

    def __post_init__(self) -> None:
        """Refuses quotas of nodes that the tree does not have.

        Raises:
            ConfigError: such a node.
        """
        known = {node.id for node in self.taxonomy.nodes()} | {NONE_LABEL}
        unknown = sorted(set(self.config.wanted) - known)
        if unknown:
            raise ConfigError(
                f"`quota.wanted`: taxonomy {self.taxonomy.name} has no node {', '.join(unknown)}; "
                f"known are {', '.join(sorted(known))}"
            )

    def settings(self) -> dict[str, Any]:
        return {
            **identity(self.config),
            "seed": self.seed,
            "extra": dict(sorted(self.extra.items())),
            "taxonomy": self.taxonomy.content_hash(),
        }

    def fit(self, shards: Iterator[pl.DataFrame]) -> Draw:
        """Goes through the passages in an order that only the seed and their ids decide."""
        columns = ("passage_id", "department", "subdepartment")
        rows = [row for shard in shards for row in shard.select(columns).iter_rows()]
        available = Counter((department, sub) for _, department, sub in rows)
        if not self.config.wanted and self.config.default is None:
            return Draw({}, len(rows), available, available)
        rows.sort(key=lambda row: (xxhash.xxh64_intdigest(f"{self.seed}\x1f{row[0]}".encode()), row[0]))
        limits = passage_limits(self.config, self.taxonomy, self.extra)
        taken: Counter[str] = Counter()
        drawn: Counter[Labels] = Counter()
        held: dict[str, str] = {}
        for passage_id, department, sub in rows:
            nodes = [node for node in self._nodes(department, sub) if node in limits]
            full = next((node for node in nodes if taken[node] >= limits[node]), None)
            if full is not None:
                held[passage_id] = f"{full}: {limits[full]} passages drawn"
                continue
            taken.update(nodes)
            drawn[department, sub] += 1
        return Draw(held, len(rows), available, drawn)

    def apply(self, state: Draw, rows: pl.DataFrame) -> Outcome:
        reasons = {row_id: ("over_quota", state.held[row_id]) for row_id in rows["passage_id"] if row_id in state.held}
        return split_rows(rows, "passage_id", reasons)

    def report(self, state: Draw) -> dict[str, Any]:
        """`nodes` says for every node, in tree order and `none` last, what was wanted, allowed, there and drawn."""
        wanted = wanted_samples(self.config, self.taxonomy)
        limits = passage_limits(self.config, self.taxonomy, self.extra)
        nodes = [
            {
                "id": node_id,
                "department": department,
                "subdepartment": sub,
                "wanted": wanted.get(node_id),
                "limit": limits.get(node_id),
                "available": _count(state.available, department, sub),
                "drawn": _count(state.drawn, department, sub),
            }
            for node_id, department, sub in _places(self.taxonomy)
        ]
        return {"bytes_per_row": BYTES_PER_ROW, "nodes": nodes}

    def _nodes(self, department: str, sub: str) -> list[str]:
        ids = {node.label: node.id for node in self.taxonomy.nodes()} | {NONE_LABEL: NONE_LABEL}
        own = [ids[department]]
        return own if sub == NONE_LABEL else [*own, ids[sub]]


def _places(taxonomy: Taxonomy) -> Iterator[tuple[str, str, str | None]]:
    """Id and labels of every node; a department as a whole has no second label."""
    for department in taxonomy.departments:
        yield department.id, department.label, None
        for child in department.children:
            yield child.id, department.label, child.label
    yield NONE_LABEL, NONE_LABEL, None


def _count(passages: Counter[Labels], department: str, sub: str | None) -> int:
    return sum(count for (a, b), count in passages.items() if a == department and sub in (None, b))


def wanted_samples(config: QuotaConfig, taxonomy: Taxonomy) -> dict[str, int]:
    """Samples wanted by node id, the default filled in for sub-departments."""
    wanted = dict(config.wanted)
    if config.default is not None:
        for department in taxonomy.departments:
            for child in department.children:
                wanted.setdefault(child.id, config.default)
    return wanted


def passage_limits(config: QuotaConfig, taxonomy: Taxonomy, extra: Mapping[str, int]) -> dict[str, int]:
    """Passages that a node may draw; what a sub-department draws in addition its department may draw too."""
    wanted = wanted_samples(config, taxonomy)
    more = Counter(extra)
    for department in taxonomy.departments:
        more[department.id] += sum(extra.get(child.id, 0) for child in department.children)
    return {node: ceil(count * config.surplus) + more[node] for node, count in wanted.items()}
