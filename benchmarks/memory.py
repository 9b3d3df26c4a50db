"""Peak memory when the corpus grows ten-fold: what is flat, what is not, and by how many bytes a row.

::

    FINEMED_DATA=../shared/data python benchmarks/memory.py

Two parts. `finemed build --until filter` over MedQuAD and over ten different copies of it. Then every stage by itself,
in a process of its own, over the shards that a build over MedQuAD gives it and over ten copies of them. A stage that
streams has a ratio near 1; for one that needs all rows the growth of its peak over the growth of its rows is compared
with the `bytes_per_row` that it reports in the manifest.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measure import MB, REPO, Cost, data_folder, middle, note, run, table
from medquad import write_config

CORPUS = "corpus_medquad.parquet"
SCRIPTS = REPO / "benchmarks"
FLAT = 1.1
"""Largest ratio of peaks that is called flat."""


@dataclass(frozen=True)
class Peak:
    """A stage by itself: the cost of its process and what the process printed."""

    cost: Cost
    facts: dict[str, Any]

    @property
    def rows(self) -> int:
        return int(self.facts["rows_in"])


def _multiply(what: str, source: Path, target: Path, times: int) -> None:
    run([sys.executable, SCRIPTS / "multiply.py", what, source, target, "--times", str(times)])


def _until_filter(folder: Path, corpus: Path | None, runs: int) -> tuple[Cost, int]:
    costs, counts = [], {}
    for _ in range(runs):
        shutil.rmtree(folder, ignore_errors=True)
        config = write_config(folder, corpus)
        costs.append(run([sys.executable, "-m", "finemed", "build", "-c", config, "--until", "filter", "--json"]))
        counts = json.loads(costs[0].stdout)["stages"]["ingest"]
    return middle(costs), counts["rows_in"]


def part_until_filter(work: Path, ten: Path, times: int, runs: int) -> str:
    """The map stages as the command line runs them."""
    rows = []
    peaks = []
    for name, corpus in (("1x", None), (f"{times}x", ten)):
        note(f"build --until filter, {name}")
        cost, count = _until_filter(work / f"filter-{name}", corpus, runs)
        peaks.append(cost.peak_mb)
        rows.append([name, f"{count:,}", f"{cost.wall_s:.1f}", f"{cost.cpu_s:.1f}", f"{cost.peak_mb:.0f}"])
    rows.append(["ratio", "", "", "", f"{peaks[1] / peaks[0]:.2f}"])
    return table(["corpus", "rows", "wall s", "CPU s", "peak MB"], rows)


def measure_stage(config: Path, name: str, shards: Path | None, out: Path, runs: int) -> Peak:
    """One stage in processes of its own, `runs` times."""
    costs = []
    for _ in range(runs):
        shutil.rmtree(out, ignore_errors=True)
        given = ["--shards", shards] if shards else []
        costs.append(run([sys.executable, SCRIPTS / "one_stage.py", config, name, *given, "--out", out]))
    shutil.rmtree(out, ignore_errors=True)
    facts = [json.loads(cost.stdout) for cost in costs]
    start = statistics.median(fact["start_mb"] for fact in facts)
    return Peak(middle(costs), {**facts[0], "start_mb": start})


def part_stages(work: Path, ten: Path, times: int, runs: int, only: list[str]) -> list[tuple[str, Peak, Peak]]:
    """(stage, peak at 1x, peak at `times`x) of all stages or `only` some, over the shards of a real build."""
    note("build over 1x, for the stages' inputs")
    once = write_config(work / "once")
    many = write_config(work / "many", ten)
    run([sys.executable, "-m", "finemed", "build", "-c", once])
    manifest = json.loads((once.parent / "run" / "manifest.json").read_text("utf-8"))
    found = []
    before: Path | None = None
    for number, report in enumerate(manifest["stages"], start=1):
        name = report["stage"]
        if name in only or not only:
            note(f"stage {name}")
            copies = work / "copies" if before else None
            if before and copies:
                _multiply("shards", before, copies, times)
            small = measure_stage(once, name, before, work / "out", runs)
            large = measure_stage(many, name, copies, work / "out", runs)
            found.append((name, small, large))
            for peak in (small, large):
                note(f"  {peak.rows:,} rows: {peak.cost.peak_mb:.0f} MB, {peak.cost.cpu_s:.1f} CPU s")
            shutil.rmtree(work / "copies", ignore_errors=True)
        before = once.parent / "run" / "stages" / f"{number:02d}-{name}"
    return found


def _streaming(found: list[tuple[str, Peak, Peak]], times: int) -> str:
    rows = []
    for name, small, large in found:
        kind = small.facts["kind"]
        if kind == "global":
            continue
        ratio = large.cost.peak_mb / small.cost.peak_mb
        growth = (large.cost.peak_mb - small.cost.peak_mb) * MB / (large.rows - small.rows)
        rows.append(
            [
                name,
                kind,
                f"{small.rows:,}",
                f"{large.rows:,}",
                f"{small.facts['start_mb']:.0f}",
                f"{small.cost.peak_mb:.0f}",
                f"{large.cost.peak_mb:.0f}",
                f"{ratio:.2f}",
                f"{growth:,.0f}" if growth > 0 else "0",
                "flat" if ratio < FLAT else "not flat",
            ]
        )
    head = ["stage", "kind", "rows 1x", f"rows {times}x", "start MB", "peak MB 1x", f"peak MB {times}x", "ratio"]
    return table([*head, "bytes per row more", f"< {FLAT}"], rows)


def _globals(found: list[tuple[str, Peak, Peak]], times: int) -> str:
    rows = []
    for name, small, large in found:
        if small.facts["kind"] != "global":
            continue
        growth = (large.cost.peak_mb - small.cost.peak_mb) * MB / (large.rows - small.rows)
        stated = [peak.facts["facts"].get("bytes_per_row") for peak in (small, large)]
        rows.append(
            [
                name,
                f"{small.rows:,}",
                f"{large.rows:,}",
                f"{small.cost.peak_mb:.0f}",
                f"{large.cost.peak_mb:.0f}",
                f"{large.cost.cpu_s / small.cost.cpu_s:.1f}",
                f"{growth:,.0f}",
                *(f"{value:,}" if value else "-" for value in stated),
                f"{growth / stated[1]:.1f}" if stated[1] else "-",
            ]
        )
    head = ["stage", "rows 1x", f"rows {times}x", "peak MB 1x", f"peak MB {times}x", "CPU ratio", "measured bytes/row"]
    return table([*head, "reported 1x", f"reported {times}x", "measured / reported"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=10, help="copies of the corpus (default: 10)")
    parser.add_argument("--runs", type=int, default=1, help="processes per figure, their median counts (default: 1)")
    parser.add_argument("--stages", nargs="+", metavar="STAGE", default=[], help="only these stages by themselves")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="finemed-bench-") as name:
        work = Path(name)
        ten = work / "ten.parquet"
        _multiply("corpus", data_folder() / CORPUS, ten, arguments.times)
        if not arguments.stages:
            print(part_until_filter(work, ten, arguments.times, arguments.runs), end="\n\n", flush=True)
        found = part_stages(work, ten, arguments.times, arguments.runs, arguments.stages)
    print(_streaming(found, arguments.times), end="\n\n")
    print(_globals(found, arguments.times))


if __name__ == "__main__":
    main()
