"""Train, validation and test of any table of questions, by component; what `finemed split FILE` does.

::

    table = Table(question=("instruction", "input"), answer="answer", group="pmid")
    parts = partition(open_frames, table, SplitConfig(), seed=0)
    parts.split, parts.component           ->  ["train", "test", ...], ["r000000", "r000001", ...]
    explain(open_frames, table, SplitConfig(), parts, "r000017")
    ->  {"row_id": "r000017", "component": "r000003", "split": "train", "members": [...], "edges": [Edge(...), ...]}

Nothing is needed but the question. Rows keep their order; none is dropped. Where there are several columns of
questions (turns of a conversation, a pair of answers), one text that resembles one of another row joins the two. Where
earlier versions are given, rows that lie between two of their splits go to `bridges_splits`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import polars as pl

from finemed.config import SplitConfig
from finemed.errors import InputError
from finemed.records import SPLITS
from finemed.records.counts import how_many
from finemed.stages.assignment import FACTS, assign
from finemed.stages.base import Rows
from finemed.stages.components import ANSWER_LEAST, ANSWER_NGRAM, QUESTION_NGRAM, Alike, Components, components
from finemed.stages.earlier import Link, hold
from finemed.stages.split import pinned
from finemed.store.earlier import Earlier
from finemed.text.normalise import words
from finemed.text.shingle import Hashes, jaccard, shingles

Frames = Callable[[], Iterator[pl.DataFrame]]
"""Opens the table from the beginning, a frame at a time, always in the same order."""
MOST_MEMBERS = 5000
"""Members of a component that one row is compared with to explain it."""


@dataclass(frozen=True)
class Table:
    """Names of a table's columns."""

    question: str | tuple[str, ...]
    answer: str | tuple[str, ...] | None = None
    context: tuple[str, ...] = ()
    """Passages and the like, by the threshold for passages."""
    group: str | None = None
    """Rows of one group, such as a document or a patient, stay together; rows without a value are alone."""
    stratum: str | None = None
    """Splits are drawn evenly along this column."""
    key: str | None = None
    """Column of unique ids; without one, rows are numbered in their order: `r000000`, `r000001`."""


@dataclass(frozen=True)
class Parts:
    """Where every row goes, in the order of the table."""

    ids: list[str]
    split: list[str]
    component: list[str]
    """The smallest id of the row's component."""
    report: dict[str, Any]
    """Rows by split, components, the largest of them, pairs compared, bytes held a row."""
    gone: dict[str, str] = field(default_factory=dict)
    """Ids of rows between two splits of earlier versions, which have the split `bridges_splits`, and of what rows."""


@dataclass(frozen=True)
class Edge:
    """Why a row is joined with another."""

    to: str
    column: str
    similarity: float
    """Exact Jaccard similarity; 1.0 for rows that agree in the column of groups."""


def partition(frames: Frames, table: Table, config: SplitConfig, seed: int, earlier: Earlier | None = None) -> Parts:
    """Assigns rows to train, validation and test so that near-duplicates and groups stay together.

    Of the settings it takes the shares, the thresholds for questions and answers, and `whole_documents` for groups.

    Raises:
        InputError: ids are missing or occur twice.
    """
    named = _named(frames, table)
    found = components(
        Rows(named(), named), "_id", _facts(), _alike(table, config), same="_group" if _grouped(table, config) else None
    )
    if found.ids.null_count() or found.ids.is_duplicated().any():
        twice = found.ids.filter(found.ids.is_duplicated() | found.ids.is_null())
        raise InputError(
            f"column `{table.key}`: {how_many(twice.len(), 'row has', 'rows have')} no id or one that occurs twice, "
            f"such as {twice[0]}; "
            "name a column of unique ids, or none to have the rows numbered"
        )
    every = config.model_copy(update={"min_rows": {}, "max_rows": {}, "mixture": {}})
    held = None
    if earlier is not None:
        links = [Link(rule, kind) for kind, rule in _rules(table, config).items()]
        same = "_group" if _grouped(table, config) else None
        held = hold(Rows(named(), named), "_id", found, links, earlier, same=same)
        found = held.found
    assigned = assign(found, every, seed, pinned(held))
    ids = [name for frame in named() for name in frame["_id"].to_list()]
    places = found.ids.search_sorted(pl.Series(ids, dtype=pl.String())).to_numpy()
    split = [SPLITS[number] for number in assigned.split[places].tolist()]
    gone = {found.ids[number]: detail for number, detail in held.gone.items()} if held else {}
    split = ["bridges_splits" if name in gone else own for name, own in zip(ids, split, strict=True)] if gone else split
    component = found.ids.gather(found.component[places]).to_list()
    report = _report(found, split) | ({"previous": held.facts} if held else {})
    return Parts(ids, split, component, report, gone)


