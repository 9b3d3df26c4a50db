"""A small trial of the prompts: some rows through every llm stage, before thousands are paid for.

::

    result = trial(Plan(config, base), Path("run"), rows=50)
    result.stages[0].states   ->  {"parsed": 49, "unparsable": 1}

Replies go into the run's journal, so the build does not pay for them again. Rows are drawn by a hash of their id. The
stages that need all rows (dedup, quotas, decontamination) are left out, and at least `LEAST_COMPLEX` questions are
taken as complex, so that the long answers are tried too.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import xxhash

from finemed.engines.base import Progress, Silent
from finemed.engines.local import run_llm
from finemed.errors import InputError
from finemed.llm.accounting import Budget, Tally
from finemed.llm.rules.questions import is_deictic
from finemed.pipeline.estimate import read_trials, write_trial
from finemed.pipeline.plan import STAGES, Plan, stage_folder
from finemed.records import Sample
from finemed.stages.base import Outcome
from finemed.store.journal import Journal
from finemed.store.shards import ShardFolder

LEAST_COMPLEX = 3
SCORES = {"judge": ("quality", "complexity", "relevance"), "judge_answers": ("grounded", "correct", "complete", "safe")}
LEFT_OUT = ("quota", "dedup_instructions", "decontaminate", "decontaminate_answers", "split")


@dataclass
class StageTrial:
    """What a stage made of the trial's rows."""

    stage: str
    prompt: str
    model: str
    rows: int
    states: dict[str, int]
    calls: int
    stored: int
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    rows_out: int
    spread: dict[str, dict[int, int]] = field(default_factory=dict)
    """Score -> how many rows have which value."""
    facts: dict[str, float] = field(default_factory=dict)
    """Shares that tell about the questions: `deictic`, `mentions_details`, and task types."""

    @property
    def parsed_share(self) -> float:
        """Share of the answers that could be read."""
        return self.states.get("parsed", 0) / max(1, sum(self.states.values()))

    def plain(self) -> dict[str, Any]:
        """What is kept in ``trial.json``; a rate only where calls were really made."""
        return {
            "stage": self.stage,
            "prompt": self.prompt,
            "model": self.model,
            "rows": self.rows,
            "states": self.states,
            "parsed_share": round(self.parsed_share, 4),
            "yield": round(self.rows_out / max(1, self.rows), 4),
            "calls": self.calls,
            "stored": self.stored,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "calls_per_second": round(self.calls / self.seconds, 3) if self.calls and not self.stored else None,
            "spread": {
                name: {str(key): n for key, n in sorted(counts.items())} for name, counts in self.spread.items()
            },
            "facts": self.facts,
        }


@dataclass(frozen=True)
class Trial:
    """All stages of a trial, and its samples."""

    stages: list[StageTrial]
    samples: list[dict[str, Any]]
    """Finished samples with their passage, to be read."""
    before: list[dict[str, Any]]
    """What earlier trials measured with other prompts or models."""


class _Memory:
    """A sink that keeps what a stage makes of one shard."""

    outcome: Outcome

    def done(self, index: int) -> bool:
        return False

    def write(self, index: int, rows: pl.DataFrame, outcome: Outcome) -> None:
        self.outcome = outcome


def trial(plan: Plan, run: Path, *, rows: int, progress: Progress | None = None, budget: Budget | None = None) -> Trial:
    """Takes up to `rows` passages of the last finished free stage through the stages that follow.

    Raises:
        InputError: there is no passage to try.
        FineMedError: a backend cannot be used, or the budget does not hold the next call.
    """
    stages: list[Any] = list(plan.stages())
    first = next((n for n, stage in enumerate(stages) if hasattr(stage, "requests") and not stage.backend.free), None)
    first = STAGES.index("generate") if first is None else first
    current = _drawn(run, stages[first - 1], STAGES[first - 1], rows)
    progress = progress or Silent()
    journal = Journal(run / "journal.sqlite", progress.say)
    results: list[StageTrial] = []
    try:
        journal.check()
        if budget is not None:
            for line in journal.stats():
                budget.charge(line["model"], line)
        for stage in stages[first:]:
            name = stage.contract.name
            if name == "decontaminate":
                current = current.with_columns(pl.lit(None, pl.String()).alias("contamination"))
            if name in LEFT_OUT or current.height == 0:
                continue
            if name == "route":
                current = _routed(stage, plan, current)
            elif hasattr(stage, "requests"):
                result, current = _tried(stage, plan, current, journal, progress, budget)
                results.append(result)
            else:
                current = stage.apply(current).kept
    finally:
        plan.close()
        journal.close()
    before = _earlier(run, results)
    write_trial(run, [result.plain() for result in results])
    return Trial(results, _samples(current), before)


