"""What each rule of the filter does to a run or to a file, and the rows that it keeps.

::

    filter_run(Path("run")).table["medquad"].rules["repetition"]  ->  RuleCount(fails=63, dropped=62, alone=62)
    write_kept(filter_files([Path("corpus.jsonl")]), Path("kept.parquet"))  ->  8598
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from finemed.config import Columns, FilterConfig, SourceConfig, load_config
from finemed.errors import ConfigError, InputError, StoreError
from finemed.pipeline.plan import stage_folder
from finemed.records import Passage, frame_schema
from finemed.sources.columns import check_columns
from finemed.sources.records import find_files, record_batches
from finemed.stages.filter import ALL, FilterStage, verdicts
from finemed.store.shards import ShardFolder, write_parquet
from finemed.text.normalise import tidy
from finemed.text.vocabulary import Vocabulary

SHARD_ROWS = 1000
SCHEMA = frame_schema(Passage)


@dataclass
class RuleCount:
    """How many passages a rule concerns."""

    fails: int = 0
    dropped: int = 0
    """It is the first rule that they fail."""
    alone: int = 0
    """It is the only rule that they fail."""


@dataclass
class SourceCount:
    """The passages of one source."""

    rows: int = 0
    kept: int = 0
    rules: dict[str, RuleCount] = field(default_factory=lambda: {rule.name: RuleCount() for rule in ALL})

    def add(self, judged: pl.DataFrame) -> None:
        """Counts more passages."""
        failing = judged.select(pl.sum_horizontal(pl.col(rule.column).cast(pl.Int32) for rule in ALL)).to_series()
        self.rows += judged.height
        self.kept += judged["reason"].null_count()
        for rule in ALL:
            count, fails = self.rules[rule.name], judged[rule.column]
            count.fails += int(fails.sum())
            count.dropped += int((judged["reason"] == rule.name).sum())
            count.alone += int((fails & (failing == 1)).sum())

    @property
    def drops(self) -> dict[str, int]:
        """Dropped passages by the first rule that they fail."""
        return {name: count.dropped for name, count in self.rules.items() if count.dropped}


@dataclass(frozen=True)
class Filtered:
    """Passages with what the rules say of them, read anew each time."""

    config: FilterConfig
    shards: Callable[[], Iterator[pl.DataFrame]]
    note: str | None = None
    """What the reader should know of where they come from."""
    faults: Counter[str] = field(default_factory=Counter)
    """Rows of files that could not be read, by reason; complete once all shards were read."""

    def judged(self) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
        """Each shard of passages with its verdicts, row by row the same."""
        vocabulary = Vocabulary()
        for rows in self.shards():
            yield rows, verdicts(rows, self.config, vocabulary)

    @cached_property
    def table(self) -> dict[str, SourceCount]:
        """The counts of every source, in order of appearance."""
        sources: dict[str, SourceCount] = {}
        for rows, judged in self.judged():
            named = judged.with_columns(rows["source"])
            for (source,), part in named.group_by("source", maintain_order=True):
                sources.setdefault(str(source), SourceCount()).add(part)
        return sources

    def plain(self) -> dict[str, Any]:
        """All counts as JSON values."""
        drops: Counter[str] = Counter()
        for count in self.table.values():
            drops.update(count.drops)
        return {
            "rows": sum(count.rows for count in self.table.values()),
            "kept": sum(count.kept for count in self.table.values()),
            "dropped": {rule.name: drops[rule.name] for rule in ALL if drops[rule.name]},
            "not_read": dict(sorted(self.faults.items())),
            "sources": {name: {**asdict(count), "dropped": count.drops} for name, count in self.table.items()},
        }


def filter_run(run: Path, config: FilterConfig | None = None) -> Filtered:
    """The passages of a run, with the settings that its filter stage ran with unless others are given.

    Raises:
        InputError: the folder is not a run, or its filter stage is not finished.
    """
    if not (run / "stages").is_dir():
        raise InputError(f"{run}: holds no run; give the folder that `finemed build` made, or a file")
    filtered = ShardFolder(stage_folder(run, "filter"), SCHEMA)
    note = None
    if config is None:
        if not filtered.report_path.exists():
            raise InputError(
                f"{run}: its filter stage is not finished; run `finemed build --until filter`, or give settings with -c"
            )
        told = filtered.report()
        version = told.get("version")
        if version != (own := FilterStage(FilterConfig()).contract.version):
            note = f"the run was filtered by version {version} of the rules; shown is what version {own} does"
        try:
            config = FilterConfig.model_validate(
                {key: value for key, value in told["settings"].items() if key in FilterConfig.model_fields}
            )
        except (KeyError, AttributeError, ValueError):
            raise StoreError(
                f"{filtered.report_path}: damaged (`settings` are not those of the filter); run `finemed build` again, "
                "or give settings with -c"
            ) from None
    folder = ShardFolder(stage_folder(run, "ingest"), SCHEMA)
    if not folder.indices():
        raise InputError(f"{run}: its ingest stage has no shard yet; run `finemed build --until ingest`")
    return Filtered(config, lambda: (rows for _, rows in folder.frames()), note)


def filter_files(paths: Sequence[Path], config: FilterConfig | None = None, text: str | None = None) -> Filtered:
    """The rows of files, each taken whole.

    Args:
        paths: JSONL, JSON, Parquet, CSV or text.
        config: settings; None takes the defaults.
        text: the column to look at; None takes ``text``, or question and answer of an instruction dataset.

    Raises:
        InputError: a file is missing, of unknown format, or has no such column.
    """
    sources = []
    for path, name in zip(paths, _names(paths), strict=True):
        layout: dict[str, Any] = {} if text is None else {"layout": "documents", "columns": Columns(text=text)}
        sources.append(SourceConfig(name=name, path=path.name, **layout))
    files = []
    for path, source in zip(paths, sources, strict=True):
        if not path.exists():
            raise InputError(f"{path}: no such file; give a run, or files of JSONL, JSON, Parquet, CSV or text")
        found = find_files(source, path.parent)
        check_columns(source, found)
        files.extend(found)
    faults: Counter[str] = Counter()

    def shards() -> Iterator[pl.DataFrame]:
        faults.clear()
        for _, records in record_batches(files, SHARD_ROWS):
            faults.update(fault.partition(": ")[0] for fault in records["fault"].drop_nulls())
            yield _passages(records)

    return Filtered(config or FilterConfig(), shards, faults=faults)


def _names(paths: Sequence[Path]) -> list[str]:
    """A short name for each file, each once."""
    names: list[str] = []
    for path in paths:
        name = re.sub(r"[^a-z0-9_-]+", "-", path.name.split(".")[0].lower()).strip("-_")[:48] or "file"
        names.append(name if name not in names else f"{name}-{len(names) + 1}")
    return names


def _passages(records: pl.DataFrame) -> pl.DataFrame:
    """Sound records as passages, in the form that ingest would give them."""
    sound = records.filter(pl.col("fault").is_null())
    texts = [tidy(text) for text in sound["text"]]
    whole = sound.with_columns(
        pl.col("document_id").alias("passage_id"),
        pl.lit(0, pl.Int64).alias("span_start"),
        pl.col("text").str.len_chars().cast(pl.Int64).alias("span_end"),
        pl.Series("text", texts, dtype=pl.String()),
    )
    return whole.select(SCHEMA.names()).cast(SCHEMA)


def write_kept(found: Filtered, path: Path) -> int:
    """Writes the passages that pass every rule as one Parquet file that a build can read; returns how many.

    Raises:
        InputError: nothing passes.
    """
    kept = [rows.with_columns(judged["language"]).filter(judged["reason"].is_null()) for rows, judged in found.judged()]
    whole = pl.concat(kept) if kept else pl.DataFrame(schema=SCHEMA)
    if whole.is_empty():
        raise InputError(f"no row passes every rule, so {path} was not written; change the settings with -c")
    write_parquet(path, whole)
    return whole.height


def open_targets(
    targets: Sequence[Path], config_path: Path | None, overrides: Sequence[str], text: str | None
) -> Filtered:
    """What the command line names: one run, or files.

    Raises:
        ConfigError: a run beside something else, or settings without a configuration.
        InputError: nothing can be read there.
    """
    if overrides and config_path is None:
        raise ConfigError("--set changes a configuration; name it with -c")
    config = load_config(config_path, overrides).filter if config_path else None
    folders = [path for path in targets if path.is_dir()]
    if not folders:
        return filter_files(targets, config, text)
    if len(targets) > 1:
        raise ConfigError(f"{folders[0]}: a folder is taken for a run; name one run, or files")
    if text is not None:
        raise ConfigError("--text is for files; the passages of a run have one text")
    return filter_run(folders[0], config)
