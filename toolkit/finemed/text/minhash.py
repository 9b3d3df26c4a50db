"""MinHash signatures and their LSH bands (Broder 1997; Leskovec et al., Mining of Massive Datasets, section 3.4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from finemed.text.shingle import Hashes

Signature: TypeAlias = npt.NDArray[np.uint32]
BandKeys: TypeAlias = npt.NDArray[np.uint32]
KEYS_VERSION = 2
"""Raised when the same text gets other band keys; an index of stored keys is then made anew."""


@dataclass(frozen=True)
class MinHasher:
    """Turns sets of 64-bit hashes into band keys.

    `num_perm` = `num_bands` * `rows_per_band` permutations of the upper 32 bits of each hash, (a * h + b) mod 2**32
    with odd a. Two sets of Jaccard similarity s share a band with probability 1 - (1 - s**r)**b.
    """

    num_bands: int
    rows_per_band: int
    seed: int = 1
    a: Signature = field(init=False, repr=False, compare=False)
    b: Signature = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        draw = np.random.Generator(np.random.PCG64(self.seed))
        count = self.num_bands * self.rows_per_band
        object.__setattr__(self, "a", draw.integers(0, 1 << 32, size=count, dtype=np.uint32) | np.uint32(1))
        object.__setattr__(self, "b", draw.integers(0, 1 << 32, size=count, dtype=np.uint32))

    def signature(self, hashes: Hashes) -> Signature:
        """The minimum of each permutation, shape (num_bands * rows_per_band,); `hashes` must not be empty.

        The share of equal places of two signatures estimates the sets' Jaccard similarity s with a standard deviation
        of sqrt(s * (1 - s) / num_perm).
        """
        upper = (hashes >> np.uint64(32)).astype(np.uint32)
        drawn = self.a[:, None] * upper[None, :] + self.b[:, None]
        minima: Signature = drawn.min(axis=1)
        return minima

    def bands(self, hashes: Hashes) -> BandKeys:
        """One key per band, shape (num_bands,); equal keys in a band make two sets candidates. Never 0."""
        rows = self.signature(hashes).astype(np.uint64).reshape(self.num_bands, self.rows_per_band)
        keys = np.arange(1, self.num_bands + 1, dtype=np.uint64)
        with np.errstate(over="ignore"):
            for column in range(self.rows_per_band):
                keys = (keys ^ rows[:, column]) * np.uint64(0x9E3779B97F4A7C15)
                keys ^= keys >> np.uint64(31)
        return np.maximum((keys >> np.uint64(32)).astype(np.uint32), np.uint32(1))


def text_key(word_hashes: Hashes) -> int:
    """A key of the whole sequence of words, never 0: equal for equal texts, in 32 bits."""
    mask = 0xFFFFFFFFFFFFFFFF
    state = int(word_hashes.size)
    for word in word_hashes.tolist():
        state = (state * 0x9E3779B97F4A7C15 + word) & mask
    state ^= state >> 29
    state = (state * 0xBF58476D1CE4E5B9) & mask
    return max((state ^ (state >> 32)) >> 32, 1)
