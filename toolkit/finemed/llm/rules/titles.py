"""The parts of a title that may name a subject.

::

    names_in("What I need to know about Kidney Stones")   ->  (("Kidney Stones", ("kidney", "stones")),)
    names_in("Anti-plasmin deficiency, congenital")       ->  (("congenital Anti-plasmin deficiency", (...)),)
    names_in("Learning Outcomes")                         ->  ()
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from finemed.llm.rules.lexicon import (
    ADJECTIVE,
    DEIXIS,
    FUNCTION_WORDS,
    GENERIC,
    NOUNS_TOO,
    PARTICIPLE,
    VERB,
    VERBS,
    part,
)
from finemed.llm.rules.wordlists import word_set
from finemed.text.normalise import words

MAX_WORDS = 12
MAX_CHARACTERS = 300
"""A longer title is none."""
CAPITALISED = re.compile(r"[A-Z][a-z]+(?:[-/\u2013](?:[A-Z]?[a-z]+|\d+))*|\d+(?:-[A-Z][a-z]+)+")
"""A word whose capitals may be owed to its being in a title."""

_BRACKETS = re.compile(r"\s*[(\[][^()\[\]]*[)\]]")
_LEAD = re.compile(
    r"^(?:(?:my|your) child['\u2019]s\s+|(?:the|an?|your|my|our)\s+|introduction to\s+|(?:an )?overview of\s+|review of\s+|understanding\s+|(?:all )?about\s+"
    r"|what (?:i|you) need to know about\s+|what (?:is|are)\s+|facts (?:about|on)\s+|(?:a |your )?guide to\s+|living with\s+|coping with\s+"
    r"|(?:definition|causes?|types?|symptoms?|treatments?|diagnosis|prevention|burden|management|forms?|basics)"
    r"(?: and (?:burden|causes?|types?|symptoms?|treatments?|diagnosis|prevention|management))? (?:of|for)\s+"
    r"|treatment methods for\s+|drugs (?:used )?(?:to treat|in the treatment of|for)\s+|(?:special )?considerations (?:for|in)\s+)",
    re.IGNORECASE,
)
_TAIL = re.compile(
    r"\s+(?:and|:)\s+(?:how|what|why|its|their|your)\b.*$|\s+resource list$|,? part \w+$|,? continued$", re.IGNORECASE
)
_PERSONAL = word_set("topics", "personal")
_SECTION = word_set("topics", "sections")
_IMPACT = re.compile(
    r"\b(?:impact|role|importance|promotion|effects?) of\b|'s (?:role|guide)\b|\u2019s role", re.IGNORECASE
)


@lru_cache(maxsize=1 << 12)
def names_in(title: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The parts of a title that may name a subject, each with its words."""
    if len(title) > MAX_CHARACTERS:
        return ()
    parts = (_stripped(part) for part in re.split(r":\s+|\?\s*", _BRACKETS.sub("", title)))
    named = ((part, tuple(words(part))) for part in parts)
    return tuple((_turned(part), tokens) for part, tokens in named if _may_name(tokens) and not _IMPACT.search(part))


def _stripped(name: str) -> str:
    name = " ".join(name.split()).strip(" .,;!-\"'\u201c\u201d")
    last = None
    while name != last:
        last = name
        name = _TAIL.sub("", _LEAD.sub("", name, count=1))
    return name


def _may_name(tokens: Sequence[str]) -> bool:
    """Whether these can be the words of a subject rather than of an order, a question or a part of a book."""
    own = [token for token in tokens if token not in FUNCTION_WORDS and not token.isdecimal()]
    if not own or len(tokens) > MAX_WORDS or not _PERSONAL.isdisjoint(tokens):
        return False
    if all(word in _SECTION or word in GENERIC for word in own) or not DEIXIS.isdisjoint(own):
        return False
    return part(own[0]) != VERB and not _has_infinitive(tokens)


def _has_infinitive(tokens: Sequence[str]) -> bool:
    return any(first == "to" and (second in VERBS or second in NOUNS_TOO) for first, second in pairwise(tokens))


def _turned(name: str) -> str:
    """The right way round, where an index has put an adjective behind."""
    head, comma, tail = name.rpartition(", ")
    behind = tail.lower().split()
    if comma and "," not in head and len(behind) < 3 and part(behind[-1]) in (ADJECTIVE, PARTICIPLE):
        first, _, rest = head.partition(" ")
        return f"{tail} {first.lower() if CAPITALISED.fullmatch(first) else first} {rest}".strip()
    return name
