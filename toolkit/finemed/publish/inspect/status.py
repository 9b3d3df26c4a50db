"""How far a run is, read from its folder alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from finemed.errors import InputError, StoreError
from finemed.pipeline.plan import STAGES, stage_folder, stage_number
from finemed.store.atomic import read_json
from finemed.store.manifest import count_reasons, read_manifest
from finemed.store.shards import ShardFolder


@dataclass(frozen=True)
class StageStatus:
    """One line of the status."""

    stage: str
    state: str
    """`done`, `partial`, `stale` (of earlier settings or inputs) or `todo`."""
    counts: dict[str, int]
    drops: dict[str, int]

    def plain(self) -> dict[str, Any]:
        """The line as JSON values; null where a count is not known yet."""
        names = {"rows": "rows_in", "kept": "rows_kept", "rows_out": "rows_out"}
        counts = {name: self.counts.get(column) for name, column in names.items()}
        return {"stage": self.stage, "state": self.state, **counts, "dropped": self.drops}


@dataclass(frozen=True)
class RunStatus:
    """A run's stages and its release."""

    run: Path
    stages: list[StageStatus]
    release_state: Literal["none", "current", "outdated"]

    @property
    def release(self) -> str:
        """The release in words."""
        path = self.run / "release"
        outdated = f"{path} (of earlier settings or inputs)"
        return {"none": "none yet", "current": str(path), "outdated": outdated}[self.release_state]

    def plain(self) -> dict[str, Any]:
        """The status as JSON values."""
        return {
            "run": str(self.run),
            "stages": [line.plain() for line in self.stages],
            "release": None if self.release_state == "none" else str(self.run / "release"),
            "release_state": self.release_state,
        }


def read_status(run: Path) -> RunStatus:
    """Reads the status of a run.

    Raises:
        InputError: the folder is not a run.
        StoreError: something that it holds is damaged.
    """
    if not (run / "stages").is_dir():
        raise InputError(f"{run}: holds no run; give the folder that `finemed build` made")
    done = {report["stage"]: report for report in read_manifest(run)["stages"]}
    lines = []
    for name in STAGES:
        folder = ShardFolder(stage_folder(run, name), pl.Schema())
        report = folder.report_path
        current = done.get(name)
        if report.exists() and current and folder.report()["fingerprint"] == current["fingerprint"]:
            lines.append(StageStatus(name, "done", current["counts"], current["drops"]))
        elif report.exists():
            lines.append(StageStatus(name, "stale", {}, {}))
        elif folder.indices():
            lines.append(StageStatus(name, "partial", {}, count_reasons(folder.drops())))
        else:
            lines.append(StageStatus(name, "todo", {}, {}))
    return RunStatus(run, lines, _release_state(run, done))


def _release_state(run: Path, done: dict[str, Any]) -> Literal["none", "current", "outdated"]:
    path = run / "release" / "manifest.json"
    if not path.exists():
        return "none"
    try:
        stages = {report["stage"]: report["fingerprint"] for report in read_json(path, "stages")["stages"]}
    except (KeyError, TypeError):
        raise StoreError(
            f"{path}: damaged (`stages` does not hold the reports of stages); remove {path.parent} and run "
            "`finemed build` again"
        ) from None
    current = {name: report["fingerprint"] for name, report in done.items()}
    return "current" if stages == current else "outdated"


def read_drops(
    run: Path,
    *,
    stage: str | None = None,
    reason: str | None = None,
    row_id: str | None = None,
    limit: int = 0,
    kept: bool = False,
) -> tuple[list[dict[str, str]], int]:
    """Dropped rows of a run, finished or not, in the pipeline's order, and how many there are in all.

    With `kept` the rows that were kept with a remark instead; the remark's code stands under `remark`.

    Raises:
        InputError: the folder is not a run.
        ConfigError: no such stage.
        StoreError: a stage's file is damaged.
    """
    if not (run / "stages").is_dir():
        raise InputError(f"{run}: holds no run; give the folder that `finemed build` made")
    names = STAGES if stage is None else (STAGES[stage_number(stage)],)
    rows: list[dict[str, str]] = []
    total = 0
    for name in names:
        folder = ShardFolder(stage_folder(run, name), pl.Schema())
        for drops in folder.notes() if kept else folder.drops():
            found = drops.with_columns(pl.lit(name).alias("stage")).select("stage", "row_id", "drop_reason", "detail")
            if reason is not None:
                found = found.filter(pl.col("drop_reason") == reason)
            if row_id is not None:
                found = found.filter(pl.col("row_id") == row_id)
            total += found.height
            found = found.rename({"drop_reason": "remark"}) if kept else found
            rows.extend(found.head(max(0, limit - len(rows)) if limit else found.height).to_dicts())
    return rows, total


def printable(text: str) -> str:
    """Text of a corpus as one line that cannot steer a terminal."""
    return "".join(char if char.isprintable() else "\ufffd" for char in " ".join(text.split()))
