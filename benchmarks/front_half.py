"""Passages per second through `filter` and `phi`, over MedQuAD's passages of 200 words on average.

``python benchmarks/front_half.py [--rounds 7]`` ingests the corpus, then times both stage functions shard by shard and
prints the best and the median round. Target: 10,000 passages a second through both on two cores.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import polars as pl
from measure import note, table
from medquad import write_config

from finemed.config import FilterConfig, PhiConfig, load_config
from finemed.pipeline.plan import Plan, stage_folder
from finemed.pipeline.run import run_build
from finemed.stages.filter import filter_passages
from finemed.stages.phi import scan_passages


def one_round(shards: list[pl.DataFrame]) -> tuple[float, float]:
    """Seconds that `filter` took, and `phi` on what it kept."""
    started = time.perf_counter()
    kept = [filter_passages(shard, FilterConfig()).kept for shard in shards]
    between = time.perf_counter()
    for shard in kept:
        scan_passages(shard, PhiConfig())
    return between - started, time.perf_counter() - between


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="finemed-bench-") as name:
        config = write_config(Path(name))
        plan = Plan(load_config(config), config.parent)
        run_build(plan, config.parent / "run", until="ingest")
        rows = pl.read_parquet(stage_folder(config.parent / "run", "ingest") / "kept-*.parquet")
    shards = [rows.slice(start, 1000) for start in range(0, rows.height, 1000)]
    one_round(shards[:1])
    times = [one_round(shards) for _ in range(rounds)]
    both = [first + second for first, second in times]
    cells = [
        ["filter", *(f"{rows.height / pick(first for first, _ in times):,.0f}" for pick in (min, statistics.median))],
        ["phi", *(f"{rows.height / pick(second for _, second in times):,.0f}" for pick in (min, statistics.median))],
        ["filter and phi", *(f"{rows.height / pick(both):,.0f}" for pick in (min, statistics.median))],
    ]
    print(table(["passages per second", "best", "median"], cells))
    note(f"{rows.height:,} passages, {rounds} rounds")


if __name__ == "__main__":
    main()
