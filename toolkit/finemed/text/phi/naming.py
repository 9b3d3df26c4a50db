"""Reads a name: the run of words after or before a place in the text that may be somebody's.

::

    read_after("seen with Maria del Carmen Ruiz today", 10)   ->  Name of 4 words, "Maria del Carmen Ruiz"
    read_before("Wei Zhang, 61", 9)                           ->  Name of 2 words, "Wei Zhang"

Whether they are a name is for the cue beside them and for `Name.known` to say.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from finemed.text.phi.findings import LETTERS
from finemed.text.phi.words import PARTICLES, is_known, is_other

WORD = re.compile(rf"[{LETTERS}](?>[{LETTERS}]*)(?>(?:['-](?>[{LETTERS}]+))*)")
_NICKNAME = re.compile(rf" ?[\"(]([{LETTERS}]{{2,20}})[\")] ")
_MOST_WORDS = 5
_REACH = 70


class Name(NamedTuple):
    """A run of words that may be a name."""

    start: int
    end: int
    words: tuple[str, ...]

    @property
    def full(self) -> bool:
        """Two words or more besides initials and particles."""
        return sum(len(word) > 1 and word.lower() not in PARTICLES for word in self.words) > 1

    @property
    def known(self) -> bool:
        return any(len(word) > 1 and is_known(word) for word in self.words)


def read_after(text: str, at: int, *, any_case: bool = False, comma: bool = False) -> Name | None:
    """The name that starts at or shortly after a place.

    Args:
        text: folded text.
        at: where the cue ended; blanks and a quote may follow.
        any_case: small letters will do, as in dictation.
        comma: the surname may come first, as in "Smith, John".
    """
    while at < len(text) and text[at] in ' ("':
        at += 1
    spans: list[tuple[int, int]] = []
    while len(spans) < _MOST_WORDS:
        match = WORD.match(text, at)
        if match is None or not _goes_on(match.group(), spans, any_case):
            break
        if (
            len(spans) > 1
            and match.group()[0].islower()
            and not is_known(match.group())
            and match.group() not in PARTICLES
        ):
            break
        spans.append(match.span())
        at = _gap(text, match, spans, comma)
        if at < 0:
            break
    return _name(text, spans)


def read_before(text: str, at: int, *, any_case: bool = False) -> Name | None:
    """The name that ends at or shortly before a place; at the start of a line the surname may come first."""
    first = max(0, at - _REACH)
    spans: list[tuple[int, int]] = []
    for match in reversed(list(WORD.finditer(text, first, at))):
        if match.start() == first and first and text[first - 1].isalpha():
            break
        between = text[match.end() : spans[0][0] if spans else at]
        tight = between.strip(" ") in (("", ".", '"') if spans and len(match.group()) < 3 else ("", '"'))
        ordered = between == ", " and spans and (not match.start() or text[match.start() - 1] == "\n")
        if len(spans) == _MOST_WORDS or len(between) > 4:
            break
        if not (tight or ordered or (not spans and between.strip(" ") in (",", "(", "."))):
            break
        if not _goes_on(match.group(), spans, any_case):
            break
        spans.insert(0, match.span())
    while spans and text[slice(*spans[0])].lower() in PARTICLES and text[spans[0][0]].islower():
        del spans[0]
    return _name(text, spans)


def _goes_on(word: str, spans: list[tuple[int, int]], any_case: bool) -> bool:
    if is_other(word):
        return False
    return any_case or word[0].isupper() or (bool(spans) and word in PARTICLES)


def _gap(text: str, match: re.Match[str], spans: list[tuple[int, int]], comma: bool) -> int:
    """Where the next word of the name may start; -1 where the name ends here."""
    end = match.end()
    if text.startswith("'s ", end - 2):
        return -1
    if text.startswith(".", end) and (len(match.group()) == 1 or match.group() in ("St", "Jr", "Sr")):
        end += 1
    nickname = _NICKNAME.match(text, end)
    if nickname:
        return nickname.end()
    if comma and len(spans) == 1 and text.startswith(",", end):
        end += 1
    blanks = len(text[end : end + 4]) - len(text[end : end + 4].lstrip(" "))
    return end + blanks if 0 < blanks < 3 or text[match.end() : end] == "," else -1


def _name(text: str, spans: list[tuple[int, int]]) -> Name | None:
    while spans and (text[slice(*spans[-1])] in PARTICLES or (len(spans) == 1 and spans[0][1] - spans[0][0] < 2)):
        spans.pop()
    if not spans:
        return None
    start, end = spans[0][0], spans[-1][1]
    if text[end - 2 : end].lower() == "'s":
        end -= 2
    return Name(start, end, tuple(text[slice(*span)] for span in spans))
