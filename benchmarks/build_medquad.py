"""Time and memory of a whole build: the 8,438 MedQuAD passages with the `rules` backend, from Parquet to a release.

::

    FINEMED_DATA=../shared/data python benchmarks/build_medquad.py --runs 3

Three commands a round: the build, the same again (nothing to do), and the same with `rank.min_score` changed. Seconds
of a stage are those that the run's ``session.json`` holds. Targets: under 120 s and under 2 GB on two cores.
"""

from __future__ import annotations

import argparse
import json
import pstats
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measure import Cost, middle, note, run, table, verdict
from medquad import write_config

TARGET_S = 120
TARGET_MB = 2000


@dataclass(frozen=True)
class Step:
    """One `finemed build` and the stages that it ran."""

    cost: Cost
    seconds: dict[str, float]
    release_hash: str


def build(config: Path, *options: str) -> Step:
    """Runs `finemed build` once; what it re-ran is the session that it added."""
    before = len(_sessions(config.parent))
    cost = run([sys.executable, "-m", "finemed", "build", "-c", config, *options])
    added = _sessions(config.parent)[before:]
    seconds = {name: facts["seconds"] for session in added for name, facts in session["stages"].items()}
    release = json.loads((config.parent / "run" / "release" / "manifest.json").read_text("utf-8"))
    return Step(cost, seconds, release["release_hash"])


def _sessions(folder: Path) -> list[dict[str, Any]]:
    path = folder / "run" / "session.json"
    return list(json.loads(path.read_text("utf-8"))["sessions"]) if path.exists() else []


def _commands(whole: list[Step], again: list[Step], changed: list[Step], setting: str) -> str:
    rows = []
    for name, steps in (("build", whole), ("the same again", again), (f"--set {setting}", changed)):
        cost = middle(step.cost for step in steps)
        walls = [step.cost.wall_s for step in steps]
        ran = list(steps[0].seconds)
        rows.append(
            [
                name,
                f"{cost.wall_s:.1f}",
                f"{min(walls):.1f} to {max(walls):.1f}",
                f"{cost.cpu_s:.1f}",
                f"{cost.peak_mb:.0f}",
                "all" if ran == list(whole[0].seconds) else ", ".join(ran) or "none",
            ]
        )
    return table(["command", "wall s", "range", "CPU s", "peak MB", "stages run"], rows)


def _stages(whole: list[Step], manifest: dict[str, Any]) -> str:
    rows: list[list[str]] = []
    total = statistics.median(step.cost.wall_s for step in whole)
    for report in manifest["stages"]:
        name, counts = report["stage"], report["counts"]
        seconds = statistics.median(step.seconds[name] for step in whole)
        drops = ", ".join(f"{reason} {count:,}" for reason, count in report["drops"].items())
        sizes = [f"{counts[key]:,}" for key in ("rows_in", "rows_out", "rows_dropped")]
        rate = f"{counts['rows_in'] / max(seconds, 1e-3):,.0f}"
        rows.append([name, *sizes, f"{seconds:.2f}", f"{seconds / total:.0%}", rate, drops])
    rest = statistics.median(step.cost.wall_s - sum(step.seconds.values()) for step in whole)
    rows.append(["start, benchmarks, card", "", "", "", f"{rest:.2f}", f"{rest / total:.0%}", "", ""])
    return table(["stage", "in", "out", "dropped", "seconds", "share", "rows/s", "drops"], rows)


def _profile(config: Path, count: int) -> str:
    stats_file = config.parent / "profile"
    run([sys.executable, "-m", "cProfile", "-o", stats_file, "-m", "finemed", "build", "-c", config])
    stats = pstats.Stats(str(stats_file))
    found: dict[tuple[str, int, str], tuple[int, int, float, float, Any]] = stats.stats  # type: ignore[attr-defined]
    total = sum(entry[2] for entry in found.values())
    rows = []
    for (file, _, name), (_, calls, own, below, _) in sorted(found.items(), key=lambda item: -item[1][2])[:count]:
        place = "/".join(Path(file).parts[-2:]) if file != "~" else "built in"
        rows.append([f"`{name}`", place, f"{calls:,}", f"{own:.1f}", f"{own / total:.0%}", f"{below:.1f}"])
    return table(["function", "where", "calls", "own s", "share", "s with callees"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="rounds, of which the median is shown (default: 3)")
    parser.add_argument("--min-score", type=float, default=5.0, help="the changed rank.min_score (default: 5.0)")
    parser.add_argument("--profile", type=int, metavar="N", default=0, help="profile one more build, N functions")
    arguments = parser.parse_args()
    setting = f"rank.min_score={arguments.min_score}"
    whole, again, changed = [], [], []
    manifest: dict[str, Any] = {}
    for number in range(arguments.runs):
        with tempfile.TemporaryDirectory(prefix="finemed-bench-") as name:
            config = write_config(Path(name))
            note(f"round {number + 1} of {arguments.runs}")
            whole.append(build(config))
            manifest = json.loads((config.parent / "run" / "manifest.json").read_text("utf-8"))
            again.append(build(config))
            changed.append(build(config, "--set", setting))
    cost = middle(step.cost for step in whole)
    print(_commands(whole, again, changed, setting), end="\n\n")
    print(_stages(whole, manifest), end="\n\n")
    targets = [
        ["wall seconds", f"{cost.wall_s:.1f}", f"< {TARGET_S}", verdict(cost.wall_s, TARGET_S)],
        ["peak MB", f"{cost.peak_mb:.0f}", f"< {TARGET_MB}", verdict(cost.peak_mb, TARGET_MB)],
    ]
    print(table(["figure", "measured", "target", ""], targets), end="\n\n")
    same = len({step.release_hash for step in whole + again}) == 1
    print(f"Releases of all {len(whole)} builds have the same hash: {'yes' if same else 'NO'}.")
    if arguments.profile:
        with tempfile.TemporaryDirectory(prefix="finemed-bench-") as name:
            print("\n" + _profile(write_config(Path(name)), arguments.profile))


if __name__ == "__main__":
    main()
