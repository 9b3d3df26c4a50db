"""Compiled search for the most similar set of each kind: which earlier texts a new text nearly repeats.

::

    touches(hashes, sizes, 0.7, np.array([-1, 0, 3]), places=6)
    # nearest[0] -> [1, -1, -1, 2, -1, -1]: text 0 is like text 1 (of place 0) and text 2 (of place 3)

Candidates come from an index of the rarest shingles, as in `text.union`; every one is compared exactly. Only texts
without a place are compared with those that have one, never two of a kind.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from finemed.text.neighbours import jaccard_from
from finemed.text.scan import mix
from finemed.text.union import _needed, _rare_first, entries_needed, frequencies


@njit(cache=True, nogil=True)
def _touch(  # type: ignore[no-untyped-def]
    hashes, starts, ends, order, frequency, threshold, place, nearest, similarity, first, last, following, entry_row,
):  # fmt: skip
    """Goes through the sets in order of size; two lists a slot, of texts without a place and of those with one."""
    seen = np.full(order.size, -1, dtype=np.int32)
    keys = np.empty(64, dtype=np.uint64)
    mask = np.uint64(first.shape[0] - 1)
    entries = 0
    compared = 0
    for turn in range(order.size):
        row = np.int64(order[turn])
        start, end = starts[row], ends[row]
        size = end - start
        if size == 0:
            continue
        if size > keys.size:
            keys = np.empty(2 * size, dtype=np.uint64)
        _rare_first(hashes, start, end, frequency, keys)
        kind = 0 if place[row] < 0 else 1
        for number in range(_needed(threshold, size)):
            slot = np.int64(mix(keys[number]) & mask)
            while first[slot, 1 - kind] >= 0:
                oldest = np.int64(entry_row[first[slot, 1 - kind]])
                if ends[oldest] - starts[oldest] >= threshold * size - 1e-9:
                    break
                first[slot, 1 - kind] = following[first[slot, 1 - kind]]
            entry = np.int64(first[slot, 1 - kind])
            while entry >= 0:
                other = np.int64(entry_row[entry])
                entry = np.int64(following[entry])
                if seen[other] == turn:
                    continue
                seen[other] = turn
                new, old = (row, other) if kind == 0 else (other, row)
                side = np.int64(place[old])
                best = similarity[new, side]
                if best >= 1.0 and old > nearest[new, side]:
                    continue
                compared += 1
                least = max(threshold, best)
                value = jaccard_from(hashes, start, end, starts[other], ends[other], least)
                if value < least:
                    continue
                if value > best or old < nearest[new, side]:
                    similarity[new, side] = value
                    nearest[new, side] = old
        for number in range(_needed(2 * threshold / (1 + threshold), size)):
            slot = np.int64(mix(keys[number]) & mask)
            entry_row[entries] = row
            following[entries] = -1
            if first[slot, kind] < 0:
                first[slot, kind] = entries
            else:
                following[last[slot, kind]] = entries
            last[slot, kind] = entries
            entries += 1
    return compared


def touches(
    hashes: npt.NDArray[np.uint64],
    sizes: npt.NDArray[np.int64],
    threshold: float,
    place: npt.NDArray[np.int8],
    places: int,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64], int]:
    """For each text without a place the most similar one of every place, that similarity, and the pairs compared.

    Args:
        hashes: the shingle sets, one after the other.
        sizes: their sizes, shape (texts,).
        threshold: exact Jaccard similarity from which two texts are similar.
        place: of each text, or -1; shape (texts,).
        places: how many there are.

    Returns:
        Numbers of texts, -1 where none is similar, shape (texts, places); the similarities; pairs compared. Of equally
        similar texts the first one counts.
    """
    ends = np.cumsum(sizes)
    starts = ends - sizes
    order = np.lexsort((np.arange(sizes.size), sizes)).astype(np.int32)
    frequency = np.zeros(_power(hashes.size // 4), dtype=np.uint32)
    frequencies(hashes, starts, ends, frequency)
    entries = entries_needed(starts, ends, threshold)
    first, last = (np.full((_power(entries), 2), -1, dtype=np.int32) for _ in range(2))
    following, entry_row = (np.empty(entries, dtype=np.int32) for _ in range(2))
    nearest = np.full((sizes.size, places), -1, dtype=np.int32)
    similarity = np.zeros((sizes.size, places), dtype=np.float64)
    compared = _touch(
        hashes, starts, ends, order, frequency, threshold, place, nearest, similarity, first, last, following, entry_row
    )
    return nearest, similarity, int(compared)


def _power(size: int) -> int:
    return max(64, 1 << (size - 1).bit_length()) if size > 0 else 64
