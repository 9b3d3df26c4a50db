"""Files a text under a department by the cue terms of the taxonomy: no model, no network, the same answer every time.

::

    matcher = CueMatcher(load_taxonomy())
    matcher.classify("how are kidney stones treated".split())
    # Placement(department="Surgery", subdepartment="Urology", confidence=0.9111)

Cues are looked up as `finemed.text.terms` says. The constants below were chosen on
``benchmarks/labels/departments_dev.csv``; ``docs/taxonomy.md`` has the quality on passages that nothing was tuned on.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log2
from typing import NamedTuple

from finemed.taxonomy import NONE_LABEL, Taxonomy
from finemed.text.terms import TermFinder

STRENGTH = (0.0, 1.0, 1.5, 4.0)
"""Points of a cue by its weight: what is nearly decisive outweighs a handful of what is only typical."""

REPEAT = 0.75
"""Share of its points that a cue gains each time its count doubles."""

LEAD_WORDS = 30
"""Length of the opening, where a text says what it is about."""

LEAD_FACTOR = 2.0
"""What a cue in the opening gains, as a multiple of its points."""

TITLE_FACTOR = 4.0
"""How much a cue in the title counts, as a multiple of its points."""

SATURATION = 8.0
"""Points from which a node's evidence grows ever more slowly, so that a long list of symptoms outweighs no topic."""

OTHERS_SHARE = 0.1
"""Share of the evidence of its other nodes that a department adds to that of its strongest one."""

GATHER_SHARE = 0.3
"""Share of the evidence beyond the strongest other department that a department marked `gathers` adds."""

MIN_EVIDENCE = 4.0
"""Evidence below which the answer is "none": one typical cue, or two hints. Longer texts need more."""

LENGTH_POINTS = 1.5
"""What more of it a text needs each time its length doubles, for in a long text some cue turns up by chance."""

LENGTH_UNIT = 50
"""Words from which that begins."""

OWN_SHARE = 0.75
"""A sub-department with less than this share of its department's own evidence is "none": malaria has no organ."""

CONFIDENCE = (0.0, 0.22)
"""Intercept and slope of the logistic curve from the lead over the next department to the confidence."""


class Placement(NamedTuple):
    """Labels of the department and sub-department (either may be "none"), and the confidence in 0..1."""

    department: str
    subdepartment: str
    confidence: float


class CueMatcher:
    """Scores texts against a tree. Building it takes about 0.1 s."""

    def __init__(self, taxonomy: Taxonomy, *, minimum: float = MIN_EVIDENCE) -> None:
        self._taxonomy = taxonomy
        self._minimum = minimum
        self._ids = [node.id for node in taxonomy.nodes()]
        self._finder = TermFinder({*taxonomy.ignored, *(term for node in taxonomy.nodes() for term in node.cues)})
        # term -> points by node; an ignored term has none
        self._points: dict[str, dict[int, float]] = {self._finder.name(term): {} for term in taxonomy.ignored}
        for position, node in enumerate(taxonomy.nodes()):
            for term, weight in node.cues.items():
                by_node = self._points.setdefault(self._finder.name(term), {})
                by_node[position] = max(STRENGTH[weight], by_node.get(position, 0.0))

    def points(self, words: Sequence[str], title_words: Sequence[str] = ()) -> dict[str, float]:
        """Points per node id, for the nodes that have any, in tree order.

        Args:
            words: lower-case tokens of the text.
            title_words: lower-case tokens of the title.
        """
        counts: dict[str, int] = {}
        opening: set[str] = set()
        for position, term in self._finder.find(words):
            counts[term] = counts.get(term, 0) + 1
            if position < LEAD_WORDS:
                opening.add(term)
        factors = {
            term: 1.0 + REPEAT * log2(count) + (LEAD_FACTOR if term in opening else 0.0)
            for term, count in counts.items()
        }
        for _, term in self._finder.find(title_words):
            factors[term] = factors.get(term, 0.0) + TITLE_FACTOR
        points: dict[int, float] = {}
        for term, factor in factors.items():
            for node, strength in self._points[term].items():
                points[node] = points.get(node, 0.0) + strength * factor
        return {self._ids[node]: points[node] for node in sorted(points)}

    def classify(self, words: Sequence[str], title_words: Sequence[str] = ()) -> Placement:
        """The department with the most evidence, and its best sub-department.

        A department has the evidence of its strongest node, be it itself or a sub-department, and a share of the
        others'. Ties go to the node that comes first in the tree. The confidence speaks of the department alone.
        """
        evidence = {node: _saturated(points) for node, points in self.points(words, title_words).items()}
        totals = self._totals(evidence)
        first = max(totals)
        if first < self._minimum + LENGTH_POINTS * log2(1.0 + len(words) / LENGTH_UNIT):
            return Placement(NONE_LABEL, NONE_LABEL, 0.0)
        winner = totals.index(first)
        second = max((total for position, total in enumerate(totals) if position != winner), default=0.0)
        department = self._taxonomy.departments[winner]
        best, label = max(
            ((evidence.get(child.id, 0.0), child.label) for child in department.children),
            key=lambda pair: pair[0],
            default=(0.0, NONE_LABEL),
        )
        if best < max(self._minimum, OWN_SHARE * evidence.get(department.id, 0.0)):
            label = NONE_LABEL
        return Placement(department.label, label, _confidence(first - second))

    def _totals(self, evidence: dict[str, float]) -> list[float]:
        """Evidence per department, in tree order."""
        totals = []
        for department in self._taxonomy.departments:
            parts = [evidence.get(node.id, 0.0) for node in (department, *department.children)]
            strongest = max(parts)
            totals.append(strongest + OTHERS_SHARE * (sum(parts) - strongest))
        gathered = list(totals)
        for position, department in enumerate(self._taxonomy.departments):
            if department.gathers and len(totals) > 1:
                others = totals[:position] + totals[position + 1 :]
                gathered[position] += min(totals[position], GATHER_SHARE * (sum(others) - max(others)))
        return gathered


def _saturated(points: float) -> float:
    return SATURATION * log2(1.0 + points / SATURATION)


def _confidence(lead: float) -> float:
    """How often, on the development passages, the first department was right where it led by this much evidence."""
    intercept, slope = CONFIDENCE
    return round(1.0 / (1.0 + exp(-intercept - slope * lead)), 4)
