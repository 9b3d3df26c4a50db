r"""What the detector's rules are made of: cues, the candidates they give, and the findings that come of these.

::

    Cue(r"\b(?i:fax) [0-9]", read)   # `read` looks at the text around each match and yields candidates

A cue is one regular expression in the part of the syntax that Python and Rust read alike: no look-around, no
backreference, no class that depends on a Unicode version. So the same expression finds the place to look at here and,
through polars, tells for a whole shard which passages have such a place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

LETTERS = "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff"
"""Latin letters, as the inside of a character class."""
CAPITALS = "A-Z\u00c0-\u00d6\u00d8-\u00de\u0100-\u024f\u1e00-\u1eff"
"""Those that may be capitals; beyond Latin-1 small ones are among them."""


class Finding(NamedTuple):
    """One finding: its kind, place in the text, and confidence in 0..1."""

    kind: str
    start: int
    end: int
    confidence: float


class Candidate(NamedTuple):
    """What may become a finding. A confidence of 0 means that it does not."""

    kind: str
    start: int
    end: int
    alone: float
    """Confidence by its own context."""
    in_note: float
    """Confidence where something else says that the passage is about an identified patient."""


Read: TypeAlias = Callable[[str, re.Match[str]], Iterable[Candidate]]


@dataclass(frozen=True)
class Cue:
    """An expression and what reads the candidates around its matches."""

    pattern: str
    read: Read
    compiled: re.Pattern[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "compiled", re.compile(self.pattern, re.ASCII))

    def candidates(self, text: str) -> Iterable[Candidate]:
        for match in self.compiled.finditer(text):
            yield from self.read(text, match)

    def in_rust(self) -> str:
        """The same expression for polars, with ASCII word boundaries and case folding."""
        return self.pattern.replace(r"\b", r"(?-u:\b)").replace("(?i:", "(?i-u:")


def window(text: str, start: int, end: int, *, before: int = 60, after: int = 60) -> str:
    """The surroundings of a span, the span itself left out."""
    return f"{text[max(0, start - before) : start]} | {text[end : end + after]}"


def settle(candidates: Iterable[Candidate], *, in_note: bool) -> list[Finding]:
    """Findings in order of the text; of those that overlap the surest stays, then the longest."""
    findings = (
        Finding(one.kind, one.start, one.end, max(one.alone, one.in_note) if in_note else one.alone)
        for one in candidates
    )
    kept: list[Finding] = []
    taken: set[int] = set()
    for one in sorted(
        {finding for finding in findings if finding.confidence > 0},
        key=lambda finding: (-finding.confidence, finding.start - finding.end, finding.start, finding.kind),
    ):
        if taken.isdisjoint(range(one.start, one.end)):
            taken.update(range(one.start, one.end))
            kept.append(one)
    return sorted(kept, key=lambda finding: finding.start)
