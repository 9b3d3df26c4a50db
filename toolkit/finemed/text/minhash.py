"""MinHash signatures and their LSH bands (Broder 1997; Leskovec et al., Mining of Massive Datasets, section 3.4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from finemed.text.shingle import Hashes

Signature: TypeAlias = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class MinHasher:
    """Turns sets of 64-bit hashes into band keys.

    `num_perm` = `num_bands` * `rows_per_band` permutations of the form (a * h + b) mod 2**64 with odd a, of which the
    upper half is compared. Two sets of Jaccard similarity s share a band with probability 1 - (1 - s**r)**b.
    """

    num_bands: int
    rows_per_band: int
    seed: int = 1
    _a: npt.NDArray[np.uint64] = field(init=False, repr=False, compare=False)
    _b: npt.NDArray[np.uint64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        draw = np.random.Generator(np.random.PCG64(self.seed))
        count = self.num_bands * self.rows_per_band
        object.__setattr__(self, "_a", draw.integers(0, 1 << 64, size=count, dtype=np.uint64) | np.uint64(1))
        object.__setattr__(self, "_b", draw.integers(0, 1 << 64, size=count, dtype=np.uint64))

    def signature(self, hashes: Hashes) -> Signature:
        """The minimum of each permutation, shape (num_bands * rows_per_band,); `hashes` must not be empty.

        The share of equal places of two signatures estimates the sets' Jaccard similarity s with a standard deviation
        of sqrt(s * (1 - s) / num_perm).
        """
        with np.errstate(over="ignore"):
            permuted = (self._a[:, None] * hashes[None, :] + self._b[:, None]) >> np.uint64(32)
        minima: Signature = permuted.min(axis=1).astype(np.uint32)
        return minima

    def bands(self, hashes: Hashes) -> npt.NDArray[np.uint64]:
        """One key per band, shape (num_bands,); equal keys in a band make two sets candidates."""
        return self.keys(self.signature(hashes))

    def keys(self, signature: Signature) -> npt.NDArray[np.uint64]:
        """The bands of a signature."""
        rows = signature.astype(np.uint64).reshape(self.num_bands, self.rows_per_band)
        keys = np.arange(self.num_bands, dtype=np.uint64)
        with np.errstate(over="ignore"):
            for column in range(self.rows_per_band):
                keys = (keys ^ rows[:, column]) * np.uint64(0x9E3779B97F4A7C15)
                keys ^= keys >> np.uint64(31)
        return keys
