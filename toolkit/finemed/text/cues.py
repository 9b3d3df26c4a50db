"""Files a text under a department by the cue terms of the taxonomy: no model, no network, the same answer every time.

::

    matcher = CueMatcher(load_taxonomy())
    matcher.classify("how are kidney stones treated".split())
    # Placement(department="Surgery", subdepartment="Urology", confidence=0.4674)

A cue is one to three whole words; regular English and Latin plurals count as the singular. Where cues overlap the
longest one counts and uses its words up, so "gestational diabetes" is evidence for obstetrics, none for endocrinology.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from math import log2
from typing import NamedTuple

from finemed.taxonomy import NONE_LABEL, Taxonomy

TITLE_FACTOR = 5.0
"""How much more a cue counts in the title than in the text."""

RUNNER_UP_SHARE = 0.25
"""Share of the evidence of the other sub-departments that a department may add to its best one."""

MIN_EVIDENCE = 2.0
"""Evidence below which the answer is "none": one typical cue, or two hints."""

WORDS_PER_POINT = 150
"""A long text must show one more point of evidence per this many words, for in it some cue turns up by chance."""

OWN_SHARE = 0.5
"""A sub-department with less than this share of its department's own evidence is "none": malaria has no organ."""

_SATURATION = 6.0
_CERTAIN = 4.0
_IRREGULAR = {"child": "children", "foot": "feet", "tooth": "teeth", "woman": "women", "man": "men", "testis": "testes"}


class Placement(NamedTuple):
    """Labels of the department and sub-department (either may be "none"), and the confidence in 0..1."""

    department: str
    subdepartment: str
    confidence: float


class CueMatcher:
    """Scores texts against a tree. Building it takes some milliseconds; it holds no state between texts."""

    def __init__(self, taxonomy: Taxonomy, *, minimum: float = MIN_EVIDENCE) -> None:
        self._taxonomy = taxonomy
        self._minimum = minimum
        nodes = list(taxonomy.nodes())
        self._ids = [node.id for node in nodes]
        self._singular = _singulars({word for node in nodes for term in node.cues for word in term.split()})
        # term -> its weights by node; "kidney failure" is stored as ("kidney", "failure")
        self._cues: dict[tuple[str, ...], dict[int, int]] = {}
        for position, node in enumerate(nodes):
            for term, weight in node.cues.items():
                words = tuple(self._singular[word] for word in term.split())
                by_node = self._cues.setdefault(words, {})
                by_node[position] = max(weight, by_node.get(position, 0))
        # first word -> length of the longest cue that it starts
        self._reach: dict[str, int] = {}
        for words in self._cues:
            self._reach[words[0]] = max(len(words), self._reach.get(words[0], 0))

    def score(self, words: Sequence[str]) -> dict[str, float]:
        """Evidence per node id, for the nodes that have any, in tree order.

        A cue of weight w that occurs n times adds w * (1 + log2 n).

        Args:
            words: lower-case tokens; "crohn's", "crohn’s" and "x-linked" are taken apart here.
        """
        points: dict[int, float] = {}
        for cue, count in Counter(self._matches(words)).items():
            strength = 1.0 + log2(count)
            for position, weight in self._cues[cue].items():
                points[position] = points.get(position, 0.0) + weight * strength
        return {self._ids[position]: points[position] for position in sorted(points)}

    def classify(self, words: Sequence[str], title_words: Sequence[str] = ()) -> Placement:
        """The department with the most evidence, and its best sub-department.

        A department has its own cues, its best sub-department's, and a share of the others'. Ties go to the node that
        comes first in the tree. The confidence speaks of the department alone: its lead over the next one, divided by
        its own evidence and a constant, so that little evidence makes it low as a close second does.
        """
        evidence = {node_id: _saturated(points) for node_id, points in self.score(words).items()}
        for node_id, points in self.score(title_words).items():
            evidence[node_id] = evidence.get(node_id, 0.0) + TITLE_FACTOR * points
        totals = []
        for department in self._taxonomy.departments:
            below = [evidence.get(child.id, 0.0) for child in department.children]
            best = max(below, default=0.0)
            totals.append(evidence.get(department.id, 0.0) + best + RUNNER_UP_SHARE * (sum(below) - best))
        first = max(totals)
        if first < self._minimum + len(words) / WORDS_PER_POINT:
            return Placement(NONE_LABEL, NONE_LABEL, 0.0)
        winner = totals.index(first)
        second = max((total for position, total in enumerate(totals) if position != winner), default=0.0)
        department = self._taxonomy.departments[winner]
        points, label = max(
            ((evidence.get(child.id, 0.0), child.label) for child in department.children),
            key=lambda pair: pair[0],
            default=(0.0, NONE_LABEL),
        )
        if points < max(self._minimum, evidence.get(department.id, 0.0) * OWN_SHARE):
            label = NONE_LABEL
        return Placement(department.label, label, round((first - second) / (first + _CERTAIN), 4))

    def _matches(self, words: Sequence[str]) -> Iterator[tuple[str, ...]]:
        """The cues in order of appearance, the longest first where they overlap."""
        text = f"{' '.join(words)} ".replace("-", " ").replace("’", "'").replace("'s ", " ").replace(" s ", " ")
        singular = self._singular
        folded = [singular.get(word, "") for word in text.split()]
        skip_to = 0
        for start, word in enumerate(folded):
            if not word or start < skip_to or word not in self._reach:
                continue
            for length in range(self._reach[word], 0, -1):
                cue = tuple(folded[start : start + length])
                if cue in self._cues:
                    yield cue
                    skip_to = start + length
                    break


def _saturated(points: float) -> float:
    """Grows ever more slowly, so that a long list of symptoms does not outweigh the name in the title."""
    return _SATURATION * log2(1.0 + points / _SATURATION)


def _singulars(vocabulary: set[str]) -> dict[str, str]:
    """Maps every word of the cues, and its plural forms, to one form.

    Where one cue word is the plural of another ("restless legs", "leg") both become the singular.
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
