"""Holds the sides of earlier versions: what was once training never becomes test, validation or `ttt`, nor back.

::

    held = hold(rows, "instruction_id", found, links, earlier, keys=("instruction_id", "passage_id"))
    held.side[7]        0: the eighth row (by id) belongs to `train`, where it, or what hangs together with it, was
    held.gone           {12: "between row s1... of sft/train in 1.0.0 and row s2... of ttt/train in 1.1.0"}

A new row touches an earlier one where both are the same row, or where texts of theirs are similar by the thresholds
that join components. A component that touches one side is pinned to it. One that touches two is taken apart: its rows
are looked at one by one, published ones first, then those that are like few others, and a row that would join two sides
is left out. So none that is left out could have stayed beside those that did, and what is left has no near-duplicate on
another side. A published row is only left out where earlier versions themselves had its like on two sides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from finemed.stages.base import Rows
from finemed.stages.components import Alike, Components, texts_of
from finemed.store.earlier import SIDES, Earlier
from finemed.text.clusters import Column, Numbers, hasher_for, root_of
from finemed.text.column import column_of

MOST_PAIRS = 4_000_000
"""Similar pairs of a rule that are listed to take components apart."""
LARGE = 2_000
"""Rows from which a component is not taken apart where there are more pairs than that; its new rows are left out."""
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Link:
    """What of the new rows is compared with what of the earlier ones."""

    alike: Alike
    kind: str | None = None
    """`question` or `answer`; None where earlier versions do not have such texts."""


@dataclass(frozen=True)
class Held:
    """The components that are left, and their sides."""

    found: Components
    side: npt.NDArray[np.int8]
    """Number in `SIDES` of the side that a row's component is pinned to, -1 where it is free; shape (rows,)."""
    gone: dict[int, str] = field(default_factory=dict)
    """Rows that bridge sides, and what they lie between."""
    facts: dict[str, Any] = field(default_factory=dict)


class _Touched:
    """The most similar earlier row of every side, for each new row."""

    def __init__(self, rows: int) -> None:
        self.similarity = np.zeros((rows, len(SIDES)))
        self.file = np.full((rows, len(SIDES)), -1, dtype=np.int32)
        self.row = np.full((rows, len(SIDES)), -1, dtype=np.int32)

    def add(self, rows: Numbers, sides: Numbers, similarity: Any, files: Any, numbers: Any) -> None:
        """Takes pairs of a row and an earlier one; the more similar counts, then the one that was published first."""
        own = rows * len(SIDES) + sides
        order = np.lexsort((numbers, files, -similarity, own))
        _, first = np.unique(own[order], return_index=True)
        best = order[first]
        at = (rows[best], sides[best])
        known, file, row = self.similarity[at], self.file[at], self.row[at]
        earlier = (files[best] < file) | ((files[best] == file) & (numbers[best] < row))
        better = (file < 0) | (similarity[best] > known) | ((similarity[best] == known) & earlier)
        best = best[better]
        at = (rows[best], sides[best])
        self.similarity[at], self.file[at], self.row[at] = similarity[best], files[best], numbers[best]

    def sides(self) -> npt.NDArray[np.uint8]:
        """The sides that each row touches, a bit each."""
        found: npt.NDArray[np.uint8] = ((self.file >= 0) << np.arange(len(SIDES))).sum(axis=1).astype(np.uint8)
        return found


