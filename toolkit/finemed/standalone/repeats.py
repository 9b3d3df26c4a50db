"""Repeats among rows of several parts: a row repeats another only if every part of it does.

::

    rows = PartRows(parts, title, language, known=0, order=np.arange(3))
    find_repeats(rows, DedupConfig()).keeper  ->  [-1, -1, 0]      # the third row repeats the first

Parts are compared one by one, never joined. Rows that are equal in every part, character by character, come first. Of
the others, a row is looked for by its *anchors*: parts whose text few rows share (a system prompt, an instruction of
500 rows, "Yes." lead to nothing). Parts with the most different texts come first, so that the first comparison mostly
decides. Each candidate is then verified in every part, shared or not, inside the walk over kept rows: exact Jaccard
similarity at the threshold, and no difference that the clinical guard sees. Labels (`cop`, `label`) have to be equal.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from finemed.config import DedupConfig
from finemed.stages import dedup as stage
from finemed.text.column import Texts, column_of
from finemed.text.guard import ClinicalFacts, difference, facts_of
from finemed.text.minhash import BandKeys
from finemed.text.normalise import words
from finemed.text.plain import Differs, NearDuplicates, RowTexts
from finemed.text.plain import near_duplicates as plain_near_duplicates

SHARED_ROWS = 20
"""A text that so many different rows have in one part leads to no comparison."""
SPARE_BUCKET = 100
"""Most rows in a bucket of a part that is looked at because a better one is shared."""
_SPREAD_BANDS = 4
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PartRows:
    """Rows with their parts, numbered: those of an index first, then the table's."""

    parts: pl.DataFrame
    """`row`, `part`, `kind`, `text`; one line a part, none for a part that a row lacks."""
    title: pl.Series
    """What each row is about, for the guard; nulls where nothing says so."""
    language: pl.Series
    known: int
    """So many first rows are in an index: they stay."""
    order: Numbers
    """All rows in the order in which they are taken, those of the index first."""

    @cached_property
    def names(self) -> list[str]:
        """Names of the parts, sorted; the places are their numbers."""
        return sorted(self.parts["part"].unique().to_list())

    @cached_property
    def texts(self) -> pl.Series:
        """The different texts."""
        return self.parts["text"].unique(maintain_order=True)

    @cached_property
    def column(self) -> Texts:
        """The different texts for the kernels."""
        return column_of(self.texts)

    @cached_property
    def entries(self) -> tuple[Numbers, Numbers, Numbers]:
        """Row, number of the part and number of the text of each part, by row and part."""
        row, name, code, _ = self._entries
        return row, name, code

    @cached_property
    def labels(self) -> npt.NDArray[np.bool_]:
        """Which of the entries are labels: equal or not, never similar."""
        return self._entries[3]

    @cached_property
    def _entries(self) -> tuple[Numbers, Numbers, Numbers, npt.NDArray[np.bool_]]:
        numbered = pl.DataFrame({"text": self.texts}).with_row_index("code")
        named = pl.DataFrame({"part": pl.Series(self.names, dtype=pl.String())}).with_row_index("name")
        table = self.parts.join(numbered, on="text", how="left").join(named, on="part", how="left")
        row, name, code = (table[column].to_numpy().astype(np.int64) for column in ("row", "name", "code"))
        order = np.lexsort((name, row))
        return row[order], name[order], code[order], (table["kind"] == "label").to_numpy()[order]

    def first_text(self, row: int) -> str:
        """A row's first question, or else its first text; to be shown."""
        own = self.parts.filter(self.parts["row"] == row)
        asked = own.filter(own["kind"] == "question")
        texts = (asked if asked.height else own.filter(own["kind"] != "label"))["text"]
        return str(texts[0]) if texts.len() else ""


@dataclass
class PartRepeats:
    """Which rows repeat which."""

    keeper: Numbers
    """For each row the kept one that it repeats, or -1."""
    similarity: npt.NDArray[np.float64]
    """The least exact Jaccard similarity of their parts."""
    exact: npt.NDArray[np.bool_]
    """Whether every part repeats word for word."""
    variants: dict[int, tuple[int, float, str]] = field(default_factory=dict)
    shared: dict[str, dict[str, int]] = field(default_factory=dict)
    """What too many rows share to lead to a comparison, by part: texts, and different rows that have them."""
    keys: BandKeys = field(default_factory=lambda: np.zeros((0, 0), dtype=np.uint32))
    """Band keys of the different texts, shape (1 + num_bands, texts)."""
    compared: int = 0
    not_compared: int = 0


