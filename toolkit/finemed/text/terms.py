"""Finds the terms of a vocabulary in a text: whole words, their regular plurals, and the stems of word families.

::

    terms = TermFinder({"kidney stone", "stone", "nephr*", "*ectomy"})
    list(terms.find("two kidney stones and a nephrectomy".split()))
    # [(1, "kidney stone"), (5, "*ectomy")]

A term is one to three words. English and Latin plurals count as the singular. Where terms overlap the longest one
counts and uses its words up. A stem (`nephr*`, `*ectomy`) stands for the words that begin or end with it, unless a term
names such a word itself; of several stems the longest counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

MAX_REMEMBERED = 200_000
"""Words of the texts whose fold is kept; a corpus has no end of numbers and names."""

_IRREGULAR = {"child": "children", "foot": "feet", "tooth": "teeth", "woman": "women", "man": "men", "testis": "testes"}


class TermFinder:
    """A vocabulary, ready to be looked up. What it remembers of the texts makes it faster and changes no answer."""

    def __init__(self, terms: Iterable[str]) -> None:
        terms = sorted(terms)
        stems = {term for term in terms if "*" in term}
        phrases = [term for term in terms if term not in stems]
        singular = singulars({word for phrase in phrases for word in phrase.split()})
        self._fold = _Fold(singular, stems)
        # folded words -> term; "kidney stones" is looked up as ("kidney", "stone")
        self._terms: dict[tuple[str, ...], str] = {(stem,): stem for stem in stems}
        self._names = {stem: stem for stem in stems}
        for phrase in phrases:
            folded = tuple(singular[word] for word in phrase.split())
            self._names[phrase] = self._terms.setdefault(folded, phrase)
        for word in sorted(set(singular.values())):  # words that only longer terms name still belong to their family
            family = self._fold.family(word)
            if family and (word,) not in self._terms:
                self._terms[word,] = family
        # first word -> lengths of the terms that it starts, the longest first
        self._lengths: dict[str, list[int]] = {}
        for words in sorted(self._terms, key=len, reverse=True):
            lengths = self._lengths.setdefault(words[0], [])
            if len(words) not in lengths:
                lengths.append(len(words))

    def name(self, term: str) -> str:
        """The term that `find` reports for this one: where two differ by a plural only, the first of them."""
        return self._names[term]

    def find(self, words: Sequence[str]) -> Iterator[tuple[int, str]]:
        """Position and term, in order of appearance.

        Args:
            words: lower-case tokens; "crohn's", "crohn’s" and "x-linked" are taken apart here.
        """
        text = f"{' '.join(words)} ".replace("-", " ").replace("’", "'").replace("'s ", " ").replace(" s ", " ")
        fold, lengths, terms = self._fold, self._lengths, self._terms
        folded = [fold[word] for word in text.split()]
        free_from = 0
        for start in [position for position, word in enumerate(folded) if word in lengths]:
            if start < free_from:
                continue
            for length in lengths[folded[start]]:
                term = terms.get(tuple(folded[start : start + length]))
                if term is not None:
                    yield start, term
                    free_from = start + length
                    break


class _Fold(dict[str, str]):
    """Word -> the form that terms are stored under: its singular, its stem, or "" for a word of no term."""

    def __init__(self, singular: dict[str, str], stems: set[str]) -> None:
        super().__init__(singular)
        self._begin = {stem[:-1]: stem for stem in stems if stem.endswith("*")}
        self._end = {stem[1:]: stem for stem in stems if stem.startswith("*")}
        self._lengths = sorted({len(part) for part in (*self._begin, *self._end)}, reverse=True)

    def family(self, word: str) -> str:
        """The longest stem that the word begins or ends with, a plural -s aside; "" if there is none."""
        for length in self._lengths:
            if length < len(word):
                begin, end = self._begin.get(word[:length]), self._end.get(word[-length:])
                if end is None and word[-1] == "s":
                    end = self._end.get(word[-length - 1 : -1]) if length + 1 < len(word) else None
                if begin or end:
                    return begin or end or ""
        return ""

    def __missing__(self, word: str) -> str:
        found = self.family(word)
        if len(self) < MAX_REMEMBERED:
            self[word] = found
        return found


def singulars(vocabulary: set[str]) -> dict[str, str]:
    """Maps every word of the vocabulary, and its plural forms, to one form.

    Where one word is the plural of another ("restless legs", "leg") both become the singular.
    """
    singular = {word: word for word in vocabulary}
    for word in sorted(vocabulary, key=lambda word: (-len(word), word)):
        for plural in _plurals(word):
            singular[plural] = word
    return singular


def _plurals(word: str) -> Iterator[str]:
    """Plausible plural forms; an impossible one ("lungae") does no harm, for no text has it."""
    if len(word) < 3:
        return
    if word in _IRREGULAR:
        yield _IRREGULAR[word]
    yield word + "s"
    if word.endswith(("s", "x", "z", "ch", "sh", "o")):
        yield word + "es"
    if word.endswith("y"):
        yield word[:-1] + "ies"
    for ending, plural in (("is", "es"), ("us", "i"), ("um", "a"), ("a", "ae"), ("ix", "ices"), ("oma", "omata")):
        if word.endswith(ending):
            yield word[: -len(ending)] + plural