def _drawn(run: Path, stage: Any, name: str, rows: int) -> pl.DataFrame:
    """Rows of a finished stage in an order that only their ids decide."""
    folder = ShardFolder(stage_folder(run, name), stage.contract.schema)
    frames = [rows for _, rows in folder.frames()]
    whole = pl.concat(frames) if frames else pl.DataFrame()
    if whole.height == 0:
        raise InputError(f"{run}: `{name}` has no rows to try; run `finemed build --until {name}` first")
    order = [xxhash.xxh64_intdigest(row_id.encode()) for row_id in whole[stage.contract.key_out]]
    return whole.with_columns(pl.Series("_order", order, dtype=pl.UInt64)).sort("_order").drop("_order").head(rows)


def _routed(stage: Any, plan: Plan, rows: pl.DataFrame) -> pl.DataFrame:
    """The hardest questions as complex: by the settings, and no fewer than `LEAST_COMPLEX`."""
    settings = plan.config.route
    ranked = rows.sort("complexity", "instruction_id", descending=[True, False])
    if settings.top_share is not None:
        hard = round(settings.top_share * rows.height)
    else:
        hard = int((rows["complexity"] > (settings.complexity_above or 0)).sum())
    chosen = set(ranked["instruction_id"].head(max(hard, min(LEAST_COMPLEX, rows.height))))
    routes = ["complex" if row_id in chosen else "common" for row_id in rows["instruction_id"]]
    return rows.with_columns(pl.Series("route", routes, dtype=pl.String())).select(list(stage.contract.schema))


def _tried(
    stage: Any, plan: Plan, rows: pl.DataFrame, journal: Journal, progress: Progress, budget: Budget | None
) -> tuple[StageTrial, pl.DataFrame]:
    name, sink = stage.contract.name, _Memory()
    tally = Tally(price=plan.price(name))
    started = time.monotonic()
    progress.start(f"trial of {name}", rows.height, 0)

    def shards() -> Iterator[tuple[int, pl.DataFrame]]:
        return iter([(0, rows)])

    run_llm(stage, shards, sink, journal, progress, tally, budget)
    kept = sink.outcome.kept
    progress.finish(f"{rows.height} in, {kept.height} out")
    result = StageTrial(
        stage=name,
        prompt=stage.prompt.label,
        model=stage.backend.name,
        rows=rows.height,
        states={str(state): count for state, count in sorted(tally.states.items())},
        calls=tally.calls,
        stored=tally.stored,
        prompt_tokens=tally.prompt_tokens,
        completion_tokens=tally.completion_tokens,
        seconds=time.monotonic() - started,
        rows_out=kept.height,
    )
    result.spread = {score: dict(Counter(kept[score].to_list())) for score in SCORES.get(name, ())}
    result.facts = _facts(name, kept)
    return result, kept


def _facts(name: str, kept: pl.DataFrame) -> dict[str, float]:
    if kept.height == 0:
        return {}
    if name == "generate":
        types = {f"task type {kind}": count / kept.height for kind, count in Counter(kept["task_type"]).items()}
        pointing = sum(map(is_deictic, kept["instruction"])) / kept.height
        return {"deictic": round(pointing, 4), **{key: round(share, 4) for key, share in sorted(types.items())}}
    if name == "judge":
        return {"mentions_details": round(sum(kept["mentions_details"]) / kept.height, 4)}
    return {}


def _earlier(run: Path, results: list[StageTrial]) -> list[dict[str, Any]]:
    """Entries of the same stages with another prompt version or model."""
    past = read_trials(run)
    now = {(result.stage, result.prompt, result.model) for result in results}
    tried = {result.stage for result in results}
    return [e for e in past if e["stage"] in tried and (e["stage"], e["prompt"], e["model"]) not in now]


def _samples(rows: pl.DataFrame) -> list[dict[str, Any]]:
    if not set(Sample.model_fields) <= set(rows.columns):
        return []
    return rows.head(3).to_dicts()
