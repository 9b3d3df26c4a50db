"""Runs a build, or what is left of one.

::

    result = run_build(Plan(config, Path(".")), Path("run"))
    result.manifest["stages"][-1]["counts"]  ->  {"rows_in": 96, "rows_kept": 96, "rows_dropped": 0, "rows_out": 118}

Every finished shard stays; the same command goes on behind it. Nothing of a run depends on when or where it ran, but
for `session.json` and the order of rows in the journal.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from finemed import __version__
from finemed.config import identity, stable_hash
from finemed.engines.base import Progress, Shards, Silent
from finemed.engines.local import run_global, run_llm, run_map
from finemed.pipeline.plan import STAGES, Plan, fingerprint, output_hash, stage_folder, stage_number
from finemed.pipeline.reconcile import reconcile, reconcile_totals
from finemed.stages.base import Outcome, Stage
from finemed.store.atomic import locked, remove_temporaries
from finemed.store.journal import Journal
from finemed.store.manifest import Session, count_reasons, write_ledger, write_manifest
from finemed.store.readers import record_batches
from finemed.store.shards import ShardFolder

Action = Literal["reuse", "run", "depends"]


@dataclass(frozen=True)
class RunResult:
    """A run after `run_build`."""

    run: Path
    manifest: dict[str, Any]
    complete: bool
    """True where the last stage is finished."""


class _Sink:
    """Accounts for each shard, then writes it."""

    def __init__(self, stage: Stage, folder: ShardFolder) -> None:
        self._contract = stage.contract
        self._folder = folder

    def done(self, index: int) -> bool:
        return self._folder.has(index)

    def write(self, index: int, rows: pl.DataFrame, outcome: Outcome) -> None:
        reconcile(self._contract, rows, outcome)
        self._folder.write(index, outcome.kept, outcome.dropped)


def run_build(
    plan: Plan,
    run: Path,
    *,
    until: str | None = None,
    restart_from: str | None = None,
    progress: Progress | None = None,
    stages: Sequence[Stage] | None = None,
) -> RunResult:
    """Runs all stages that are not finished with these inputs and settings.

    Args:
        plan: the build.
        run: the run's folder; made if absent, gone on with if not.
        until: last stage to run.
        restart_from: first stage to run anew even if nothing changed; paid replies still come from the journal.
        progress: shows how it gets on.
        stages: other stages than the plan's, for tests.

    Raises:
        FineMedError: a stage failed; finished shards and all paid replies stay.
    """
    last = stage_number(until) if until else len(STAGES) - 1
    first = stage_number(restart_from) if restart_from else len(STAGES)
    shown = progress or Silent()
    with locked(run):
        remove_temporaries(run)
        session = Session(run)
        journal: Journal | None = None
        reports: list[dict[str, Any]] = []
        try:
            before = plan.source_hash()
            previous: ShardFolder | None = None
            for number, stage in enumerate(stages or plan.stages()):
                folder = ShardFolder(stage_folder(run, stage.contract.name), stage.contract.schema)
                mark = fingerprint(stage, before)
                report = folder.finished(mark) if number < first else None
                if report is None and number > last:
                    break  # what lies beyond `until` is kept where it still holds, and not run
                if report is None:
                    (run / "ledger.parquet").unlink(missing_ok=True)  # it would tell of other rows than the shards
                    if hasattr(stage, "requests") and journal is None:
                        journal = Journal(run / "journal.sqlite")
                    if number >= first:
                        _forget(folder)
                    report = _run_stage(stage, plan, folder, previous, reports, mark, journal, shown, session)
                reports.append(report)
                write_manifest(run, _manifest(plan, reports))
                before, previous = output_hash(report), folder
        finally:
            plan.close()
            if journal is not None:
                journal.close()
        complete = len(reports) == len(STAGES)
        if complete:
            names = [report["stage"] for report in reports]
            write_ledger(run / "ledger.parquet", [(n, ShardFolder(stage_folder(run, n), pl.Schema())) for n in names])
        return RunResult(run, _manifest(plan, reports), complete)


def _forget(folder: ShardFolder) -> None:
    (folder.path / "begun.json").unlink(missing_ok=True)


def _run_stage(
    stage: Stage,
    plan: Plan,
    folder: ShardFolder,
    previous: ShardFolder | None,
    reports: list[dict[str, Any]],
    mark: str,
    journal: Journal | None,
    progress: Progress,
    session: Session,
) -> dict[str, Any]:
    started = time.monotonic()
    contract = stage.contract
    folder.begin(mark)
    sink = _Sink(stage, folder)
    records = [0]
    shards: Shards = previous_shards(previous) if previous else _records(plan, records)
    total = reports[-1]["counts"]["rows_out"] if reports else None
    progress.start(contract.name, total, len(folder.indices()) * plan.config.ingest.shard_rows)
    facts = _dispatch(stage, shards, sink, journal, progress)
    counts = reconcile_totals(contract, folder, records[0] if previous is None else total or 0)
    report = folder.finish(
        {
            "stage": contract.name,
            "version": contract.version,
            "fingerprint": mark,
            "settings": stage.settings(),
            "counts": counts,
            "drops": count_reasons(folder),
            "facts": facts,
        }
    )
    seconds = time.monotonic() - started
    session.stage(
        contract.name, seconds=round(seconds, 3), rows_per_second=round(counts["rows_in"] / max(seconds, 1e-9), 1)
    )
    progress.finish(f"{counts['rows_in']} in, {counts['rows_out']} out, {counts['rows_dropped']} dropped")
    return report


def _dispatch(stage: Any, shards: Shards, sink: _Sink, journal: Journal | None, progress: Progress) -> dict[str, Any]:
    if hasattr(stage, "requests"):
        return run_llm(stage, shards, sink, journal, progress)
    if hasattr(stage, "fit"):
        return run_global(stage, shards, sink, progress)
    return run_map(stage, shards, sink, progress)


def previous_shards(folder: ShardFolder) -> Shards:
    """Opens a finished stage's kept rows."""
    return folder.frames


def _records(plan: Plan, count: list[int]) -> Shards:
    def open_records() -> Iterator[tuple[int, pl.DataFrame]]:
        count[0] = 0
        for index, rows in record_batches(plan.files, plan.config.ingest.shard_rows):
            count[0] += rows.height
            yield index, rows

    return open_records


def _manifest(plan: Plan, reports: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "format": 1,
        "finemed": __version__,
        "name": plan.config.name,
        "config_hash": stable_hash(identity(plan.config)),
        "inputs": plan.inputs,
        "benchmarks": plan.benchmarks.items,
        "benchmark_items_unmatchable": plan.benchmarks.unmatchable,
        "taxonomy": {"name": plan.taxonomy.name, "version": plan.taxonomy.version},
        "stages": reports,
    }


def preview(plan: Plan, run: Path, restart_from: str | None = None) -> list[tuple[str, Action, dict[str, Any] | None]]:
    """What `run_build` would do with each stage: `reuse`, `run`, or `depends` on what comes out of those before it."""
    first = stage_number(restart_from) if restart_from else len(STAGES)
    before: str | None = plan.source_hash()
    actions: list[tuple[str, Action, dict[str, Any] | None]] = []
    for number, stage in enumerate(plan.stages()):
        folder = ShardFolder(stage_folder(run, stage.contract.name), stage.contract.schema)
        report = folder.finished(fingerprint(stage, before)) if before is not None and number < first else None
        if report is not None:
            actions.append((stage.contract.name, "reuse", report))
            before = output_hash(report)
        else:
            actions.append((stage.contract.name, "run" if before is not None or number >= first else "depends", None))
            before = None
    return actions
