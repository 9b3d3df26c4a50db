"""Counts that the card shows, gathered while the rows pass by."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any, get_args

import polars as pl

from finemed.publish.pools import pool_of
from finemed.records import POOLS, PhiState
from finemed.stages.contamination import REASON, benchmark_of
from finemed.stages.given import GIVEN

LENGTH_EDGES = (0, 1, 2, 4, 8, *(round(16 * 2 ** (step / 4)) for step in range(81)))
"""Bins of an answer's length in characters: from 16 to 16 million four for each doubling."""
RATIO_EDGES = (0.0, *(round(2 ** (step / 4), 4) for step in range(-40, 41)))
"""Bins of a length ratio: four for each doubling, from 1/1024 to 1024; 1 is an edge."""


def quantile(counts: Counter[Any], share: float) -> Any:
    """The smallest value that at least this share of the counted values does not exceed (nearest rank)."""
    wanted = max(1, ceil(share * counts.total()))
    seen = 0
    for value, count in sorted(counts.items()):
        seen += count
        if seen >= wanted:
            return value
    return None


def binned(counts: Counter[Any], edges: Sequence[float]) -> list[list[float]]:
    """``[from, to, count]`` of the bins from the first to the last that holds a value; `from` belongs to the bin."""
    bins: Counter[int] = Counter()
    for value, count in counts.items():
        bins[min(bisect_right(edges, value), len(edges) - 1) - 1] += count
    return [[edges[at], edges[at + 1], bins[at]] for at in range(min(bins), max(bins) + 1)] if bins else []


def _spread(counts: Counter[Any], edges: Sequence[float]) -> dict[str, Any]:
    """Extremes, quantiles and bins of a distribution."""
    shares = {"p5": 0.05, "median": 0.5, "p95": 0.95}
    return {
        "min": min(counts, default=None),
        **{name: quantile(counts, share) for name, share in shares.items()},
        "max": max(counts, default=None),
        "bins": binned(counts, edges),
    }


@dataclass
class Answers:
    """Scores and lengths of one kind of answer."""

    scores: Counter[float] = field(default_factory=Counter)
    characters: Counter[int] = field(default_factory=Counter)

    def add(self, text: str, score: float) -> None:
        """Counts one answer."""
        self.scores[score] += 1
        self.characters[len(text)] += 1

    def plain(self) -> dict[str, Any]:
        """The distributions as JSON values."""
        return {
            "rows": self.scores.total(),
            "scores": {f"{score:g}": count for score, count in sorted(self.scores.items())},
            "median_score": quantile(self.scores, 0.5),
            "characters": _spread(self.characters, LENGTH_EDGES),
        }


