"""The rows of a release against the settings of the stages that the manifest states.

::

    kept = Settings.of(manifest)
    kept.check(Batch("sft", "train", 0, table), faults)
    # sft/train:17, id s3f0...: `response_score` is 6, below `min_score` 7 of the stage `rank`; ...

A manifest whose settings were edited, and rows that were edited, then contradict each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from finemed.publish.checks.faults import Faults
from finemed.publish.checks.rules import REBUILD, RETRACT, Batch, properties
from finemed.records import EXTRACTIVE_NOTICE, POOLS
from finemed.records.languages import language_code
from finemed.records.manifest import Manifest
from finemed.stages.contamination import COLUMN, benchmark_of
from finemed.stages.given import GIVEN
from finemed.taxonomy import NONE_LABEL

_REMEDY = f"rows or settings were changed after the build: {RETRACT}, or {REBUILD}"
_SCORES = {"dpo": ("chosen_score", "rejected_score")}
_MODELS = {"dpo": ("chosen_model", "rejected_model")}
_SPANS = {"dpo": (("chosen_spans", "chosen_model"), ("rejected_spans", "rejected_model"))}
_RULES_BACKEND = "rules@"
NODE = ("department", "subdepartment")


@dataclass
class Settings:
    """What the stages' settings and facts demand of the published rows."""

    min_score: float = 0
    languages: frozenset[str] = frozenset()
    """Codes that the filter lets through; empty where it lets all through."""
    benchmarks: tuple[str, ...] = ()
    marks: bool = True
    """Whether rows that repeat a benchmark item are marked instead of dropped."""
    drawn: dict[tuple[str, str], int] | None = None
    """Department and sub-department -> passages that were drawn for it; None where the manifest does not say."""
    own: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Column of the sources' own -> the sources that have it."""
    fixed: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Column -> the values that it can have, beside null."""
    _questions: Counter[tuple[str, str]] = field(default_factory=Counter)

    @classmethod
    def of(cls, manifest: Manifest) -> Settings:
        """Reads them; what a manifest does not say, or says in another form, demands nothing."""
        rank, filtered, cleaned = (_stated(manifest, name) for name in ("rank", "filter", "decontaminate"))
        score, languages = rank.get("min_score"), filtered.get("languages")
        codes = [language_code(str(name)) for name in languages] if isinstance(languages, list) else []
        return cls(
            min_score=score if isinstance(score, int | float) and not isinstance(score, bool) else 0,
            languages=frozenset(code for code in codes if code),
            benchmarks=tuple(manifest.benchmarks),
            marks=cleaned.get("action") != "drop" if manifest.benchmarks else False,
            drawn=_drawn(manifest),
            own={name: frozenset(column.sources) for name, column in manifest.extra_columns.items()},
            fixed=_fixed(manifest),
        )

    def check(self, batch: Batch, faults: Faults) -> None:
        """Holds some rows of a pool against them."""
        if batch.config not in POOLS:
            return
        _values(batch, faults)
        self._scores(batch, faults)
        self._languages(batch, faults)
        self._contaminated(batch, faults)
        self._own_columns(batch, faults)
        self._fixed_values(batch, faults)
        if batch.config != "dpo" and set(NODE) <= set(batch.frame.columns):  # its questions are in sft_reasoning too
            counts = batch.frame.group_by(NODE).len()
            self._questions.update({(str(one), str(two)): n for one, two, n in counts.iter_rows()})

    def finish(self, faults: Faults) -> None:
        """Holds the departments of all rows against those that passages were drawn for."""
        if self.drawn is None:
            return
        for node, count in sorted(self._questions.items()):
            label = " / ".join(part[:40] for part in node)
            if node not in self.drawn:
                fact = f"{count:,} rows are of {label!a}, no node of the taxonomy that the stage `quota` lists"
                faults.add("stages", "data", fact, _REMEDY)
            elif count > self.drawn[node]:
                fact = f"{count:,} questions are of {label!a}, for which the stage `quota` drew {self.drawn[node]:,}"
                faults.add("stages", "data", fact, _REMEDY)

    def _scores(self, batch: Batch, faults: Faults) -> None:
        for name in _SCORES.get(batch.config, ("response_score",)):
            if name not in batch.frame.columns:
                continue
            low = pl.col(name) < self.min_score
            if name == "rejected_score" and "rejected_model" in batch.frame.columns:
                low &= pl.col("rejected_model") != GIVEN  # the worse one of a pair that a source brought
            for row in batch.frame.select(low.fill_null(value=False)).to_series().arg_true():
                fact = f"`{name}` is {batch.frame[name][row]:g}, below `min_score` {self.min_score:g} of `rank`"
                faults.add("stages", batch.place(row), fact, _REMEDY)

    def _languages(self, batch: Batch, faults: Faults) -> None:
        if "language" not in batch.frame.columns:
            return
        for language in batch.frame["language"].drop_nulls().unique().sort():
            code = language_code(language)
            rows = (batch.frame["language"] == language).arg_true()
            if code is None:
                fact = f"`language` is {language[:20]!a}, no code of a language"
                faults.add("schema", batch.place(rows[0]), fact, _REMEDY, count=rows.len())
            elif self.languages and code not in self.languages:
                passing = ", ".join(sorted(self.languages))
                fact = f"`language` is {language[:20]!a}, the stage `filter` lets {passing} pass"
                faults.add("stages", batch.place(rows[0]), fact, _REMEDY, count=rows.len())

    def _contaminated(self, batch: Batch, faults: Faults) -> None:
        if COLUMN not in batch.frame.columns:
            return
        for row in batch.frame[COLUMN].is_not_null().arg_true():
            lines = batch.frame[COLUMN][row].split("\n")
            if not self.marks:
                fact = f"`{COLUMN}` names a benchmark item, and such rows are dropped, not marked"
            elif any(benchmark_of(line.partition(": ")[2], self.benchmarks) is None for line in lines):
                fact = f"`{COLUMN}` names no item of the benchmarks that the manifest lists"
            else:
                continue
            faults.add("stages", batch.place(row), fact, _REMEDY)

    def _fixed_values(self, batch: Batch, faults: Faults) -> None:
        """Sources, models and prompts are those that the manifest states."""
        names = [name for name in self.fixed if name in batch.frame.columns]
        wrong = batch.frame.select(
            (pl.col(name).is_not_null() & ~pl.col(name).is_in(sorted(self.fixed[name]))).fill_null(value=False)
            for name in names
        )
        for name in names:
            if rows := wrong[name].arg_true().to_list():
                value, known = str(batch.frame[name][rows[0]])[:60], ", ".join(sorted(self.fixed[name]))[:80]
                fact = f"`{name}` is {value!a}, from the manifest follows {known or 'none'}"
                faults.add("stages", batch.place(rows[0]), fact, _REMEDY, count=len(rows))
        if {"span_start", "span_end"} <= set(batch.frame.columns):
            odd = (pl.col("span_start") < 0) | (pl.col("span_end") <= pl.col("span_start"))
            for row in batch.frame.select(odd.fill_null(value=False)).to_series().arg_true():
                faults.add("schema", batch.place(row), "`span_start` and `span_end` are no span", _REMEDY)

    def _own_columns(self, batch: Batch, faults: Faults) -> None:
        if "source" not in batch.frame.columns:
            return
        for name in sorted(self.own.keys() & set(batch.frame.columns) - properties(batch.config).keys()):
            strange = ~pl.col("source").is_in(sorted(self.own[name])) & pl.col(name).is_not_null()
            for row in batch.frame.select(strange.fill_null(value=True)).to_series().arg_true():
                source = str(batch.frame["source"][row])[:60]
                fact = f"`{name[:60]}` has a value, and is no column of the source {source!a}"
                faults.add("schema", batch.place(row), fact, _REMEDY)


def _values(batch: Batch, faults: Faults) -> None:
    """Scores, notices and spans that no build writes together."""
    frame, columns = batch.frame, set(batch.frame.columns)
    for name in _SCORES.get(batch.config, ("response_score",)):
        if name in columns:
            uneven = (pl.col(name) * 4 != (pl.col(name) * 4).round()).fill_null(value=False)
            for row in frame.select(uneven).to_series().arg_true():
                fact = f"`{name}` is {frame[name][row]}, not the mean of four whole scores"
                faults.add("judge", batch.place(row), fact, _REMEDY)
    models = [name for name in _MODELS.get(batch.config, ("model_name",)) if name in columns]
    if models and {"extractive", "notice"} <= columns:
        cut = pl.any_horizontal(pl.col(name).str.starts_with(_RULES_BACKEND) for name in models)
        notice = pl.when("extractive").then(pl.lit(EXTRACTIVE_NOTICE))
        wrong = {
            "`extractive` is false of an answer that rules cut from its passage": cut & ~pl.col("extractive"),
            "`notice` is not what `extractive` demands": ~pl.col("notice").eq_missing(notice),
        }
        for fact, rule in wrong.items():
            for row in frame.select(rule.fill_null(value=False)).to_series().arg_true():
                faults.add("schema", batch.place(row), fact, _REMEDY)
    for spans, model in _SPANS.get(batch.config, (("answer_spans", "model_name"),)):
        if {spans, model, "span_start", "span_end"} <= columns:
            _pieces(batch, spans, model, faults)


def _pieces(batch: Batch, spans: str, model: str, faults: Faults) -> None:
    """Places of pieces within their passage, of answers that rules cut."""
    start, end = (pl.element().struct.field(name) for name in ("start", "end"))
    length = pl.col("span_end") - pl.col("span_start")
    listed = pl.col(spans)
    cut = pl.col(model).str.starts_with(_RULES_BACKEND)
    sound = listed.list.eval((start >= 0) & (start < end)).list.all() & (listed.list.len() > 0)
    sound &= listed.list.eval(end).list.max() <= length
    wrong = (cut & ~sound.fill_null(value=False)) | (~cut & listed.is_not_null())
    for row in batch.frame.select(wrong.fill_null(value=False)).to_series().arg_true():
        start_of, end_of = (batch.frame[name][row] for name in ("span_start", "span_end"))
        fact = f"`{spans}` are no places in the passage, characters {start_of} to {end_of}, or not of an answer"
        faults.add("schema", batch.place(row), f"{fact} that rules cut", _REMEDY)


_ASKED = {
    "classify": ("classify_model", None),
    "generate": ("instruction_model", "instruction_prompt"),
    "judge": ("judge_model", "judge_prompt"),
    "judge_answers": ("answer_judge_model", "answer_judge_prompt"),
}
"""Stage -> columns of its model and prompt, where one backend fills them in every pool."""


def _fixed(manifest: Manifest) -> dict[str, frozenset[str]]:
    """Columns whose values sources and settings fix; a model's name only where rules stand for one."""
    fixed = {"source": frozenset(manifest.sources)} if manifest.sources else {}
    for stage, (model, prompt) in _ASKED.items():
        settings = _stated(manifest, stage)
        backend, label = settings.get("backend"), settings.get("prompt")
        if isinstance(backend, dict) and backend.get("type") == "rules":
            fixed[model] = frozenset((f"{_RULES_BACKEND}{backend.get('version')}", GIVEN))
        if prompt is not None and isinstance(label, dict) and isinstance(label.get("name"), str):
            fixed[prompt] = frozenset((label["name"], GIVEN))
    return fixed


def _stated(manifest: Manifest, stage: str) -> dict[str, Any]:
    report = manifest.stage(stage)
    return report.settings if report is not None else {}


def _drawn(manifest: Manifest) -> dict[tuple[str, str], int] | None:
    """Passages drawn for each place in the tree; those of a department alone are the rest of its sub-departments'."""
    quota = manifest.stage("quota")
    nodes = quota.facts.get("nodes") if quota is not None else None
    drawn: dict[tuple[str, str], int] = {}
    try:
        for node in sorted(nodes or (), key=lambda node: node["subdepartment"] is not None):
            department, sub, passages = str(node["department"]), node["subdepartment"], int(node["drawn"])
            drawn[department, NONE_LABEL if sub is None else str(sub)] = passages
            if sub is not None:
                drawn[department, NONE_LABEL] -= passages
    except (TypeError, KeyError, ValueError):
        return None
    return drawn or None
