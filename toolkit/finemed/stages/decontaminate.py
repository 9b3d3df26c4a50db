"""Decontaminate: removes text that overlaps with benchmark items.

*Reads* and *writes* the same rows; runs on questions before they are answered and on answers before they are judged.
*Drops* `contaminated` (detail: benchmark/item, which of its texts, containment, longest run of shared words).
*Reference*: FineMed (arXiv 2501.09213) has no such step; n-gram containment as in GPT-3 (arXiv 2005.14165, appendix C).

An item is its stem; option texts as long as `min_run` are texts of their own, so their order does not matter, and
shorter ones ("CT angiography of the aorta") flag nothing alone. Word n-grams that occur in many stems ("which of the
following is the most likely") count for nothing.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from finemed.config import DecontaminateConfig, identity
from finemed.errors import InputError
from finemed.records import Row
from finemed.stages.base import Contract, Outcome, split_rows
from finemed.store.atomic import file_hash
from finemed.text.normalise import words
from finemed.text.shingle import Hashes, ngram_hashes, shingles

COMMON_STEMS = 8
MIN_TEXT_WORDS = 5


@dataclass(frozen=True)
class BenchmarkText:
    """One stem or option with its informative n-grams."""

    item: str
    part: str
    grams: Hashes
    width: int


@dataclass
class BenchmarkIndex:
    """All texts of all benchmarks, by n-gram."""

    config: DecontaminateConfig
    hashes: dict[str, str] = field(default_factory=dict)
    items: dict[str, int] = field(default_factory=dict)
    texts: list[BenchmarkText] = field(default_factory=list)
    unmatchable: int = 0
    """Items without an informative n-gram, which can never be found."""
    _by_gram: dict[int, list[int]] = field(default_factory=dict)

    @classmethod
    def load(cls, paths: Sequence[Path], config: DecontaminateConfig) -> BenchmarkIndex:
        """Reads JSONL files of `{id, benchmark, question, options}`.

        Raises:
            InputError: a file is missing or a line is not such an item; a benchmark is never skipped in part.
        """
        index = cls(config)
        parts: list[tuple[str, str, list[str]]] = []
        for path in paths:
            for name, item, part, tokens in _read_items(path):
                if part == "stem":
                    index.items[name] = index.items.get(name, 0) + 1
                parts.append((f"{name}/{item}", part, tokens))
            key = path.name if path.name not in index.hashes else f"{path.name}#{len(index.hashes) + 1}"
            index.hashes[key] = file_hash(path)
        index._fill(parts)
        return index

    def _fill(self, parts: list[tuple[str, str, list[str]]]) -> None:
        size = self.config.ngram_size
        frequency: Counter[int] = Counter()
        for stem in {tuple(shingles(tokens, size).tolist()) for _, part, tokens in parts if part == "stem"}:
            frequency.update(stem)
        by_gram: defaultdict[int, list[int]] = defaultdict(list)
        for item, part, tokens in parts:
            if len(tokens) < (MIN_TEXT_WORDS if part == "stem" else self.config.min_run):
                self.unmatchable += part == "stem"
                continue
            grams = [gram for gram in shingles(tokens, size).tolist() if frequency[gram] < COMMON_STEMS]
            if not grams:
                self.unmatchable += part == "stem"
                continue
            number = len(self.texts)
            self.texts.append(BenchmarkText(item, part, np.array(grams, dtype=np.uint64), min(size, len(tokens))))
            for gram in grams:
                by_gram[gram].append(number)
        self._by_gram = dict(by_gram)

    def find(self, text: str) -> tuple[str, str] | None:
        """The benchmark text that overlaps most with `text`, as (item, description), or None."""
        tokens = words(text)
        best: tuple[float, str, str] | None = None
        for width in sorted({*range(MIN_TEXT_WORDS, self.config.ngram_size), self.config.ngram_size}):
            if len(tokens) < width:
                continue
            grams = ngram_hashes(tokens, width)
            for number, positions in self._hits(grams).items():
                entry = self.texts[number]
                if entry.width != width:
                    continue
                containment = len({int(grams[at]) for at in positions}) / entry.grams.size
                run = _longest_run(positions) + width - 1
                if containment >= self.config.min_containment or run >= self.config.min_run:
                    fact = f"{entry.part}, containment {containment:.2f}, {run} words in a row"
                    if best is None or (containment, entry.item) > (best[0], best[1]):
                        best = (containment, entry.item, fact)
        return None if best is None else best[1:]

    def _hits(self, grams: Hashes) -> dict[int, list[int]]:
        hits: defaultdict[int, list[int]] = defaultdict(list)
        for position, gram in enumerate(grams.tolist()):
            for number in self._by_gram.get(gram, ()):
                hits[number].append(position)
        return hits


def _longest_run(positions: list[int]) -> int:
    longest = current = 1
    for before, after in pairwise(positions):
        current = current + 1 if after == before + 1 else 1
        longest = max(longest, current)
    return longest


def _read_items(path: Path) -> list[tuple[str, str, str, list[str]]]:
    try:
        lines = path.read_text("utf-8").split("\n")  # not splitlines: text may hold other line separators
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path.name}: cannot be read as a benchmark ({error}); check `decontaminate.benchmarks`"
        ) from None
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            item = json.loads(line)
            question, options = item["question"], item.get("options") or {}
            if not isinstance(question, str) or isinstance(options, str):
                raise TypeError("`question` is a text, `options` are several")
            values = options.values() if isinstance(options, dict) else options
            texts = [str(value) for value in values]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{path.name}:{number}: not a benchmark item with `question` and `options` ({error!r}); repair the line"
            ) from None
        name, key = str(item.get("benchmark") or path.stem), str(item.get("id") or number)
        found.append((name, key, "stem", words(question)))
        found.extend((name, key, "option", words(text)) for text in texts)
    return found


class DecontaminateStage:
    """Map stage over rows with an id and a text column."""

    def __init__(
        self, name: str, config: DecontaminateConfig, index: BenchmarkIndex, row: type[Row], key: str, text: str
    ) -> None:
        self.contract = Contract.one_to_one(name, 2, row, row, key)
        self._config = config
        self._index = index
        self._text = text

    def settings(self) -> dict[str, Any]:
        return {**identity(self._config), "benchmarks": self._index.hashes}

    def apply(self, rows: pl.DataFrame) -> Outcome:
        reasons: dict[str, tuple[str, str]] = {}
        if self._index.texts:
            for row_id, text in rows.select(self.contract.key_in, self._text).iter_rows():
                hit = self._index.find(text)
                if hit is not None:
                    reasons[row_id] = ("contaminated", f"{hit[0]}: {hit[1]}")
        return split_rows(rows, self.contract.key_in, reasons)
