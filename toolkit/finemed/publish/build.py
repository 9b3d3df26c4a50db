"""The main job: a run from ingest to split, and the release with its card."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finemed.engines.base import Progress
from finemed.llm.accounting import Budget
from finemed.pipeline.plan import Plan, stage_number
from finemed.pipeline.run import RunResult, preview, run_build
from finemed.publish.licences import licence_warning
from finemed.publish.pools import refuse_colliding_views
from finemed.publish.release import Release, release_intact, write_release
from finemed.records import POOLS
from finemed.records.counts import how_many
from finemed.store.atomic import locked
from finemed.store.shards import Say, unheard


@dataclass(frozen=True)
class BuildOutcome:
    """What a build came to."""

    run: RunResult
    release: Release | None
    """None where the build was stopped before the last stage."""

    @property
    def path(self) -> Path:
        """The release's folder, or the run's where there is no release yet."""
        return self.release.path if self.release else self.run.run

    def summary(self) -> dict[str, Any]:
        """The outcome as JSON values."""
        return {
            "run": str(self.run.run),
            "release": str(self.release.path) if self.release else None,
            "configs": self.release.manifest["configs"] if self.release else None,
            "stages": [
                {
                    "stage": report["stage"],
                    "rows": report["counts"]["rows_in"],
                    "kept": report["counts"]["rows_kept"],
                    "dropped": report["drops"],
                    "rows_out": report["counts"]["rows_out"],
                }
                for report in self.run.manifest["stages"]
            ],
        }

    def explain(self) -> str:
        """What a person may do next."""
        unread = self._quarantined()
        if self.release is None:
            return f"{unread}Stopped before the last stage; there is no new release."
        configs = self.release.manifest["configs"]
        counts = ", ".join(f"{pool} {sum(configs[pool].values())}" for pool in POOLS if pool in configs)
        licences = self.release.manifest["figures"]["licences"]
        unnamed = sorted({row["source"] for row in licences if not row["license"]})
        unlicensed = f"No licence is stated for {', '.join(unnamed)}; the card says so.\n" if unnamed else ""
        warning = licence_warning(self.release.manifest["card"]["license"], licences)
        unlicensed += f"{warning}\n" if warning else ""
        return (
            f"{unread}{unlicensed}Rows: {counts}.\n{self._held()}"
            f"Load it:   datasets.load_dataset({str(self.release.path)!r}, {next(iter(configs))!r})\n"
            f"Read it:   {self.release.path / 'README.md'}\n"
            f"Follow it: finemed status {self.run.run}; finemed ledger {self.run.run}"
        )

    def _held(self) -> str:
        """What holding the splits of earlier versions came to; nothing where none was named."""
        held = self.run.manifest["stages"][-1]["facts"].get("previous")
        if not held:
            return ""
        versions = ", ".join(version["version"] for version in held["versions"])
        conflict = (
            f"; {held['bridges_published']:,} of these were published, and earlier versions had their like on two sides"
            if held["bridges_published"]
            else ""
        )
        return (
            f"Splits held against {versions}: {how_many(held['pinned'], 'row')} pinned, {held['bridges']:,} left out "
            f"(`bridges_splits`){conflict}.\n"
        )

    def _quarantined(self) -> str:
        """Records that could not be read, in one line; nothing where there are none."""
        stages = self.run.manifest["stages"]
        lost = stages[0]["drops"] if stages else {}
        reasons = ", ".join(f"{reason} {count}" for reason, count in lost.items())
        return f"Dropped at ingest: {reasons}; see `finemed ledger --stage ingest`.\n" if lost else ""


def build_release(
    plan: Plan,
    run: Path,
    *,
    until: str | None = None,
    restart_from: str | None = None,
    progress: Progress | None = None,
    budget: Budget | None = None,
) -> BuildOutcome:
    """Runs what is left of a build and writes the release if the last stage is finished.

    Raises:
        FineMedError: a stage or the release failed; everything finished stays.
    """
    refuse_colliding_views(plan.taxonomy)
    with locked(run):
        result = run_build(plan, run, until=until, restart_from=restart_from, progress=progress, budget=budget)
        if not result.complete:
            return BuildOutcome(result, None)
        return BuildOutcome(result, write_release(result, plan.taxonomy, plan.config.card))


def preview_release(
    plan: Plan, run: Path, *, until: str | None = None, restart_from: str | None = None, say: Say = unheard
) -> list[tuple[str, str, str]]:
    """(stage, action, note) of what `build_release` would do; `say` is told what is damaged.

    Raises:
        ConfigError: no such stage.
    """
    if until is not None:
        stage_number(until)
    lines: list[tuple[str, str, str]] = []
    for name, action, report in preview(plan, run, restart_from, say):
        if action == "reuse" and report is not None:
            note = f"{report['counts']['rows_in']} in, {report['counts']['rows_out']} out"
        else:
            note = "runs only if its input changes" if action == "depends" else ""
        lines.append((name, action, note))
        if name == until:
            return lines
    current = all(action == "reuse" for _, action, _ in lines) and release_intact(run / "release")
    lines.append(("card", "reuse" if current else "run", ""))
    return lines
