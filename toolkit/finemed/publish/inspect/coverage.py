"""How well a run covers the department tree: wanted, got, and what could still be drawn.

::

    found = read_coverage(Path("run"))
    found.nodes[1]   ->  NodeCoverage(id="respiratory-critical-care", wanted=500, drawn=625, got=480, ...)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import ceil, log2
from pathlib import Path
from typing import Any

import polars as pl

from finemed.errors import InputError, StoreError
from finemed.pipeline.plan import STAGES, stage_folder
from finemed.pipeline.run import read_backfill, write_backfill
from finemed.store.atomic import locked
from finemed.store.manifest import read_manifest
from finemed.store.shards import ShardFolder

LEAST_YIELD = 0.1
"""Where (almost) nothing came through, at most ten passages are drawn per missing sample."""


@dataclass(frozen=True)
class NodeCoverage:
    """One node of the tree; a department counts all that lies below it, too."""

    id: str
    department: str
    subdepartment: str | None
    """None for a department as a whole."""
    wanted: int | None
    available: int
    """Passages classified here."""
    drawn: int
    """Passages that the quota let through."""
    got: int
    """Samples at the run's last stage (questions, before it)."""

    @property
    def missing(self) -> int:
        """Samples short of what is wanted."""
        return max(0, (self.wanted or 0) - self.got)

    @property
    def held(self) -> int:
        """Passages that are held back and could be drawn."""
        return self.available - self.drawn


@dataclass(frozen=True)
class Coverage:
    """All nodes, in tree order, `none` last."""

    stage: str
    """The last finished stage, whose rows `got` counts."""
    nodes: list[NodeCoverage]

    @property
    def entropy(self) -> float:
        """Shannon entropy of the samples over the sub-departments, in bits."""
        counts = [node.got for node in self._leaves() if node.got]
        total = sum(counts)
        return -sum(count / total * log2(count / total) for count in counts) if total else 0.0

    @property
    def greatest_entropy(self) -> float:
        """Entropy of equally many samples in every sub-department."""
        leaves = len(list(self._leaves()))
        return log2(leaves) if leaves else 0.0

    def under_filled(self) -> list[NodeCoverage]:
        """Nodes with fewer samples than wanted; where nothing is wanted of a sub-department, those with none at all."""
        return [
            node
            for node in self.nodes
            if node.missing or (node.wanted is None and node.subdepartment is not None and node.got == 0)
        ]

    def plain(self) -> dict[str, Any]:
        """The coverage as JSON values."""
        return {
            "stage": self.stage,
            "entropy_bits": round(self.entropy, 4),
            "greatest_entropy_bits": round(self.greatest_entropy, 4),
            "nodes": [{**asdict(node), "missing": node.missing, "held": node.held} for node in self.nodes],
            "under_filled": [node.id for node in self.under_filled()],
        }

    def _leaves(self) -> Iterator[NodeCoverage]:
        return (node for node in self.nodes if node.subdepartment is not None)


def read_coverage(run: Path) -> Coverage:
    """Reads the coverage of a run, finished or not.

    Raises:
        InputError: the folder is no run, or its `quota` stage is not finished.
        StoreError: what it holds is damaged.
    """
    reports = {report["stage"]: report for report in read_manifest(run)["stages"]}
    if "quota" not in reports:
        raise InputError(f"{run}: the stage `quota` is not finished; run `finemed build` first")
    stage = next(name for name in reversed(STAGES) if name in reports)
    samples = _samples(run, stage)
    nodes = []
    try:
        for node in reports["quota"]["facts"]["nodes"]:
            facts = {name: node[name] for name in ("id", "department", "subdepartment", "wanted", "available", "drawn")}
            nodes.append(NodeCoverage(**facts, got=_count(samples, node["department"], node["subdepartment"])))
    except (KeyError, TypeError):
        raise StoreError(
            f"{run / 'manifest.json'}: damaged (the facts of `quota` do not name its nodes); run `finemed build` again,"
            " which writes it anew"
        ) from None
    return Coverage(stage, nodes)


def _samples(run: Path, stage: str) -> Counter[tuple[str, str]]:
    """Passages that have a row at this stage, by labels: selection leaves one question of each."""
    counts: Counter[tuple[str, str]] = Counter()
    folder = ShardFolder(stage_folder(run, stage), pl.Schema())
    for index in folder.indices():
        rows = folder.kept(index, ["passage_id", "department", "subdepartment"]).unique()
        for department, sub in rows.select("department", "subdepartment").iter_rows():
            counts[department, sub] += 1
    return counts


def _count(samples: Counter[tuple[str, str]], department: str, sub: str | None) -> int:
    return sum(count for (a, b), count in samples.items() if a == department and sub in (None, b))


def backfill(run: Path) -> dict[str, int]:
    """Lets the next build draw more passages where nodes are short, as far as some are held back.

    How many follows from the node's own yield so far. A department that is short draws only what its sub-departments
    do not draw anyway. Returns the further passages by node id; empty where nothing can be done.

    Raises:
        InputError: the run has not come to its last stage, so that what is missing is not known.
    """
    with locked(run):
        coverage = read_coverage(run)
        if coverage.stage != STAGES[-1]:
            raise InputError(f"{run}: the last finished stage is `{coverage.stage}`; finish the build first")
        more = _further(coverage)
        if more:
            extra = Counter(read_backfill(run))
            extra.update(more)
            write_backfill(run, extra)
        return more


def _further(coverage: Coverage) -> dict[str, int]:
    more: dict[str, int] = {}
    below: Counter[str] = Counter()
    ordered = sorted(coverage.nodes, key=lambda node: node.subdepartment is None)  # sub-departments first
    for node in ordered:
        if not node.missing or not node.held:
            continue
        share = max(LEAST_YIELD, node.got / node.drawn) if node.drawn else 1.0
        count = min(node.held, ceil(node.missing / share))
        if node.subdepartment is not None:
            below[node.department] += count
        else:
            count -= below[node.department]
        if count > 0:
            more[node.id] = count
    return more
