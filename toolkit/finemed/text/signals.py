"""What the filter looks at, for a whole shard of texts at once.

::

    measure(pl.Series(["Croup is a viral infection of the larynx."]), pl.Series([None]))
    # one row: words 8, letter_share 0.97, ..., language "en", medical_density 37.5, medical_terms 3

The functions of `text.quality`, `text.language` and `text.medical` are the definition; here polars runs the patterns
and NumPy counts words that were looked up once. Both let other threads work meanwhile, so each takes a part of a shard.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from finemed.text import quality
from finemed.text.language import (
    LATIN,
    LATIN_SCRIPT,
    MIN_EVIDENCE,
    MIN_LEAD,
    MIN_SHARE,
    SCRIPTS,
    decide,
    same_code,
)
from finemed.text.medical import chinese_terms, lexicon
from finemed.text.normalise import RUST_WORD, folded
from finemed.text.vocabulary import Ids, Numbers, Vocabulary

Flags = npt.NDArray[np.bool_]
_PRIME = np.uint64(0x9E3779B97F4A7C15)
_ROW_BITS = np.uint64(44)
THREADS = 2
ROUNDING = 1e-6
"""More than the order of a sum can change it by."""


def _rust(pattern: str) -> str:
    """A pattern of `text.quality` for polars, whose word boundaries are Unicode unless told otherwise."""
    return pattern.replace(r"\b", r"(?-u:\b)")


_PATTERNS = (
    pl.col("text").str.len_chars().alias("characters"),
    pl.col("text").str.count_matches(" ", literal=True).alias("blanks"),
    pl.col("text").str.count_matches("\n", literal=True).alias("line_ends"),
    pl.col("text").str.count_matches(quality.SYMBOL).alias("symbols"),
    pl.col("text").str.count_matches(quality.SENTENCE_END).alias("sentences"),
    pl.col("text").str.count_matches(_rust(quality.REFERENCE)).alias("references"),
    pl.col("text").str.count_matches(quality.MOJIBAKE).alias("mojibake"),
    pl.col("text").str.tail(quality.TEASER_REACH).str.contains(_rust(quality.TEASER)).alias("truncated"),
    pl.col("lower").str.count_matches(_rust(quality.SPAM)).alias("spam"),
    pl.col("text").str.count_matches(quality.SHOUT).alias("shouts"),
    pl.col("lower").str.contains(_rust(quality.BOILERPLATE)).alias("boilerplate"),
)


def measure(texts: pl.Series, stated: pl.Series, vocabulary: Vocabulary | None = None) -> pl.DataFrame:
    """All signals of all texts.

    Args:
        texts: the passages.
        stated: their languages as the source gives them; null where it gives none.
        vocabulary: what earlier shards learnt; None starts anew.
    """
    known = vocabulary or Vocabulary()
    known.trim()
    size = max(1, -(-len(texts) // THREADS))

    def part(start: int) -> pl.DataFrame:
        return _measure(texts[start : start + size], stated[start : start + size], known)

    with ThreadPoolExecutor(THREADS) as cores:
        return pl.concat(cores.map(part, range(0, len(texts) or 1, size)))


def _measure(texts: pl.Series, stated: pl.Series, vocabulary: Vocabulary) -> pl.DataFrame:
    found = _patterns(texts)
    words = Words(texts, vocabulary)
    languages = words.languages(stated)
    density, terms = words.medical(texts, languages)
    count = np.maximum(words.count, 1)
    solid = (found["characters"] - found["blanks"] - found["line_ends"]).to_numpy()
    return pl.DataFrame(
        {
            "words": words.count,
            "mojibake": found["mojibake"],
            "letter_share": words.letters() / np.maximum(solid, 1),
            "symbol_ratio": found["symbols"].to_numpy() / count,
            "number_share": words.numbers / count,
            "words_per_sentence": words.count / np.maximum(found["sentences"].to_numpy(), 1),
            "repeated_share": words.repeated_share(quality.NGRAM),
            "repeated_line_share": _repeated_line_share(texts),
            "spam_phrases": found["spam"] + found["shouts"],
            "boilerplate_share": _boilerplate_share(texts, found["boilerplate"]),
            "reference_density": 100 * found["references"].to_numpy() / count,
            "truncated": found["truncated"],
            "language": languages,
            "medical_density": density,
            "medical_terms": terms,
        }
    )


class Words:
    """The words of a shard as one long array of vocabulary rows."""

    def __init__(self, texts: pl.Series, vocabulary: Vocabulary) -> None:
        tokens = folded(texts).str.to_lowercase().str.extract_all(RUST_WORD)
        self.count: Ids = tokens.list.len().to_numpy().astype(np.int64)
        encoded = tokens.to_arrow().flatten().cast(pa.large_string()).dictionary_encode()
        rows = vocabulary.rows(encoded.dictionary.to_pylist())
        self._codes: Ids = rows[encoded.indices.to_numpy()]
        self._vocabulary = vocabulary
        self._text_of: Ids = np.repeat(np.arange(len(texts)), self.count)
        self._starts: Ids = np.cumsum(self.count) - self.count
        self.numbers: Ids = self._tally(self.fact("letters") == 0).astype(np.int64)

    def fact(self, name: str) -> Numbers:
        """One of `FACTS` for every word of the shard."""
        return self._vocabulary.fact(name)[self._codes]

    def _tally(self, weights: npt.NDArray[np.generic]) -> Numbers:
        """Sums per text."""
        padded = np.append(weights.astype(np.float64, copy=False), 0.0)  # for a text that begins behind the last word
        sums: Numbers = np.add.reduceat(padded, self._starts) if self.count.size else np.empty(0)
        return np.where(self.count == 0, 0.0, sums)

    def letters(self) -> Numbers:
        """Letters per text."""
        return self._tally(self.fact("letters"))

    def repeated_share(self, size: int) -> Numbers:
        """Share of the `size`-word sequences that occurred before in the same text."""
        grams = np.maximum(self.count - size + 1, 0)
        places = max(0, self._codes.size - size + 1)
        codes = self._codes.astype(np.uint64) + np.uint64(1)
        mixed = np.zeros(places, dtype=np.uint64)
        for offset in range(size):
            mixed = mixed * _PRIME + codes[offset : offset + places]
        mixed = (mixed ^ (mixed >> np.uint64(29))) * _PRIME
        whole = self._text_of[:places] == self._text_of[self._codes.size - places :]
        distinct = _distinct(self._text_of[:places][whole], mixed[whole] >> (np.uint64(64) - _ROW_BITS), grams.size)
        return np.where(grams < 2, 0.0, 1.0 - distinct / np.maximum(grams, 1))

    def languages(self, stated: pl.Series) -> list[str]:
        """The stated language where there is one, else the one identified."""
        given = [same_code(value) if value else None for value in stated.to_list()]
        if all(given):
            return [code for code in given if code]
        found = np.full(self.count.size, "en", dtype=object)
        unclear = ~self._surely_english()
        if unclear.any():
            found[unclear] = self._identified(unclear)
        return [code or other for code, other in zip(given, found.tolist(), strict=True)]

    def _surely_english(self) -> Flags:
        """Texts that `decide` would call English whatever language the rest of their evidence is for."""
        known = self._vocabulary.evidence()
        english = self._tally(known.first_column[self._codes])
        others = self._tally(known.totals[self._codes]) - english
        kind = self.fact("script")
        foreign = self._tally((kind >= 0) & (kind < LATIN_SCRIPT))
        enough = english >= np.maximum(MIN_EVIDENCE, MIN_SHARE * self.count) + ROUNDING
        ahead = english - others >= MIN_LEAD * english + ROUNDING
        surely: Flags = enough & ahead & (foreign == 0)
        return surely

    def _identified(self, texts: Flags) -> list[str]:
        rows = np.cumsum(texts) - 1
        here = texts[self._text_of]
        codes, owner = self._codes[here], rows[self._text_of[here]]
        kind = self.fact("script")[here].astype(np.int64)
        real = kind >= 0
        shape = (int(texts.sum()), len(SCRIPTS))
        scripts = np.bincount(owner[real] * shape[1] + kind[real], minlength=shape[0] * shape[1]).reshape(shape)
        points = self._vocabulary.evidence().sums(codes, owner, (shape[0], len(LATIN)))
        return decide(scripts.astype(np.float64), points)

    def medical(self, texts: pl.Series, languages: Sequence[str]) -> tuple[Numbers, Ids]:
        """Density and number of different terms; zero for a language without a lexicon."""
        points, terms = np.zeros(self.count.size), np.zeros(self.count.size, dtype=np.int64)
        codes = np.array(languages, dtype=object)
        for language in ("en", "es"):
            here = codes == language
            if not here.any():
                continue
            weights = self.fact(language)
            points[here] = self._tally(weights)[here]
            positive = weights > 0
            distinct = _distinct(self._text_of[positive], self._codes[positive].astype(np.uint64), self.count.size)
            terms[here] = distinct[here]
        chinese = np.flatnonzero(codes == "zh")
        weight_of = lexicon("zh").words
        for row, found in zip(chinese.tolist(), chinese_terms(texts.gather(chinese)).to_list(), strict=True):
            points[row] = sum(weight_of[term] * len(term) for term in found)
            terms[row] = len({term for term in found if weight_of[term] > 0})
        return 100 * points / np.maximum(self.count - self.numbers, 1), terms


def _patterns(texts: pl.Series) -> pl.DataFrame:
    shard = pl.DataFrame({"text": texts}).lazy().with_columns(lower=pl.col("text").str.to_lowercase())
    return shard.select(_PATTERNS).collect()


def _distinct(owner: Ids, values: npt.NDArray[np.uint64], texts: int) -> Ids:
    """How many different values (of less than 44 bits) each text has."""
    keys = np.sort((owner.astype(np.uint64) << _ROW_BITS) | values)
    first = np.ones(keys.size, dtype=bool)
    first[1:] = keys[1:] != keys[:-1]
    return np.bincount((keys[first] >> _ROW_BITS).astype(np.int64), minlength=texts)


def _repeated_line_share(texts: pl.Series) -> list[float]:
    several = texts.str.contains("\n", literal=True)
    return [quality.repeated_line_share(text) if some else 0.0 for text, some in zip(texts, several, strict=True)]


def _boilerplate_share(texts: pl.Series, some: pl.Series) -> list[float]:
    """Sentences are looked for only where there is a phrase at all."""
    return [quality.boilerplate_share(text) if hit else 0.0 for text, hit in zip(texts, some, strict=True)]