def find_repeats(rows: PartRows, config: DedupConfig, stored: pl.DataFrame | None = None) -> PartRepeats:
    """Finds the rows that repeat a kept one.

    Args:
        rows: the rows.
        config: thresholds.
        stored: `text` and `keys` of texts that an index knows.
    """
    height = len(rows.title)
    found = PartRepeats(np.full(height, -1, np.int64), np.zeros(height), np.zeros(height, dtype=bool))
    found.keys = _keys(rows, config, stored)
    row, name, code = rows.entries
    starts = np.searchsorted(row, np.arange(height + 1))
    leaders, follows, layout = _leaders(rows, starts)
    row, name, code = row[~rows.labels], name[~rows.labels], code[~rows.labels]
    starts = np.searchsorted(row, np.arange(height + 1))
    chosen = np.zeros(height, dtype=bool)
    chosen[leaders] = True
    name_rank = _ranks(name[chosen[row]], code[chosen[row]], found.keys, len(rows.names))
    by_rank = np.lexsort((name_rank[name], row))
    name, code = name[by_rank], code[by_rank]
    held = _of_rows(RowTexts(layout, starts, code.astype(np.int32)), leaders)
    names = _of_rows(RowTexts(layout, starts, name.astype(np.int32)), leaders).codes.astype(np.int64)
    shared = _shared(names, held, len(rows.texts))
    for number in np.unique(names[shared]).tolist():
        own = held.codes[shared & (names == number)]
        found.shared[rows.names[number]] = {"texts": int(np.unique(own).size), "rows": int(own.size)}
    keys = _row_keys(held, name_rank[names], shared, found.keys)
    guard = RowGuard(rows)
    numbers = leaders.tolist()

    def differs(row: int, other: int) -> str | None:
        return guard(numbers[row], numbers[other])

    known = int(np.count_nonzero(leaders < rows.known))
    near = _search(rows.column, config, differs if config.guard else None, held, keys, known)
    _report(found, near, rows.column, held, leaders)
    for later, first in follows.items():
        of = found.keeper[first]
        found.keeper[later] = first if of < 0 else of
        found.similarity[later] = 1.0 if of < 0 else found.similarity[first]
        found.exact[later] = of < 0 or found.exact[first]
    return found


def _leaders(rows: PartRows, starts: Numbers) -> tuple[Numbers, dict[int, int], npt.NDArray[np.int32]]:
    """Different rows in their order, the first equal one of each other row, and each row's layout.

    Rows without texts are none of these. Rows of an index follow nothing. Labels belong to the layout, so rows with
    other labels are never compared.
    """
    _, name, code = rows.entries
    names, codes = name.astype(np.int32), code.astype(np.int32)
    titles = rows.title.to_list()
    layouts: dict[tuple[bytes, bytes, bytes], int] = {}
    layout = np.zeros(len(titles), dtype=np.int32)
    first: dict[tuple[int, str | None, bytes], int] = {}
    leaders: list[int] = []
    follows: dict[int, int] = {}
    begin = starts.tolist()
    for row in rows.order.tolist():
        own = slice(begin[row], begin[row + 1])
        marks = rows.labels[own]
        if marks.all():
            continue
        key = (names[own].tobytes(), marks.tobytes(), codes[own][marks].tobytes())
        layout[row] = layouts.setdefault(key, len(layouts))
        leader = first.setdefault((int(layout[row]), titles[row], codes[own].tobytes()), row)
        if leader == row:
            leaders.append(row)
        elif row >= rows.known:
            follows[row] = leader
    return np.array(leaders, dtype=np.int64), follows, layout


def _of_rows(held: RowTexts, rows: Numbers) -> RowTexts:
    counts = held.starts[rows + 1] - held.starts[rows]
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    places = np.arange(starts[-1]) - np.repeat(starts[:-1], counts) + np.repeat(held.starts[rows], counts)
    return RowTexts(held.layout[rows], starts, held.codes[places])


def _keys(rows: PartRows, config: DedupConfig, stored: pl.DataFrame | None) -> BandKeys:
    keys = np.zeros((1 + config.num_bands, len(rows.texts)), dtype=np.uint32)
    missing = np.ones(len(rows.texts), dtype=bool)
    if stored is not None and stored.height:
        place = pl.DataFrame({"text": rows.texts}).with_row_index("at")
        found = place.join(stored.unique("text"), on="text", how="inner").sort("at")
        at = found["at"].to_numpy()
        keys[:, at] = found["keys"].to_numpy().reshape(found.height, 1 + config.num_bands).T
        missing[at] = False
    if missing.any():
        own = rows.column if missing.all() else column_of(rows.texts.filter(pl.Series(missing)))
        keys[:, missing] = stage.band_keys_of(own, config)
    return keys


def _ranks(name: Numbers, code: Numbers, keys: BandKeys, names: int) -> Numbers:
    """Rank of each part: those whose texts differ most come first, by the bands that they fall into."""
    spread = np.zeros(names, dtype=np.int64)
    for number in range(names):
        own = np.unique(code[name == number])
        spread[number] = sum(np.unique(band).size for band in keys[1 : 1 + _SPREAD_BANDS, own])
    rank = np.empty(names, dtype=np.int64)
    rank[np.lexsort((np.arange(names), -spread))] = np.arange(names)
    return rank


def _shared(names: Numbers, held: RowTexts, texts: int) -> npt.NDArray[np.bool_]:
    """Which parts have a text that many rows have in the same part."""
    _, inverse, counts = np.unique(names * texts + held.codes, return_inverse=True, return_counts=True)
    return np.asarray(counts[inverse] >= SHARED_ROWS)


