"""Tells medical prose from the rest by weighted words: what the filter's medical gate counts.

::

    lexicon("en").weight("hypertension")  ->  1.0     a strong term
    lexicon("en").weight("nephritis")     ->  1.0     by its ending
    lexicon("en").weight("sleep")         ->  0.4     a weak term: common in medicine, and elsewhere
    lexicon("en").weight("parliament")    ->  -0.5    a word of another field

The density of a text is the sum of its words' weights per 100 words, numbers left out. Chinese is not cut into words:
its terms are looked for in the running text, the longest first, and count once per character, as do the words of the
text. The lists lie in ``lexicon/`` and are our own. A text in a language without a lexicon is not judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import polars as pl

from finemed.text.normalise import letters

LANGUAGES = ("en", "es", "zh")
"""Languages that have a lexicon."""
WEIGHTS = {"strong": 1.0, "weak": 0.4, "other": -0.5, "ordinary": 0.0}
AFFIX_LETTERS = 7
"""Letters of the shortest word that an ending or a beginning can make medical."""


@dataclass(frozen=True)
class Lexicon:
    """The words of one language with their weights."""

    language: str
    words: dict[str, float]
    """With their regular plurals, and in Spanish their feminines."""
    suffixes: tuple[str, ...]
    prefixes: tuple[str, ...]

    def weight(self, word: str) -> float:
        """Weight of a lower-case word."""
        known = self.words.get(word)
        if known is not None:
            return known
        long = len(word) >= AFFIX_LETTERS and word.isalpha()
        return WEIGHTS["strong"] if long and (word.startswith(self.prefixes) or word.endswith(self.suffixes)) else 0.0


def _forms(word: str, language: str) -> list[str]:
    """The regular forms of a word; an impossible one ("bacterias") does no harm, for no text has it."""
    forms = [word]
    if language == "es" and word.endswith("o"):
        forms.append(word[:-1] + "a")
    if language == "es" and word.endswith("ón"):
        forms.append(word[:-2] + "ones")
    if language == "en" and word.endswith("y"):
        forms.append(word[:-1] + "ies")
    return forms + [form + ending for form in forms if len(form) > 2 for ending in ("s", "es")]


@lru_cache
def lexicon(language: str) -> Lexicon:
    """The lexicon of one of `LANGUAGES`."""
    sections: dict[str, list[str]] = {}
    section = ""
    path = Path(__file__).parent / "lexicon" / f"medical_{language}.txt"
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif not line.startswith("#"):
            sections.setdefault(section, []).extend(line.split())
    listed = {word: WEIGHTS[name] for name in WEIGHTS for word in sections.get(name, [])}
    inflected = {form: weight for word, weight in listed.items() if language != "zh" for form in _forms(word, language)}
    suffixes = tuple(suffix + plural for suffix in sections.get("suffix", []) for plural in ("", "s"))
    return Lexicon(language, inflected | listed, suffixes, tuple(sections.get("prefix", [])))


def weighted_terms(words: Sequence[str], text: str, language: str) -> list[tuple[str, float]]:
    """The words or terms of a text that have a weight, in order; what `density` adds up."""
    found = lexicon(language)
    if language == "zh":
        return [(term, found.words[term]) for term in chinese_terms(pl.Series([text]))[0]]
    return [(word, weight) for word in words if (weight := found.weight(word))]


def chinese_terms(texts: pl.Series) -> pl.Series:
    """The terms of the Chinese lexicon in each text, as lists, the longest first where they overlap."""
    return texts.str.extract_many(_chinese(), leftmost=True)


@lru_cache
def _chinese() -> list[str]:
    return sorted(lexicon("zh").words, key=lambda term: (-len(term), term))


def density(words: Sequence[str], text: str, language: str) -> float:
    """Weights per 100 words; 0.0 for a language without a lexicon."""
    if language not in LANGUAGES:
        return 0.0
    found = weighted_terms(words, text, language)
    points = sum(weight * (len(term) if language == "zh" else 1) for term, weight in found)
    return 100 * points / max(1, sum(map(bool, map(letters, words))))