def explain(frames: Frames, table: Table, config: SplitConfig, parts: Parts, row: str) -> dict[str, Any]:
    """The component of one row, its members, and which of them the row is joined with directly.

    A row without direct edges in a component of several was joined unverified, or because something else joined it.

    Raises:
        InputError: no such row.
    """
    if row not in parts.ids:
        raise InputError(f"row {row} is not in the table; ids are such as {', '.join(parts.ids[:3])}")
    number = parts.ids.index(row)
    component = parts.component[number]
    members = [name for name, its in zip(parts.ids, parts.component, strict=True) if its == component]
    kept = [row, *[name for name in members if name != row][:MOST_MEMBERS]]
    wanted = pl.Series(kept).implode()
    found = pl.concat([frame.filter(pl.col("_id").is_in(wanted)) for frame in _named(frames, table)()])
    edges = list(_edges(found, _alike(table, config), row))
    if _grouped(table, config):
        own = found.filter(pl.col("_id") == row)["_group"][0]
        same = found.filter((pl.col("_group") == own) & (pl.col("_id") != row))["_id"]
        edges += [Edge(name, table.group or "", 1.0) for name in same]
    edges.sort(key=lambda edge: (-edge.similarity, edge.to, edge.column))
    return {
        "row_id": row,
        "component": component,
        "split": parts.split[number],
        "members": members,
        "edges": [asdict(edge) for edge in edges],
    }


def _edges(rows: pl.DataFrame, alike: tuple[Alike, ...], row: str) -> Iterator[Edge]:
    """The most similar texts of each other row under each rule."""
    ids = rows["_id"].to_list()
    for rule in alike:
        sets: list[list[tuple[str, Hashes]]] = [[] for _ in ids]
        for column in rule.columns:
            for held, text in zip(sets, rows[column], strict=True):
                grams = shingles(words(text or ""), rule.ngram_size)
                if grams.size >= rule.least:
                    held.append((column, grams))
        own = sets[ids.index(row)]
        for name, its in zip(ids, sets, strict=True):
            pairs = [] if name == row else [(jaccard(a, b), one, two) for one, a in own for two, b in its]
            similarity, one, two = max(pairs, key=lambda pair: pair[0], default=(0.0, "", ""))
            if similarity >= rule.threshold:
                yield Edge(name, one if one == two else f"{one}, {two}", round(similarity, 4))


def _named(frames: Frames, table: Table) -> Frames:
    """The table with ids, groups, and the columns that an assignment asks for."""

    def opened() -> Iterator[pl.DataFrame]:
        count = 0
        for frame in frames():
            numbers = pl.int_range(count, count + frame.height, eager=True)
            numbered = pl.Series("_id", [f"r{number:06d}" for number in numbers])
            own = numbered if table.key is None else frame[table.key].cast(pl.String()).alias("_id")
            alone = pl.lit("row ") + numbered
            group = pl.lit("") if table.group is None else pl.lit("group ") + pl.col(table.group).cast(pl.String())
            stratum = pl.lit("none") if table.stratum is None else pl.col(table.stratum).cast(pl.String())
            yield frame.with_columns(
                own,
                group.fill_null(alone).alias("_group"),
                stratum.fill_null("none").alias("_stratum"),
            )
            count += frame.height

    return opened


def _facts() -> tuple[pl.Expr, ...]:
    """What `assign` asks for: one pool, strata of one level."""
    names = [expr.meta.output_name() for expr in FACTS]
    strata = [pl.col("_stratum") if name == "department" else pl.lit("none") for name in names]
    columns = [part.cast(pl.Categorical()).alias(name) for part, name in zip(strata, names, strict=True)]
    return (*columns, pl.lit(False).alias("complex"))


def _alike(table: Table, config: SplitConfig) -> tuple[Alike, ...]:
    return tuple(_rules(table, config).values())


def _rules(table: Table, config: SplitConfig) -> dict[str, Alike]:
    """What joins rows, by the kind of text."""
    rules = {
        "question": Alike(_columns(table.question), QUESTION_NGRAM, config.component_threshold),
        "answer": Alike(_columns(table.answer), ANSWER_NGRAM, config.answer_threshold, ANSWER_LEAST),
        "context": Alike(table.context, ANSWER_NGRAM, config.passage_threshold, ANSWER_LEAST),
    }
    return {kind: rule for kind, rule in rules.items() if rule.columns}


def _columns(names: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else names or ()


def _grouped(table: Table, config: SplitConfig) -> bool:
    return table.group is not None and config.whole_documents


def _report(found: Components, split: list[str]) -> dict[str, Any]:
    names, sizes = np.unique(found.component, return_counts=True)
    largest = sorted(zip(sizes.tolist(), names.tolist(), strict=True), key=lambda pair: (-pair[0], pair[1]))[:5]
    return {
        "rows": {name: split.count(name) for name in SPLITS},
        "components": int(names.size),
        "largest": [{"component": found.ids[name], "rows": rows} for rows, name in largest],
        "compared": found.compared,
        "joined_unverified": found.unverified,
        "bytes_per_row": round(found.nbytes / max(1, len(split))),
    }