def _row_keys(held: RowTexts, rank: Numbers, shared: npt.NDArray[np.bool_], keys: BandKeys) -> BandKeys:
    """Band keys of rows: one band of whole rows, then those of the anchors.

    Without shared texts the first part with words is the anchor. Otherwise there may be two, the first unshared parts
    of even and of odd rank: a row whose best part is shared still meets one that has that part in a wording of its own.
    """
    rows, bands = held.layout.size, keys.shape[0] - 1
    owner = np.repeat(np.arange(rows), np.diff(held.starts))
    slots = 2 if shared.any() else 1
    found = np.zeros((1 + slots * bands, rows), dtype=np.uint32)
    with np.errstate(over="ignore"):
        salt = (held.layout[owner].astype(np.uint64) * np.uint64(977) + rank.astype(np.uint64)) * _MIX
        salt = (salt >> np.uint64(32)).astype(np.uint32)
        whole = (keys[0, held.codes].astype(np.uint64) + np.uint64(1)) * (salt.astype(np.uint64) | np.uint64(1)) * _MIX
        whole ^= whole >> np.uint64(29)
        whole *= _MIX
    if rows:
        sums = np.add.reduceat(whole, held.starts[:-1])
        found[0] = np.maximum((sums >> np.uint64(32)).astype(np.uint32), 1)
    for slot in range(slots):
        fit = np.flatnonzero(~shared & (keys[0, held.codes] != 0) & ((rank % slots) == slot))
        own, at = np.unique(owner[fit], return_index=True)
        entry = fit[at]
        spare = held.starts[own] != entry
        for band in range(bands):
            values = np.maximum(keys[1 + band, held.codes[entry]] ^ salt[entry], 1)
            if slots > 1 and spare.any():
                _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
                values[spare & (counts[inverse] > SPARE_BUCKET)] = 0
            found[1 + slot * bands + band, own] = values
    return found


_MIX = np.uint64(0x9E3779B97F4A7C15)


class RowGuard:
    """What the clinical guard says of two rows that have the same parts; facts of a text are worked out once."""

    def __init__(self, rows: PartRows) -> None:
        self._rows = rows
        self._row, self._name, self._code = rows.entries
        self._starts = np.searchsorted(self._row, np.arange(len(rows.title) + 1)).tolist()
        labels = rows.parts.filter(pl.col("kind") == "label").select("part", "text").unique()
        self._labels = frozenset(labels.iter_rows())
        self._known: dict[tuple[int, str | None, str | None], ClinicalFacts] = {}

    def __call__(self, row: int, other: int) -> str | None:
        """The first difference, and the part that it is in."""
        rows = self._rows
        same_title = rows.title[row] == rows.title[other]
        own, its = (slice(self._starts[each], self._starts[each + 1]) for each in (row, other))
        names = self._name[own].tolist()
        for name, one, two in zip(names, self._code[own].tolist(), self._code[its].tolist(), strict=True):
            if one == two and same_title:
                continue
            if one != two and (rows.names[name], rows.texts[one]) in self._labels:
                return f"{rows.names[name]}: {rows.texts[one]} against {rows.texts[two]}"
            found = difference(self._facts(one, row), self._facts(two, other))
            if found is not None:
                return f"{rows.names[name]}: {found}" if len(names) > 1 else str(found)
        return None

    def _facts(self, code: int, row: int) -> ClinicalFacts:
        key = (code, self._rows.title[row], self._rows.language[row])
        if key not in self._known:
            self._known[key] = facts_of(self._rows.texts[code], title=key[1], language=key[2])
        return self._known[key]


def _search(
    texts: Texts, config: DedupConfig, guard: Differs | None, held: RowTexts, keys: BandKeys, known: int
) -> NearDuplicates:
    search = plain_near_duplicates
    if len(texts) >= stage.COMPILED_FROM:
        from finemed.text.neighbours import near_duplicates as search
    return search(
        texts,
        np.arange(held.layout.size, dtype=np.int64),
        stage.hasher_of(config),
        ngram_size=config.ngram_size,
        threshold=config.threshold,
        max_bucket=config.max_bucket,
        differs=guard,
        known=known,
        keys=keys,
        held=held,
    )


def _report(found: PartRepeats, near: NearDuplicates, texts: Texts, held: RowTexts, leaders: Numbers) -> None:
    for row in np.flatnonzero(near.keeper >= 0).tolist():
        other = int(near.keeper[row])
        found.keeper[leaders[row]] = leaders[other]
        found.similarity[leaders[row]] = near.similarity[row]
        found.exact[leaders[row]] = near.similarity[row] == 1.0 and all(
            one == two or words(texts.text(one)) == words(texts.text(two))
            for one, two in zip(held.of(row), held.of(other), strict=True)
        )
    for row, (other, similarity, fact) in near.variants.items():
        found.variants[int(leaders[row])] = (int(leaders[other]), similarity, fact)
    found.compared, found.not_compared = near.compared, near.not_compared
