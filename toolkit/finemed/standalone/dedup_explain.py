"""Why one row of a table goes or stays in ``finemed dedup``, part by part.

::

    explain(found, "r17").verdict           ->  "dropped: near_duplicate of r3, Jaccard 0.9310"
    explain(found, "r17").nearest[0].parts  ->  {"question": 1.0, "answer": 0.931}
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from finemed.standalone.dedup import TableDedup
from finemed.standalone.repeats import RowGuard
from finemed.text.sketch import shingle_sets

NEAREST = 5


@dataclass(frozen=True)
class Compared:
    """A part of the row in question."""

    part: str
    kind: str
    text: str
    rows: int
    """Rows that have this text in this part, the row itself included."""


@dataclass(frozen=True)
class Neighbour:
    """A row that resembles the one in question."""

    row_id: str
    similarity: float
    """The least similarity of a part; 0 where one of the two lacks a part that the other has."""
    difference: str | None
    """What the clinical guard says of the two."""
    state: str
    text: str
    parts: dict[str, float]
    """Exact Jaccard similarity of each part that both have."""


@dataclass(frozen=True)
class Explanation:
    """Why one row goes or stays."""

    row_id: str
    verdict: str
    text: str
    parts: list[Compared] = field(default_factory=list)
    keeps_out: list[str] = field(default_factory=list)
    """Rows that go because they repeat this one."""
    nearest: list[Neighbour] = field(default_factory=list)
    """The most similar rows, by the least and then by the mean similarity of their parts."""

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def explain(found: TableDedup, row_id: str) -> Explanation:
    """Everything that decides about one row.

    Raises:
        InputError: no row has this id.
    """
    table = found.table
    number = table.number(row_id)
    own = table.parts.filter(table.parts["row"] == number)
    counts = {
        (part, text): table.parts.filter((table.parts["part"] == part) & (table.parts["text"] == text)).height
        for part, text in own.select("part", "text").iter_rows()
    }
    parts = [
        Compared(part, kind, text, counts[part, text])
        for part, kind, text in own.select("part", "kind", "text").iter_rows()
    ]
    dropped = found.result.dropped
    keeps_out = [other for other in table.ids if other in dropped and dropped[other].keeper == row_id]
    text = next((each.text for each in parts if each.kind == "question"), parts[0].text if parts else "")
    return Explanation(row_id, _state(found, row_id, bool(parts)), text, parts, keeps_out, _nearest(found, number))


def _nearest(found: TableDedup, number: int) -> list[Neighbour]:
    rows, known = found.rows, found.rows.known
    row, name, code = rows.entries
    number += known
    own = {int(name[at]): int(code[at]) for at in np.flatnonzero(row == number)}
    if not own:
        return []
    height = len(rows.title)
    values = {part: np.full(height, np.nan) for part in own}
    for part, its in own.items():
        of = name == part
        values[part][row[of]] = _similarities(found, its)[code[of]]
    each = np.stack(list(values.values()))
    same = (np.bincount(row, minlength=height) == len(own)) & ~np.isnan(each).any(axis=0)
    least = np.where(same, np.nan_to_num(each).min(axis=0), 0.0)
    mean = np.nan_to_num(each).mean(axis=0)
    order = np.lexsort((np.arange(height), -mean, -least))
    guard = RowGuard(rows) if found.config.guard else None
    ids = [*found.index_ids, *found.table.ids]
    shown = [int(other) for other in order[: NEAREST + 1] if other != number and mean[other] > 0][:NEAREST]
    return [
        Neighbour(
            ids[other],
            round(float(least[other]), 4),
            guard(number, other) if guard and same[other] else None,
            "in the index" if other < known else _state(found, ids[other], True),
            rows.first_text(other),
            {rows.names[part]: round(float(of[other]), 4) for part, of in values.items() if not np.isnan(of[other])},
        )
        for other in shown
    ]


def _similarities(found: TableDedup, code: int) -> npt.NDArray[np.float64]:
    """Exact Jaccard similarity of one text with every text; 1 with itself."""
    texts = found.rows.column
    sets = shingle_sets(texts, np.arange(len(texts), dtype=np.int64), found.config.ngram_size)
    own = sets.of(code)
    totals = np.concatenate([[0], np.cumsum(np.isin(sets.hashes, own))])
    common = totals[sets.ends] - totals[sets.starts]
    union = own.size + (sets.ends - sets.starts) - common
    values: npt.NDArray[np.float64] = common / np.maximum(union, 1)
    values[code] = 1.0
    return values


def _state(found: TableDedup, row_id: str, compared: bool) -> str:
    result = found.result
    if row_id in result.dropped:
        return f"dropped: {result.dropped[row_id].reason} {result.dropped[row_id].detail}"
    if row_id in result.variants:
        return f"kept as a clinical variant {result.variants[row_id].detail}"
    if row_id in found.there:
        return "kept: the index holds it already"
    return "kept" if compared else "kept: it has no text to compare"
