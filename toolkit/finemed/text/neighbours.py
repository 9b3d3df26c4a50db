"""Near-duplicates of a column of texts, compiled: `plain.near_duplicates` at the speed of the machine.

::

    found = near_duplicates(texts, order, hasher, ngram_size=5, threshold=0.8, max_bucket=500)
    found.keeper     ->  [-1, -1, 0, ...]      # the third text repeats the first

Words are hashed straight from the Arrow buffers; which rows share a band is known before a shingle is sorted, and only
the shingles of such rows are. The walk over the rows stays in compiled code but for the pairs that `differs` judges.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit, prange

from finemed.text.column import Texts
from finemed.text.minhash import BandKeys, MinHasher
from finemed.text.plain import Differs, NearDuplicates, RowTexts, judge
from finemed.text.sketch import ShingleSets, band_keys, shingle_sets


@njit(cache=True, nogil=True)
def group_band(own, parts):  # type: ignore[no-untyped-def]
    """Replaces the keys of a band by numbers of groups from 1; 0 where a row is alone with its key, or has none.

    Keys are parted by their low bits first, so that the table of a part stays in the processor's cache.
    """
    rows = own.size
    sizes = np.zeros(parts + 1, dtype=np.int64)
    for row in range(rows):
        if own[row]:
            sizes[1 + (np.int64(own[row]) & (parts - 1))] += 1
    for part in range(parts):
        sizes[part + 1] += sizes[part]
    places = sizes.copy()
    parted = np.empty(sizes[parts], dtype=np.int32)
    for row in range(rows):
        if own[row]:
            low = np.int64(own[row]) & (parts - 1)
            parted[places[low]] = row
            places[low] += 1
    number = np.int64(0)
    table = np.zeros(16, dtype=np.int32)
    held = np.zeros(16, dtype=np.uint32)
    for part in range(parts):
        begin, end = sizes[part], sizes[part + 1]
        size = 16
        while size < 2 * (end - begin):
            size *= 2
        if size > table.size:
            table = np.zeros(size, dtype=np.int32)
            held = np.zeros(size, dtype=np.uint32)
        table[:size] = 0
        for place in range(begin, end):
            member = np.int64(parted[place])
            key = own[member]
            slot = ((np.int64(key) * 0x9E3779B1) >> 17) & (size - 1)
            while table[slot] != 0 and held[slot] != key:
                slot = (slot + 1) & (size - 1)
            if table[slot] == 0:  # first with this key: remembered as -(row + 1) until a second one comes
                held[slot] = key
                table[slot] = -member - 1
                own[member] = 0
                continue
            if table[slot] < 0:
                number += 1
                own[-np.int64(table[slot]) - 1] = number
                table[slot] = number
            own[member] = table[slot]
    return number


@njit(cache=True, parallel=True, nogil=True)
def _group(keys, counts, parts):  # type: ignore[no-untyped-def]
    """`group_band` of every band, in place."""
    for band in prange(keys.shape[0]):
        counts[band] = group_band(keys[band], parts)


@njit(cache=True, nogil=True)
def jaccard_from(hashes, a, a_end, b, b_end, threshold):  # type: ignore[no-untyped-def]
    """Exact Jaccard similarity of two sorted sets in one array; 0 as soon as the threshold is out of reach."""
    total = (a_end - a) + (b_end - b)
    spare_a = (a_end - a) - (np.int64(threshold * total / (1.0 + threshold)) - 1)
    spare_b = (b_end - b) - (np.int64(threshold * total / (1.0 + threshold)) - 1)
    common = 0
    while a < a_end and b < b_end:
        if hashes[a] == hashes[b]:
            common += 1
            a += 1
            b += 1
        elif hashes[a] < hashes[b]:
            a += 1
            spare_a -= 1
            if spare_a < 0:
                return 0.0
        else:
            b += 1
            spare_b -= 1
            if spare_b < 0:
                return 0.0
    return common / (total - common) if total else 0.0


@njit(cache=True, nogil=True)
def _least(row, other, at, codes, hashes, starts, ends, threshold):  # type: ignore[no-untyped-def]
    """Smallest similarity of the texts of two rows, pair by pair; 0 as soon as one is below the threshold."""
    least = 1.0
    first, its = at[row], at[other]
    for place in range(at[row + 1] - first):
        a, b = codes[first + place], codes[its + place]
        if a == b:
            continue
        small, large = ends[a] - starts[a], ends[b] - starts[b]
        if min(small, large) < threshold * max(small, large):
            return 0.0
        value = jaccard_from(hashes, starts[a], ends[a], starts[b], ends[b], threshold)
        if value < threshold:
            return 0.0
        least = min(least, value)
    return least


@njit(cache=True, nogil=True)
def _keep(row, place, groups, heads, head, tail, length, follows, kept_at):  # type: ignore[no-untyped-def]
    kept_at[row] = place
    for band in range(groups.shape[0]):
        group = groups[band, row]
        if group == 0:
            continue
        bucket = heads[band] + group - 1
        if head[bucket] < 0:
            head[bucket] = row
        else:
            follows[band, tail[bucket]] = row
        tail[bucket] = row
        length[bucket] += 1


@njit(cache=True, nogil=True)
def _walk(  # type: ignore[no-untyped-def]
    position,
    known,
    order,
    groups,
    heads,
    layout,
    at,
    codes,
    sets,
    starts,
    ends,
    threshold,
    max_bucket,
    ask,
    head,
    tail,
    length,
    follows,
    seen,
    kept_at,
    keeper,
    similarity,
    found,
    values,
    counts,
):
    """Goes on from a position in the order; stops behind a row whose similar kept rows the caller has to judge.

    Returns:
        (next position, row to judge or -1, how many similar rows in `found`).
    """
    while position < order.size:
        row = order[position]
        place = position
        position += 1
        if place < known:
            _keep(row, place, groups, heads, head, tail, length, follows, kept_at)
            continue
        near = 0
        for band in range(groups.shape[0]):
            group = groups[band, row]
            if group == 0:
                continue
            bucket = heads[band] + group - 1
            if length[bucket] > max_bucket:
                counts[1] += length[bucket] - max_bucket
            other = head[bucket]
            for _ in range(min(length[bucket], max_bucket)):
                current = other
                other = follows[band, current]
                if seen[current] == place:
                    continue
                seen[current] = place
                counts[0] += 1
                if layout[row] != layout[current]:
                    continue
                value = _least(row, current, at, codes, sets, starts, ends, threshold)
                if value < threshold:
                    continue
                if ask:
                    found[near] = current
                    values[near] = value
                    near += 1
                elif near == 0 or value > values[0] or (value == values[0] and kept_at[current] < kept_at[found[0]]):
                    found[0] = current
                    values[0] = value
                    near = 1
        if near == 0:
            _keep(row, place, groups, heads, head, tail, length, follows, kept_at)
        elif ask:
            return position, row, near
        else:
            keeper[row] = found[0]
            similarity[row] = values[0]
    return position, -1, 0


def near_duplicates(
    texts: Texts,
    order: npt.NDArray[np.int64],
    hasher: MinHasher,
    *,
    ngram_size: int,
    threshold: float,
    max_bucket: int,
    differs: Differs | None = None,
    known: int = 0,
    keys: BandKeys | None = None,
    held: RowTexts | None = None,
) -> NearDuplicates:
    """Finds the texts that are near-duplicates of an earlier kept one; every pair is verified.

    Args:
        texts: the column.
        order: the rows, first come first kept, shape (rows,).
        hasher: bands and rows per band.
        ngram_size: words per shingle.
        threshold: exact Jaccard similarity from which two texts are near-duplicates.
        max_bucket: kept texts that one text is compared with in one bucket.
        differs: vetoes a pair; asked for the most similar kept rows first.
        known: so many rows at the beginning of the order are kept whatever they repeat: they were published.
        keys: `band_keys` of the texts, where they are known, or of the rows, where they hold several; overwritten.
        held: the texts of each row, where a row holds several: similar are rows of which every text is similar, and
            their similarity is the least of these. `keys` then says which rows are compared.
    """
    rows = order.size
    result = NearDuplicates(np.full(rows, -1, dtype=np.int64), np.zeros(rows, dtype=np.float64))
    if not rows:
        return result
    sizes = np.zeros(rows, dtype=np.int32) if keys is None else None
    keys = band_keys(texts, hasher, ngram_size, sizes) if keys is None else keys
    counts = np.zeros(keys.shape[0], dtype=np.int64)
    _group(keys, counts, max(1, 1 << max(0, (rows >> 13).bit_length() - 1)))
    together = np.flatnonzero(keys.any(axis=0)).astype(np.int64)
    groups = np.ascontiguousarray(keys[:, together]).view(np.int32)
    result.nbytes = keys.nbytes + groups.nbytes
    del keys
    place_of = np.full(rows, -1, dtype=np.int32)
    place_of[together] = np.arange(together.size, dtype=np.int32)
    turn = place_of[order]
    known = int(np.count_nonzero(turn[:known] >= 0))
    own, used = (_alone(together), together) if held is None else _some(held, together)
    walk = _Walk(together, turn[turn >= 0], groups, counts, own, shingle_sets(texts, used, ngram_size, sizes))
    result.nbytes = max(result.nbytes, walk.nbytes)
    walk.run(result, threshold, max_bucket, differs, known)
    return result


def _alone(rows: npt.NDArray[np.int64]) -> RowTexts:
    """Rows of one text each."""
    numbers = np.arange(rows.size + 1, dtype=np.int64)
    return RowTexts(np.zeros(rows.size, dtype=np.int32), numbers, numbers[:-1].astype(np.int32))


def _some(held: RowTexts, rows: npt.NDArray[np.int64]) -> tuple[RowTexts, npt.NDArray[np.int64]]:
    """These rows alone, their texts numbered anew; and which texts those are."""
    counts = held.starts[rows + 1] - held.starts[rows]
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    places = np.arange(starts[-1]) - np.repeat(starts[:-1], counts) + np.repeat(held.starts[rows], counts)
    used, codes = np.unique(held.codes[places], return_inverse=True)
    return RowTexts(held.layout[rows], starts, codes.astype(np.int32)), used.astype(np.int64)


class _Walk:
    """The rows that share a band with another, in their order."""

    def __init__(
        self,
        rows: npt.NDArray[np.int64],
        order: npt.NDArray[np.int32],
        groups: npt.NDArray[np.int32],
        counts: npt.NDArray[np.int64],
        held: RowTexts,
        sets: ShingleSets,
    ) -> None:
        self._rows = rows
        self._order = order
        self._groups = groups
        self._held = held
        self._sets = sets
        self._heads = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        buckets = int(self._heads[-1])
        self._head = np.full(buckets, -1, dtype=np.int32)
        self._tail = np.full(buckets, -1, dtype=np.int32)
        self._length = np.zeros(buckets, dtype=np.int32)
        self._follows = np.full(groups.shape, -1, dtype=np.int32)
        self._seen = np.full(rows.size, -1, dtype=np.int32)
        self._kept_at = np.full(rows.size, -1, dtype=np.int32)

    @property
    def nbytes(self) -> int:
        arrays = (self._groups, self._head, self._tail, self._length, self._follows, self._seen, self._kept_at)
        return sum(array.nbytes for array in arrays) + self._sets.hashes.nbytes + 40 * self._rows.size

    def run(
        self, result: NearDuplicates, threshold: float, max_bucket: int, differs: Differs | None, known: int
    ) -> None:
        buckets = (self._heads, self._head, self._tail, self._length, self._follows, self._kept_at)
        keeper = np.full(self._rows.size, -1, dtype=np.int32)
        similarity = np.zeros(self._rows.size, dtype=np.float64)
        room = self._groups.shape[0] * max_bucket if differs else 1
        found = np.empty(min(room, self._rows.size + 1), dtype=np.int32)
        values = np.empty(found.size, dtype=np.float64)
        counts = np.zeros(2, dtype=np.int64)
        heads, head, tail, length, follows, kept_at = buckets
        sets, rows, held = self._sets, self._rows, self._held
        position = 0
        while position < self._order.size:
            position, row, near = _walk(
                position, known, self._order, self._groups, heads, held.layout, held.starts, held.codes, sets.hashes,
                sets.starts, sets.ends, threshold, max_bucket, differs is not None, head, tail, length, follows,
                self._seen, kept_at, keeper, similarity, found, values, counts,
            )  # fmt: skip
            if differs is None or row < 0:
                continue
            nearest = sorted(range(near), key=lambda at: (-values[at], kept_at[found[at]]))
            pairs = [(int(found[at]), float(values[at])) for at in nearest]
            other, value, difference = judge(row, pairs, lambda own, its: differs(int(rows[own]), int(rows[its])))
            if difference is None:
                keeper[row], similarity[row] = other, value
            else:
                result.variants[int(rows[row])] = (int(rows[other]), value, difference)
                _keep(row, position - 1, self._groups, heads, head, tail, length, follows, kept_at)
        dropped = np.flatnonzero(keeper >= 0)
        result.keeper[self._rows[dropped]] = self._rows[keeper[dropped]]
        result.similarity[self._rows] = similarity
        result.compared, result.not_compared = int(counts[0]), int(counts[1])