def hold(
    rows: Rows,
    key: str,
    found: Components,
    links: Sequence[Link],
    earlier: Earlier,
    *,
    keys: Sequence[str] = (),
    same: str | None = None,
) -> Held:
    """Pins components to the sides of earlier rows, and leaves out rows that would bridge two sides.

    Args:
        rows: the shards, which are opened anew twice, and twice more where a component is taken apart.
        key: the column of ids.
        found: their components; `complex` among the facts says which rows may go to `ttt`.
        links: what joins rows with each other and with earlier ones; the first one holds the question.
        earlier: the earlier rows.
        keys: id columns; rows that agree in one with an earlier row touch it.
        same: a column; rows that agree in it lie on one side, with each other and with earlier ones.
    """
    touched, published = _touch(rows, key, found, links, earlier, [*keys, *([same] if same else [])])
    bits = touched.sides()
    joined = np.zeros(bits.size, dtype=np.uint8)
    np.bitwise_or.at(joined, found.component, bits)
    apart = _several(joined)[found.component]
    gone: dict[int, tuple[int, int] | None] = {}
    large = 0
    if apart.any():
        component, gone, large = _take_apart(rows, key, found, links, same, apart, bits, published)
        found = replace(found, component=component, sizes=_sizes(component))
    side, example = _pins(found.component, touched, gone)
    told = _Told(touched, earlier)
    details = {row: told.between(row, between, example[row]) for row, between in gone.items()}
    if "complex" in found.facts.columns:
        common = ~found.facts["complex"].to_numpy()
        for row in np.flatnonzero(common & (side >= len(SIDES) // 2)).tolist():
            if row not in details:
                details[row] = told.common(row, int(side[row]), example[row])
    facts = {
        **earlier.facts(),
        "pinned": int((side >= 0).sum()) - sum(int(side[row]) >= 0 for row in details),
        "bridges": len(details),
        "bridges_published": int(published[list(details)].sum()),
        **({"not_taken_apart": large} if large else {}),
    }
    return Held(found, side, dict(sorted(details.items())), facts)


# --- which earlier rows a row touches --------------------------------------------------------------------------------


def _touch(
    rows: Rows, key: str, found: Components, links: Sequence[Link], earlier: Earlier, keys: Sequence[str]
) -> tuple[_Touched, Mask]:
    """What each row touches, and whether it was published: an earlier question is the same to the letter."""
    touched = _Touched(found.ids.len())
    known = {name: frame for name in keys if (frame := earlier.keys(name)) is not None}
    used = [link for link in links if link.kind is not None]
    columns = [_column(link.alike) for link in used]
    owners: list[list[Numbers]] = [[] for _ in used]
    published: Mask = np.zeros(found.ids.len(), dtype=np.bool_)
    marks = _marks(earlier, used[0].kind) if used else np.zeros(0, np.uint64)
    for shard, places in _placed(rows, key, found):
        for link, column, owner in zip(used, columns, owners, strict=True):
            for texts, own in texts_of(shard, link.alike.columns):
                column.sketch(texts)
                owner.append(places[own])
        if used:
            asked = shard[used[0].alike.columns[0]].fill_null("").hash(seed=3).to_numpy()
            published[places] = np.isin(asked, marks)
        for name, frame in known.items():
            _agreeing(touched, shard[name], places, frame)
    sources = [_earlier_texts(column, earlier, link.kind) for link, column in zip(used, columns, strict=True)]
    for column in columns:
        column.choose()
    for shard, _ in _placed(rows, key, found):
        for link, column in zip(used, columns, strict=True):
            for texts, _ in texts_of(shard, link.alike.columns):
                column.take(texts)
    for link, column, owner, (place, file, row) in zip(used, columns, owners, sources, strict=True):
        for batch in earlier.texts(str(link.kind)):
            column.take(column_of(batch.texts))
        own = np.concatenate([*owner, np.zeros(0, np.int64)])
        sides = np.concatenate([np.full(own.size, -1, dtype=np.int8), place])
        hits, nearest, similarity, _ = column.touches(sides, len(SIDES))
        hit, side = np.nonzero(nearest >= 0)
        other = nearest[hit, side] - own.size
        touched.add(own[hits[hit]].astype(np.int64), side, similarity[hit, side], file[other], row[other])
    return touched, published


def _column(rule: Alike) -> Column:
    return Column(hasher_for(rule.threshold), rule.ngram_size, rule.threshold, least=rule.least)


def _placed(rows: Rows, key: str, found: Components) -> Iterator[tuple[pl.DataFrame, Numbers]]:
    """The shards once more, and the place of each row among the ids."""
    for shard in rows.again():
        yield shard, found.ids.search_sorted(shard[key]).to_numpy().astype(np.int64)


def _marks(earlier: Earlier, kind: str | None) -> npt.NDArray[np.uint64]:
    hashes = [batch.texts.hash(seed=3).to_numpy() for batch in earlier.texts(str(kind))]
    return np.unique(np.concatenate([*hashes, np.zeros(0, np.uint64)]))


def _earlier_texts(
    column: Column, earlier: Earlier, kind: str | None
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Sketches all earlier texts of a kind; side, file and row of each."""
    place, file, row = [np.zeros(0, np.int8)], [np.zeros(0, np.int32)], [np.zeros(0, np.int32)]
    for batch in earlier.texts(str(kind)):
        column.sketch(column_of(batch.texts))
        place.append(np.full(batch.rows.size, batch.side, dtype=np.int8))
        file.append(np.full(batch.rows.size, batch.file, dtype=np.int32))
        row.append(batch.rows)
    return np.concatenate(place), np.concatenate(file), np.concatenate(row)


def _agreeing(touched: _Touched, values: pl.Series, places: Numbers, known: pl.DataFrame) -> None:
    """Rows that agree with earlier ones in a column of ids."""
    own = pl.DataFrame({"value": values, "place": places}).drop_nulls("value")
    found = own.join(known, on="value")
    place, side, file, row = (found[name].to_numpy() for name in ("place", "side", "file", "row"))
    touched.add(place, side.astype(np.int64), np.ones(place.size), file, row)


# --- components that touch several sides -----------------------------------------------------------------------------


def _take_apart(
    rows: Rows,
    key: str,
    found: Components,
    links: Sequence[Link],
    same: str | None,
    apart: Mask,
    bits: npt.NDArray[np.uint8],
    published: Mask,
) -> tuple[Numbers, dict[int, tuple[int, int] | None], int]:
    """Components without the rows that bridge; these rows and which two rows each lies between."""
    loose = np.flatnonzero(apart)
    number = np.full(apart.size, -1, dtype=np.int64)
    number[loose] = np.arange(loose.size)
    pairs, groups, complete = _pairs(rows, key, found, links, same, number, loose.size)
    large = np.zeros(loose.size, dtype=np.bool_)
    if not complete:
        sizes = np.bincount(found.component, minlength=apart.size)
        large = sizes[found.component[loose]] > LARGE
        own, others = np.ones(apart.size, np.bool_), number.copy()
        own[loose[large]] = False
        others[~own] = -1
        pairs, groups, complete = _pairs(rows, key, found, links, same, others, loose.size)
        large |= not complete
    walk = _Walk(loose.size, pairs, groups, bits[loose])
    degree = np.bincount(pairs.ravel(), minlength=loose.size)
    for row in np.lexsort((np.arange(loose.size), degree, ~published[loose])).tolist():
        if large[row] and not published[loose[row]]:
            walk.gone[row] = None
        else:
            walk.take(row)
    component = found.component.copy()
    root = np.array([root_of(walk.parent, row) for row in range(loose.size)], dtype=np.int64)
    smallest = np.full(walk.parent.size, loose.size, dtype=np.int64)
    np.minimum.at(smallest, root, np.arange(loose.size))
    component[loose] = loose[smallest[root]]
    gone = {
        int(loose[row]): None if between is None else (int(loose[between[0]]), int(loose[between[1]]))
        for row, between in walk.gone.items()
    }
    return component, gone, int((large & ~published[loose]).sum())


class _Walk:
    """Takes rows one by one, as long as none joins two sides."""

    def __init__(self, rows: int, pairs: Numbers, groups: Numbers, bits: npt.NDArray[np.uint8]) -> None:
        nodes = rows + (int(groups.max()) + 1 if groups.size else 0)
        self.parent = np.arange(nodes, dtype=np.int64)
        self.gone: dict[int, tuple[int, int] | None] = {}
        """Rows that are left out, and of each two rows that it would have joined."""
        self._groups = groups
        self._own = bits
        self._sides = np.zeros(nodes, dtype=np.uint8)
        self._witness = np.arange(nodes, dtype=np.int64)
        """Of a root, a row that touches its side."""
        self._taken = np.zeros(nodes, dtype=np.bool_)
        ends = np.concatenate([pairs, pairs[:, ::-1]])
        ends = ends[np.lexsort((ends[:, 1], ends[:, 0]))]
        self._others = ends[:, 1]
        self._starts = np.searchsorted(ends[:, 0], np.arange(rows + 1))

    def take(self, row: int) -> None:
        """Takes a row, or leaves it out."""
        near = self._others[self._starts[row] : self._starts[row + 1]].tolist()
        if self._groups.size and self._groups[row] >= 0:
            near.append(self._own.size + int(self._groups[row]))
        around = sorted({root_of(self.parent, other) for other in near if self._taken[other]})
        sides = int(self._own[row])
        witness = row
        for root in around:
            other = int(self._sides[root])
            if sides and other and (other | sides) & ((other | sides) - 1):
                self.gone[row] = (witness, int(self._witness[root]))
                return
            if other and not sides:
                sides, witness = other, int(self._witness[root])
        if sides & (sides - 1):
            self.gone[row] = (row, row)
            return
        members = [row, *around]
        if self._groups.size and self._groups[row] >= 0:
            group = self._own.size + int(self._groups[row])
            self._taken[group] = True
            members.append(root_of(self.parent, group))
        root = min(members)
        self.parent[members] = root
        self._sides[root], self._witness[root] = sides, witness
        self._taken[row] = True


def _pairs(
    rows: Rows, key: str, found: Components, links: Sequence[Link], same: str | None, number: Numbers, count: int
) -> tuple[Numbers, Numbers, bool]:
    """Similar pairs of the rows that have a number, the group of each, and whether these are all pairs."""
    wanted = [name for link in links for name in link.alike.columns]
    parts: list[pl.DataFrame] = []
    for shard, places in _placed(rows, key, found):
        own = shard.select(key, *dict.fromkeys([*wanted, *([same] if same else [])]))
        parts.append(own.with_columns(_number=number[places]).filter(pl.col("_number") >= 0))
    loose = pl.concat(parts).sort("_number")
    owner_of = loose["_number"].to_numpy()
    every = [np.zeros((0, 2), dtype=np.int64)]
    complete = True
    for link in links:
        column, owners = _column(link.alike), [np.zeros(0, dtype=np.int64)]
        for texts, rows_of in texts_of(loose, link.alike.columns):
            column.sketch(texts)
            owners.append(owner_of[rows_of])
        column.choose()
        for texts, _ in texts_of(loose, link.alike.columns):
            column.take(texts)
        listed, pairs = column.pairs(np.concatenate(owners), min(MOST_PAIRS, column.rows * (column.rows - 1) // 2))
        complete &= pairs <= MOST_PAIRS
        every.append(listed)
    groups = np.zeros(0, dtype=np.int64)
    if same:
        groups = np.full(count, -1, dtype=np.int64)
        known = loose.filter(pl.col(same).is_not_null())
        groups[known["_number"].to_numpy()] = known[same].rank("dense").to_numpy().astype(np.int64) - 1
    return np.concatenate(every), groups, complete


def _several(bits: npt.NDArray[np.uint8]) -> Mask:
    """Where more than one side is touched."""
    several: Mask = (bits & (bits - np.uint8(1))) > 0
    return several


def _sizes(component: Numbers) -> dict[int, int]:
    names, sizes = np.unique(component, return_counts=True)
    several = sizes > 1
    return dict(zip(names[several].tolist(), sizes[several].tolist(), strict=True))


def _pins(
    component: Numbers, touched: _Touched, gone: dict[int, tuple[int, int] | None]
) -> tuple[npt.NDArray[np.int8], Numbers]:
    """The side of each row's component, and the first row of it that touches that side."""
    bits = touched.sides()
    bits[list(gone)] = 0
    side = np.full(bits.size, -1, dtype=np.int8)
    example = np.full(bits.size, -1, dtype=np.int64)
    for row in np.flatnonzero(bits)[::-1].tolist():
        side[component[row]] = int(bits[row]).bit_length() - 1
        example[component[row]] = row
    side, example = side[component], example[component]
    side[list(gone)] = -1
    return side, example


class _Told:
    """Says what a row that is left out lies between."""

    def __init__(self, touched: _Touched, earlier: Earlier) -> None:
        self._touched = touched
        self._earlier = earlier

    def _name(self, row: int, side: int) -> str:
        return self._earlier.name(int(self._touched.file[row, side]), int(self._touched.row[row, side]))

    def between(self, row: int, rows: tuple[int, int] | None, example: int) -> str:
        if rows is None:
            return f"one of more than {LARGE:,} rows that hang together and are like rows on several sides"
        names = []
        for witness in dict.fromkeys(rows):
            names += [self._name(witness, side) for side in np.flatnonzero(self._touched.file[witness] >= 0).tolist()]
        return f"between {' and '.join(dict.fromkeys(names))}"

    def common(self, row: int, side: int, example: int) -> str:
        return f"like {self._name(example, side)}, and only complex questions go to ttt"
