"""What a build will ask of its paid backends: calls, tokens, money and time per stage, before the first call.

::

    plan = estimate(Plan(config, base), Path("run"))
    plan.stages[1]   ->  StageEstimate(stage="generate", calls=8212, prompt_tokens=9_100_000, cost=None, ...)

Nothing is invented: a price that nobody set gives no cost, a rate that nobody measured gives no time, and every figure
says what it rests on. The more of the run exists, the more is counted instead of estimated: rows of finished stages,
replies in the journal, rates and yields of a trial.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from finemed.errors import StoreError
from finemed.llm.accounting import cost
from finemed.llm.base import Request
from finemed.pipeline.plan import STAGES, Plan, stage_folder
from finemed.store.journal import Journal
from finemed.store.manifest import read_manifest
from finemed.store.sealed import read_sealed, write_sealed
from finemed.store.shards import Say, ShardFolder, unheard
from finemed.text.segment import estimate_tokens

SAMPLE_ROWS = 100
"""Rows whose prompts are rendered to measure their length."""

ENOUGH_REPLIES = 20
"""Replies from which a mean length is taken from the journal."""

YIELDS = {
    "ingest": 1.0,
    "filter": 0.8,
    "phi": 1.0,
    "dedup_passages": 0.94,
    "classify": 1.0,
    "quota": 1.0,
    "generate": 2.0,
    "judge": 1.0,
    "select": 0.404,
    "dedup_instructions": 0.99,
    "decontaminate": 0.99,
    "route": 1.0,
    "reason": 1.0,
    "respond": 2.0,
    "decontaminate_answers": 0.99,
    "judge_answers": 1.0,
    "rank": 0.5,
    "split": 1.0,
}
"""Rows out per row in where nothing is measured yet; selection as published (169,701 of 2 x 209,971 questions)."""

COMPLETION_TOKENS = {
    "classify": 45,
    "generate": 120,
    "judge": 90,
    "reason": 2500,
    "respond": 350,
    "judge_answers": 90,
}
"""Tokens of a typical reply where neither journal nor trial holds any."""

COMPLEX_SHARE = 422 / 169_701
"""Questions with a complexity above 8 in the published data."""

_TYPICAL_QUESTION = "How does a reduced ejection fraction change the choice of drugs in hypertension with gout?"
_TYPICAL: dict[str, Any] = {
    "instruction": _TYPICAL_QUESTION,
    "response": " ".join([_TYPICAL_QUESTION] * 14),
    "reasoning": " ".join([_TYPICAL_QUESTION] * 90),
    "department": "Internal Medicine",
    "subdepartment": "Cardiology",
    "task_type": "treatment",
    "phi_state": "none_found",
    "kind": "ordinary",
}


@dataclass(frozen=True)
class StageEstimate:
    """One stage that asks a paid backend."""

    stage: str
    model: str
    rows: int
    calls: int
    """Still to be made."""
    stored: int
    """Replies that the journal already holds."""
    prompt_tokens: int
    completion_tokens: int
    cost: float | None
    currency: str | None
    seconds: float | None
    rests_on: str


@dataclass(frozen=True)
class BuildEstimate:
    """All stages that ask paid backends."""

    stages: list[StageEstimate] = field(default_factory=list)

    @property
    def cost(self) -> float | None:
        """The sum; None where a stage has no price."""
        costs = [stage.cost for stage in self.stages]
        known = [value for value in costs if value is not None]
        return sum(known) if known and len(known) == len(costs) else None

    def plain(self) -> dict[str, Any]:
        """The estimate as JSON values."""
        return {
            "stages": [asdict(stage) for stage in self.stages],
            "calls": sum(stage.calls for stage in self.stages),
            "prompt_tokens": sum(stage.prompt_tokens for stage in self.stages),
            "completion_tokens": sum(stage.completion_tokens for stage in self.stages),
            "cost": self.cost,
        }


def free_stages(plan: Plan) -> str | None:
    """The last stage before the first one that asks a paid backend; None where all are free."""
    for number, stage in enumerate(plan.stages()):
        backend = getattr(stage, "backend", None)
        if backend is not None and not backend.free:
            return STAGES[number - 1]
    return None


def estimate(plan: Plan, run: Path, say: Say = unheard) -> BuildEstimate:
    """Estimates the stages that are not finished, from the rows of those that are.

    Damaged replies count as not stored; `say` is told of them.

    Raises:
        FineMedError: the run's files are damaged.
    """
    reports = {report["stage"]: report for report in read_manifest(run)["stages"]}
    measured = read_trial(run)
    journal = Journal.of(run, say) if (run / "journal.sqlite").exists() else None
    try:
        if journal is not None:
            journal.check()
        known = _Known(run, reports, measured, journal)
        return BuildEstimate(list(_stages(plan, known)))
    finally:
        if journal is not None:
            journal.close()


def read_trial(run: Path) -> dict[str, dict[str, Any]]:
    """What the latest trial measured, by stage; empty without one."""
    return {entry["stage"]: entry for entry in read_trials(run)}


def read_trials(run: Path) -> list[dict[str, Any]]:
    """What all trials of a run measured, the latest last.

    Raises:
        StoreError: the file is damaged.
    """
    path = run / "trial.json"
    if not path.exists():
        return []
    remedy = "remove it and run `finemed trial` again; the replies are in the journal"
    entries = read_sealed(path, "trials", remedy=remedy)[0]["trials"]
    named = ("stage", "prompt", "model")
    if not isinstance(entries, list) or not all(isinstance(e, dict) and set(named) <= set(e) for e in entries):
        raise StoreError(f"{path}: damaged (`trials` does not hold what trials measured); {remedy}")
    return entries


@dataclass
class _Known:
    """What of the run is known."""

    run: Path
    reports: dict[str, Any]
    trial: dict[str, dict[str, Any]]
    journal: Journal | None

    def rows_out(self, name: str, rows_in: float) -> tuple[float, bool]:
        """Rows that a stage passes on, and whether they were counted."""
        if name in self.reports:
            return float(self.reports[name]["counts"]["rows_out"]), True
        if "yield" in self.trial.get(name, {}):
            return rows_in * self.trial[name]["yield"], False
        return rows_in * YIELDS[name], False


def _stages(plan: Plan, known: _Known) -> Iterator[StageEstimate]:
    rows, counted = 0.0, True
    sample = pl.DataFrame()
    for number, stage in enumerate(plan.stages()):
        name = STAGES[number]
        backend = getattr(stage, "backend", None)
        if backend is not None and not backend.free and name not in known.reports:
            yield _one(plan, name, stage, rows, sample, known, counted)
        rows, counted = known.rows_out(name, rows)
        if name in known.reports:
            sample = _sample(known.run, name, sample)


def _sample(run: Path, name: str, before: pl.DataFrame) -> pl.DataFrame:
    """The first rows of a finished stage."""
    folder = ShardFolder(stage_folder(run, name), pl.Schema())
    for index in folder.indices():
        found = folder.kept(index)
        if found.height:
            return found.head(SAMPLE_ROWS)
    return before


def _one(
    plan: Plan, name: str, stage: Any, rows: float, sample: pl.DataFrame, known: _Known, counted: bool
) -> StageEstimate:
    trial = known.trial.get(name, {})
    share = _complex_share(plan, known) if name == "reason" else 1.0
    requests = list(stage.calls(_filled(stage.contract.reads, sample)))
    per_row = len(requests) / max(1, sample.height)
    calls = rows * per_row * share
    stored = _stored(stage, name, known) if counted else 0
    remaining = max(0, round(calls) - stored)
    sent = sum(_prompt_tokens(request) for request in requests) / max(1, len(requests))
    received, why = _completion_tokens(name, stage, known)
    rate = trial.get("calls_per_second")
    price = plan.price(name)
    rests = [
        f"{'counted' if counted else 'estimated'} rows",
        f"prompts of {sample.height} rows",
        f"replies of {received:.0f} tokens ({why})",
        f"{rate:.1f} calls/s in the trial" if rate else "no rate measured",
    ]
    if name == "reason":
        rests.insert(1, f"{share:.1%} complex")
    return StageEstimate(
        name,
        stage.backend.name,
        round(rows),
        remaining,
        stored,
        round(remaining * sent),
        round(remaining * received),
        cost(price, round(remaining * sent), round(remaining * received)),
        price.currency if price else None,
        remaining / rate if rate else None,
        ", ".join(rests),
    )


def _filled(schema: pl.Schema, sample: pl.DataFrame) -> pl.DataFrame:
    """The sample with typical values in the columns that later stages will write."""
    height = sample.height
    columns = []
    for name, dtype in schema.items():
        if name in sample.columns and sample.schema[name] == dtype:
            columns.append(sample[name])
            continue
        value = {"route": "complex"}.get(name, _TYPICAL.get(name))
        if value is None and dtype == pl.String and name.endswith("_id"):
            columns.append(pl.Series(name, [f"{name}{number}" for number in range(height)], dtype=dtype))
        else:
            columns.append(pl.Series(name, [value] * height, dtype=dtype))
    return pl.DataFrame(columns)


def _complex_share(plan: Plan, known: _Known) -> float:
    if "route" in known.reports:
        report = known.reports["route"]
        return float(report["facts"]["complex"] / max(1, report["counts"]["rows_out"]))
    wanted: float | None = plan.config.route.top_share
    return COMPLEX_SHARE if wanted is None else wanted


def _stored(stage: Any, name: str, known: _Known) -> int:
    """Requests of the rows that are there whose reply the journal already holds."""
    if known.journal is None:
        return 0
    before = STAGES[STAGES.index(name) - 1]
    if before not in known.reports:
        return 0
    folder = ShardFolder(stage_folder(known.run, before), stage.contract.reads)
    identity = stage.backend.identity()
    requests = itertools.chain.from_iterable(stage.requests(rows) for _, rows in folder.frames())
    return sum(known.journal.get(request.key(identity)) is not None for request in requests)


def _prompt_tokens(request: Request) -> int:
    return sum(estimate_tokens(message["content"]) + 4 for message in request.messages())


def _completion_tokens(name: str, stage: Any, known: _Known) -> tuple[float, str]:
    for line in known.journal.stats() if known.journal else []:
        same = line["task"] == stage.prompt.label and line["model"] == stage.backend.name
        if same and line["replies"] >= ENOUGH_REPLIES and line["completion_tokens"]:
            return line["completion_tokens"] / line["replies"], f"mean of {line['replies']:,} in the journal"
    tried = known.trial.get(name, {})
    if tried.get("calls") and tried["prompt"] == stage.prompt.label and tried["model"] == stage.backend.name:
        return tried["completion_tokens"] / tried["calls"], f"mean of {tried['calls']} in the trial"
    return float(COMPLETION_TOKENS[name]), "assumed"


def write_trial(run: Path, entries: list[dict[str, Any]]) -> None:
    """Keeps what a trial measured, the latest last; entries of the same stage, prompt and model are replaced."""
    fresh = {(entry["stage"], entry["prompt"], entry["model"]) for entry in entries}
    kept = [entry for entry in read_trials(run) if (entry["stage"], entry["prompt"], entry["model"]) not in fresh]
    write_sealed(run / "trial.json", {"trials": [*kept, *entries]})
