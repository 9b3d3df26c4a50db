"""Runs a build, or what is left of one.

::

    result = run_build(Plan(config, Path(".")), Path("run"))
    result.manifest["stages"][-1]["counts"]  ->  {"rows_in": 96, "rows_kept": 96, "rows_dropped": 0, "rows_out": 118}

Every finished shard stays; the same command goes on behind it. A shard, a report or a reply that is not what was
written is said and made again. Nothing of a run depends on when or where it ran, but for `session.json` and the order
of rows in the journal.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import polars as pl

from finemed import __version__
from finemed.config import identity, stable_hash
from finemed.engines.base import Progress, Shards, Silent
from finemed.engines.local import run_global, run_llm, run_map
from finemed.errors import StageError, StoreError
from finemed.llm.accounting import Budget, Tally
from finemed.pipeline.plan import STAGES, Plan, fingerprint, output_hash, stage_folder, stage_range
from finemed.pipeline.reconcile import reconcile, reconcile_totals
from finemed.sources.records import record_batches
from finemed.stages.base import Outcome, Rows, Stage
from finemed.store.atomic import remove_leftovers
from finemed.store.journal import Journal
from finemed.store.manifest import Session, count_reasons, write_ledger, write_manifest, write_notes
from finemed.store.sealed import is_counts, read_sealed, write_sealed
from finemed.store.shards import Say, ShardFolder, unheard

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
        self._folder.write(index, outcome.kept, outcome.dropped, outcome.noted)


def run_build(
    plan: Plan,
    run: Path,
    *,
    until: str | None = None,
    restart_from: str | None = None,
    progress: Progress | None = None,
    budget: Budget | None = None,
    stages: Sequence[Stage] | None = None,
) -> RunResult:
    """Runs all stages that are not finished with these inputs and settings; the caller holds the run's lock.

    Args:
        plan: the build.
        run: the run's folder; made if absent, gone on with if not.
        until: last stage to run.
        restart_from: first stage to run anew even if nothing changed; paid replies still come from the journal.
        progress: shows how it gets on.
        budget: stops before a call that it does not hold; what the journal holds already counts.
        stages: other stages than the plan's, for tests.

    Raises:
        FineMedError: a stage failed; finished shards and all paid replies stay.
    """
    first, last = stage_range(restart_from, until)
    plan.backfill = read_backfill(run)
    progress = progress or Silent()
    remove_leftovers(run)
    state = _State(plan, run, progress, Session(run, progress.say), budget=budget)
    try:
        before = plan.source_hash()
        todo = list(stages or plan.stages())
        for number, stage in enumerate(todo):
            folder = ShardFolder(stage_folder(run, stage.contract.name), stage.contract.schema)
            folder.clean()
            mark = fingerprint(stage, before)
            report = folder.finished(mark, progress.say) if number < first else None
            if report is not None and not folder.sealed:
                report = _recounted(stage, state, folder, report)
            if report is None and number > last:
                break  # what lies beyond `until` is kept where it still holds, and not run
            if report is None:
                _look_ahead(todo[number : last + 1])
                for name in ("ledger.parquet", "notes.parquet"):  # they would tell of other rows than the shards
                    (run / name).unlink(missing_ok=True)
                if number >= first:
                    _forget(folder)
                report = _run_stage(stage, state, folder, mark)
                state.reports.append(report)
                write_manifest(run, _manifest(plan, state.reports))
            else:
                state.reports.append(report)
            before, state.previous = output_hash(report), folder
    finally:
        plan.close()
        state.close()
    manifest = _manifest(plan, state.reports)
    write_manifest(run, manifest)
    complete = len(state.reports) == len(STAGES)
    if complete:
        names = [report["stage"] for report in state.reports]
        folders = [(name, ShardFolder(stage_folder(run, name), pl.Schema())) for name in names]
        write_notes(run / "notes.parquet", folders)
        write_ledger(run / "ledger.parquet", folders)
    return RunResult(run, manifest, complete)


@dataclass
class _State:
    """What a build carries from stage to stage."""

    plan: Plan
    run: Path
    progress: Progress
    session: Session
    reports: list[dict[str, Any]] = field(default_factory=list)
    previous: ShardFolder | None = None
    budget: Budget | None = None
    _journal: Journal | None = None

    def journal(self, stage: Stage) -> Journal | None:
        """The journal, opened when the first stage needs it."""
        if self._journal is None and hasattr(stage, "requests"):
            self._journal = Journal(self.run / "journal.sqlite", self.progress.say)
            self._journal.check()
            if self.budget is not None:
                for line in self._journal.stats():
                    self.budget.charge(line["model"], line)
        return self._journal

    def close(self) -> None:
        """Closes the journal."""
        if self._journal is not None:
            self._journal.close()


def _look_ahead(stages: Sequence[Any]) -> None:
    """Refuses a build that a later stage could not finish, before an earlier one is paid for."""
    for stage in stages:
        if hasattr(stage, "backend"):
            stage.backend.ready()


def _forget(folder: ShardFolder) -> None:
    (folder.path / "begun.json").unlink(missing_ok=True)


def _run_stage(stage: Stage, state: _State, folder: ShardFolder, mark: str) -> dict[str, Any]:
    started = time.monotonic()
    contract, progress = stage.contract, state.progress
    folder.begin(mark, progress.say)
    sink = _Sink(stage, folder)
    records = [0]
    shards: Shards = state.previous.frames if state.previous else _records(state.plan, records)
    total = state.reports[-1]["counts"]["rows_out"] if state.reports else None
    progress.start(contract.name, total, len(folder.indices()) * state.plan.config.ingest.shard_rows)
    tally = Tally(price=state.plan.price(contract.name))
    facts = _dispatch(stage, shards, sink, state, tally)
    counts = reconcile_totals(contract, folder, records[0] if total is None else total)
    report = folder.finish(_report(stage, folder, mark, counts, facts))
    seconds = time.monotonic() - started
    rate = round(counts["rows_in"] / max(seconds, 1e-9), 1)
    state.session.stage(contract.name, seconds=round(seconds, 3), rows_per_second=rate)
    progress.finish("{rows_in:,} in, {rows_kept:,} kept, {rows_dropped:,} dropped, {rows_out:,} out".format(**counts))
    if counts["rows_out"] == 0:
        _refuse_nothing(contract.name, counts["rows_in"], report["drops"], state.run)
    return report


def _report(
    stage: Stage, folder: ShardFolder, mark: str, counts: dict[str, int], facts: dict[str, Any]
) -> dict[str, Any]:
    return {
        "stage": stage.contract.name,
        "version": stage.contract.version,
        "fingerprint": mark,
        "settings": stage.settings(),
        "counts": counts,
        "drops": count_reasons(folder.drops()),
        "notes": count_reasons(folder.notes()),
        "facts": facts,
    }


def _recounted(stage: Any, state: _State, folder: ShardFolder, stated: dict[str, Any]) -> dict[str, Any]:
    """The report of a stage that was finished before reports had checksums, worked out again from its shards."""
    contract = stage.contract
    rows_in = state.reports[-1]["counts"]["rows_out"] if state.reports else None
    counts = reconcile_totals(contract, folder, rows_in)
    facts: dict[str, Any] = {}
    if hasattr(stage, "fit") and state.previous is not None:
        shards = state.previous.frames
        rows = Rows((rows for _, rows in shards()), lambda: (rows for _, rows in shards()))
        facts = stage.report(stage.fit(rows))
    report = folder.finish(_report(stage, folder, stated["fingerprint"], counts, facts))
    plain = json.loads(json.dumps(report))
    differing = [name for name in ("counts", "drops", "notes", "facts") if stated.get(name, {}) != plain[name]]
    if differing:
        state.progress.say(
            f"{folder.report_path}: stated other {' and '.join(differing)} than its shards give; they were worked out "
            "again"
        )
    return report


def _refuse_nothing(stage: str, rows_in: int, drops: dict[str, int], run: Path) -> None:
    if rows_in == 0:
        raise StageError(f"{stage}: the sources hold no record; check `sources.path` and the files")
    reasons = ", ".join(f"{reason} {count}" for reason, count in drops.items())
    raise StageError(
        f"{stage}: none of {rows_in} rows is left ({reasons}); look at them with "
        f"`finemed ledger {run} --stage {stage}`, then change the settings of `{stage}` or the sources"
    )


def _dispatch(stage: Any, shards: Shards, sink: _Sink, state: _State, tally: Tally) -> dict[str, Any]:
    progress = state.progress
    if hasattr(stage, "requests"):
        try:
            return run_llm(stage, shards, sink, state.journal(stage), progress, tally, state.budget)
        finally:
            if tally.calls or tally.stored:
                state.session.stage(stage.contract.name, **tally.plain())
    if hasattr(stage, "fit"):
        return run_global(stage, shards, sink, progress)
    return run_map(stage, shards, sink, progress)


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
        "backends": plan.licences(),
        "benchmarks": plan.benchmarks.items,
        "benchmark_items_unmatchable": plan.benchmarks.unmatchable,
        "taxonomy": {"name": plan.taxonomy.name, "version": plan.taxonomy.version},
        "sources": plan.addresses(),
        "extra_columns": plan.config.extra_columns(),
        "stages": reports,
    }


def read_backfill(run: Path) -> dict[str, int]:
    """Further passages to draw by node id, as ``finemed coverage --backfill`` left them in the run.

    Raises:
        StoreError: the file is damaged.
    """
    path = run / "backfill.json"
    if not path.exists():
        return {}
    remedy = "restore it, or remove it: the further passages that it named are then not drawn"
    value, sealed = read_sealed(path, remedy=remedy)
    nodes = value.get("nodes") if sealed else value  # a file from before the checksums holds the nodes alone
    if not is_counts(nodes):
        raise StoreError(f"{path}: damaged (not a count of passages for each node); {remedy}")
    return dict(nodes or {})


def write_backfill(run: Path, nodes: dict[str, int]) -> None:
    """Writes what `read_backfill` reads."""
    write_sealed(run / "backfill.json", {"nodes": dict(sorted(nodes.items()))})


def preview(
    plan: Plan, run: Path, restart_from: str | None = None, say: Say = unheard
) -> list[tuple[str, Action, dict[str, Any] | None]]:
    """What `run_build` would do with each stage: `reuse`, `run`, or `depends` on what comes out of those before it.

    A stage with something damaged is run; `say` is told what.
    """
    first, _ = stage_range(restart_from, None)
    plan.backfill = read_backfill(run)
    before: str | None = plan.source_hash()
    actions: list[tuple[str, Action, dict[str, Any] | None]] = []
    for number, stage in enumerate(plan.stages()):
        folder = ShardFolder(stage_folder(run, stage.contract.name), stage.contract.schema)
        report = None
        if before is not None and number < first:
            report = folder.finished(fingerprint(stage, before), say)
        if report is not None:
            actions.append((stage.contract.name, "reuse", report))
            before = output_hash(report)
        else:
            known = before is not None or number >= first or not (folder.path / "stage.json").exists()
            actions.append((stage.contract.name, "run" if known else "depends", None))
            before = None
    return actions
