"""Runs one stage over a folder of shards as the pipeline does; a child process of ``memory.py``.

::

    python benchmarks/one_stage.py finemed.yaml rank --shards ten/14-judge_answers --out out

Without --shards the stage is `ingest` and reads the sources. Every shard is accounted for and written, the totals are
counted and the files hashed, as in a build. Prints JSON: kind, rows in and out, the facts that the stage reports, and
the peak memory before the first row (`start_mb`).
"""

from __future__ import annotations

import argparse
import json
import resource
from pathlib import Path
from typing import Any

import polars as pl

from finemed.config import load_config
from finemed.engines.base import Shards, Silent
from finemed.engines.local import run_global, run_llm, run_map
from finemed.pipeline.plan import Plan
from finemed.pipeline.reconcile import reconcile, reconcile_totals
from finemed.sources.records import record_batches
from finemed.stages.base import Outcome
from finemed.store.manifest import count_reasons
from finemed.store.shards import ShardFolder


class CountedShards:
    """Shards that are counted as they are opened."""

    def __init__(self, open_shards: Shards) -> None:
        self._open = open_shards
        self.rows = 0

    def __call__(self) -> Any:
        self.rows = 0
        for index, rows in self._open():
            self.rows += rows.height
            yield index, rows


class AccountedSink:
    """Accounts for each shard, then writes it."""

    def __init__(self, contract: Any, folder: ShardFolder) -> None:
        self._contract = contract
        self._folder = folder

    def done(self, index: int) -> bool:
        return self._folder.has(index)

    def write(self, index: int, rows: pl.DataFrame, outcome: Outcome) -> None:
        reconcile(self._contract, rows, outcome)
        self._folder.write(index, outcome.kept, outcome.dropped)


def run_stage(config: Path, name: str, shards: Path | None, out: Path) -> dict[str, Any]:
    """Runs the stage `name` and returns what `main` prints."""
    plan = Plan(load_config(config), config.parent)
    stage: Any = next(stage for stage in plan.stages() if stage.contract.name == name)
    folder = ShardFolder(out, stage.contract.schema)
    folder.begin("benchmark")
    batch = plan.config.ingest.shard_rows
    given = CountedShards(
        ShardFolder(shards, stage.contract.reads).frames if shards else lambda: record_batches(plan.files, batch)
    )
    sink = AccountedSink(stage.contract, folder)
    start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if hasattr(stage, "requests"):
        kind, facts = "llm", run_llm(stage, given, sink, None, Silent())
    elif hasattr(stage, "fit"):
        kind, facts = "global", run_global(stage, given, sink, Silent())
    else:
        kind, facts = "map", run_map(stage, given, sink, Silent())
    counts = reconcile_totals(stage.contract, folder, given.rows)
    folder.finish({"fingerprint": "benchmark", "counts": counts, "drops": count_reasons(folder)})
    plan.close()
    return {"kind": kind, "start_mb": start * 1024 / 1e6, "facts": facts, **counts}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("stage")
    parser.add_argument("--shards", type=Path, help="folder with kept-*.parquet that the stage reads")
    parser.add_argument("--out", type=Path, required=True, help="folder for what it writes")
    arguments = parser.parse_args()
    print(json.dumps(run_stage(arguments.config, arguments.stage, arguments.shards, arguments.out)))


if __name__ == "__main__":
    main()