@dataclass
class Figures:
    """Aggregates over the published rows; views are not counted again."""

    coverage: defaultdict[tuple[str, str], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """(department, sub-department) -> rows by pool."""
    quality: Counter[int] = field(default_factory=Counter)
    complexity: Counter[int] = field(default_factory=Counter)
    task_types: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    phi: Counter[str] = field(default_factory=Counter)
    """What the scan of the passage for personal data said -> questions."""
    licences: defaultdict[tuple[str, str, str], int] = field(default_factory=lambda: defaultdict(int))
    """(source, licence, attribution) -> questions."""
    models: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """Column that names a model -> rows by model and prompt."""
    preference: Counter[str] = field(default_factory=Counter)
    """Pairs of `dpo` by whether the judge scored the chosen answer `higher`, `equal` or `lower`."""
    answers: defaultdict[str, Answers] = field(default_factory=lambda: defaultdict(Answers))
    """Pool, or side of `dpo` -> its answers."""
    length_ratios: Counter[float] = field(default_factory=Counter)
    """Pairs of `dpo` by the chosen answer's length over the rejected one's, in characters."""
    chosen_length: Counter[str] = field(default_factory=Counter)
    """Pairs of `dpo` by whether the chosen answer is `longer`, `equal` or `shorter`."""
    given: Counter[str] = field(default_factory=Counter)
    """`questions` that their source brought, and `pairs` of answers that it did."""
    extractive: int = 0
    rows: int = 0

    def add(self, config: str, rows: list[dict[str, Any]]) -> None:
        """Counts a batch of published rows."""
        if pool_of(config) != config:
            return
        for row in rows:
            self.rows += 1
            self.extractive += row["extractive"]
            self.coverage[row["department"], row["subdepartment"]][config] += 1
            self._models(config, row)
            if config == "dpo":
                self._pair(row)
            else:
                self.answers[config].add(row["response"], row["response_score"])
            if config == "sft_reasoning":
                continue  # the same questions as dpo
            self.quality[row["quality"]] += 1
            self.complexity[row["complexity"]] += 1
            self.task_types[row["task_type"]] += 1
            self.given["questions"] += row["instruction_model"] == GIVEN
            self.languages[row["language"] or "und"] += 1
            self.phi[row["phi_state"]] += 1
            self.licences[row["source"], row["license"] or "", row["attribution"] or ""] += 1

    def _pair(self, row: dict[str, Any]) -> None:
        margin = row["chosen_score"] - row["rejected_score"]
        self.preference["equal" if margin == 0 else "higher" if margin > 0 else "lower"] += 1
        self.given["pairs"] += row["chosen_model"] == GIVEN
        chosen, rejected = ("".join(turn["content"] for turn in row[side]) for side in ("chosen", "rejected"))
        self.answers["dpo_chosen"].add(chosen, row["chosen_score"])
        self.answers["dpo_rejected"].add(rejected, row["rejected_score"])
        longer = len(chosen) - len(rejected)
        self.chosen_length["equal" if longer == 0 else "longer" if longer > 0 else "shorter"] += 1
        self.length_ratios[round(len(chosen) / max(len(rejected), 1), 6)] += 1

    def _models(self, config: str, row: dict[str, Any]) -> None:
        self.models["classification"][row["classify_model"]] += 1
        self.models["questions"][f"{row['instruction_model']}, {row['instruction_prompt']}"] += 1
        self.models["judgement of questions"][f"{row['judge_model']}, {row['judge_prompt']}"] += 1
        self.models["judgement of answers"][f"{row['answer_judge_model']}, {row['answer_judge_prompt']}"] += 1
        if config != "dpo":
            kind = "ordinary answers" if config == "sft" else "reasoning answers"
            self.models[kind][f"{row['model_name']}, {row['response_prompt']}"] += 1

    def mean(self, scores: Counter[int]) -> float:
        """Mean of a score's distribution; 0.0 without rows."""
        total = sum(scores.values())
        return sum(score * count for score, count in scores.items()) / total if total else 0.0

    def plain(self) -> dict[str, Any]:
        """The figures as JSON values, for the release's manifest."""
        return {
            "rows": self.rows,
            "extractive_rows": self.extractive,
            "quality": {str(score): count for score, count in sorted(self.quality.items())},
            "complexity": {str(score): count for score, count in sorted(self.complexity.items())},
            "task_types": dict(sorted(self.task_types.items())),
            "preference": {name: self.preference[name] for name in ("higher", "equal", "lower")},
            "answers": {kind: answers.plain() for kind, answers in sorted(self.answers.items())},
            "chosen_length": {
                **{name: self.chosen_length[name] for name in ("longer", "equal", "shorter")},
                "ratio": _spread(self.length_ratios, RATIO_EDGES),
            },
            "given": {name: self.given[name] for name in ("questions", "pairs")},
            "languages": dict(sorted(self.languages.items())),
            "phi": {state: self.phi[state] for state in get_args(PhiState)},
            "licences": [
                {"source": source, "license": licence or None, "attribution": attribution or None, "questions": count}
                for (source, licence, attribution), count in sorted(self.licences.items())
            ],
            "coverage": [
                {"department": department, "subdepartment": sub, **{pool: counts[pool] for pool in POOLS}}
                for (department, sub), counts in sorted(self.coverage.items())
            ],
            "models": {kind: dict(sorted(counts.items())) for kind, counts in sorted(self.models.items())},
        }


def contamination(run: Path, items: dict[str, int]) -> list[dict[str, Any]]:
    """What repeated an item of each benchmark, from the run's ledger and notes; benchmarks without a hit too.

    Args:
        run: the run's folder.
        items: items by benchmark.
    """
    found = {name: Counter[str]() for name in items}
    for file, column, what in (("ledger.parquet", "drop_reason", "dropped"), ("notes.parquet", "remark", "marked")):
        told = pl.read_parquet(run / file, glob=False).filter(pl.col(column) == REASON)
        for stage, detail in told.select("stage", "detail").iter_rows():
            rows = "questions" if stage == "decontaminate" else "answers"
            name = benchmark_of(detail, items)
            if name is not None:
                found[name][f"{rows}_{what}"] += 1
    columns = ("questions_dropped", "questions_marked", "answers_dropped", "answers_marked")
    return [
        {"benchmark": name, "items": items[name], **{column: counts[column] for column in columns}}
        for name, counts in sorted(found.items())
    ]
