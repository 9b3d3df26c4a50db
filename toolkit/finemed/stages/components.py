"""Components: rows that splits and pools must not tear apart.

::

    alike = (Alike(("instruction",), 3, 0.7), Alike(("response", "reasoning"), 5, 0.8))
    found = components(rows, "instruction_id", [pl.col("department")], alike, same="document_id")
    found.ids[int(found.component[7])]  ->  the smallest id of the component that the eighth row (by id) is in

Two rows are joined if they agree in the column `same`, or if texts of theirs are similar: the exact Jaccard similarity
of their word n-grams is at least the threshold (`text.clusters`). Rows are read twice and their texts are not held;
what is held comes to about 700 bytes a row while bands are compared (`Components.nbytes` says it exactly).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from finemed.stages.base import Rows
from finemed.text.clusters import Column, Numbers, hasher_for, roots
from finemed.text.column import Texts, column_of

QUESTION_NGRAM = 3
ANSWER_NGRAM = 5
ANSWER_LEAST = 2
"""Answers of five words and fewer, such as `Yes.`, say nothing of their questions."""


@dataclass(frozen=True)
class Alike:
    """Columns of texts of which similar ones join their rows; texts of all these columns are compared."""

    columns: tuple[str, ...]
    ngram_size: int
    threshold: float
    least: int = 1
    """Texts with fewer different n-grams join nothing."""


@dataclass(frozen=True)
class Components:
    """Rows in the order of their ids, and the component of each."""

    ids: pl.Series
    component: Numbers
    """Place in `ids` of the smallest id of the row's component, shape (rows,)."""
    facts: pl.DataFrame
    """What else was asked of the rows, in the same order."""
    nbytes: int
    compared: int = 0
    unverified: int = 0
    """Joins of rows that were not compared, for the sake of time."""
    sizes: dict[int, int] = field(default_factory=dict)
    """Rows of each component that has more than one."""


def components(
    rows: Rows, key: str, facts: Sequence[pl.Expr], alike: Sequence[Alike], *, same: str | None = None
) -> Components:
    """Finds the components of all rows.

    Args:
        rows: the shards.
        key: the column of ids.
        facts: what to keep of every row besides.
        alike: which texts join rows.
        same: a column; rows that agree in it are joined.
    """
    columns = [Column(hasher_for(rule.threshold), rule.ngram_size, rule.threshold, least=rule.least) for rule in alike]
    owners: list[list[npt.NDArray[np.int32]]] = [[] for _ in alike]
    kept: list[pl.DataFrame] = []
    groups: list[pl.Series] = []
    count = 0
    for shard in rows:
        kept.append(shard.select(pl.col(key), *facts))
        if same is not None:
            groups.append(shard[same].hash(seed=1))
        for rule, column, owner in zip(alike, columns, owners, strict=True):
            for texts, own in texts_of(shard, rule.columns):
                column.sketch(texts)
                owner.append(own + np.int32(count))
        count += shard.height
    for column in columns:
        column.choose()
    for shard in rows.again():
        for rule, column in zip(alike, columns, strict=True):
            for texts, _ in texts_of(shard, rule.columns):
                column.take(texts)
    table = pl.concat(kept) if kept else pl.DataFrame(schema={key: pl.String()})
    order = table[key].arg_sort()
    rank = np.empty(count, dtype=np.int64)
    rank[order.to_numpy()] = np.arange(count)
    parent = _groups(groups, count)
    compared = unverified = 0
    for column, owner in zip(columns, owners, strict=True):
        pairs, blind = column.join(parent, np.concatenate([*owner, np.zeros(0, np.int32)]).astype(np.int64), rank)
        compared, unverified = compared + pairs, unverified + blind
    nbytes = sum(column.nbytes for column in columns) + int(table.estimated_size()) + 40 * count
    return _named(table[order], key, roots(parent), rank, nbytes, compared, unverified)


def texts_of(shard: pl.DataFrame, columns: tuple[str, ...]) -> Iterator[tuple[Texts, npt.NDArray[np.int32]]]:
    """The texts of a shard, column by column, and the rows that they belong to; missing ones are left out."""
    for name in columns:
        there = shard[name].is_not_null()
        if there.any():
            yield column_of(shard[name].drop_nulls()), np.flatnonzero(there.to_numpy()).astype(np.int32)


def _groups(groups: list[pl.Series], count: int) -> Numbers:
    """For each row the first that agrees with it; rows without a value agree with none."""
    parent = np.arange(count, dtype=np.int64)
    if groups:
        values = pl.concat(groups).to_numpy()
        _, first, inverse = np.unique(values, return_index=True, return_inverse=True)
        parent = first[inverse].astype(np.int64)
    return parent


def _named(
    table: pl.DataFrame, key: str, root: Numbers, rank: Numbers, nbytes: int, compared: int, unverified: int
) -> Components:
    """Components by the smallest id, for rows in the order of their ids."""
    smallest = np.full(root.size, root.size, dtype=np.int64)
    np.minimum.at(smallest, root, rank)
    component = np.empty(root.size, dtype=np.int64)
    component[rank] = smallest[root]
    names, sizes = np.unique(component, return_counts=True)
    several = sizes > 1
    return Components(
        table[key],
        component,
        table.drop(key),
        nbytes,
        compared,
        unverified,
        dict(zip(names[several].tolist(), sizes[several].tolist(), strict=True)),
    )
