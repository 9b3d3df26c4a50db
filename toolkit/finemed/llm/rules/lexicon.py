"""What the rules know about single English words: parts of speech, as far as phrases need them.

::

    part("accompanies")  ->  VERB        part("renal")  ->  ADJECTIVE        part("larynx")  ->  NOUN

There is no tagger behind this. Closed classes and frequent verbs are listed, the rest goes by endings, and what is left
over is a noun, which in medical prose it most often is.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from finemed.llm.rules.wordlists import word_set
from finemed.text.quality import is_medical

FUNCTION, VERB, ADVERB, ADJECTIVE, PARTICIPLE, NOUN, NUMBER = range(7)

FUNCTION_WORDS = word_set("parts", "function")
DETERMINERS = word_set("parts", "determiners")
VERB_OPENERS = word_set("parts", "verb_openers")
NOUNS_TOO = word_set("parts", "nouns_too")
VERBS_AT_FIRST = word_set("parts", "verbs_at_first")
GENERIC = word_set("parts", "generic")
DEIXIS = word_set("parts", "deixis")
SURVEYS = word_set("parts", "surveys")
_ADJECTIVES = word_set("parts", "adjectives")
_NOUNS_DESPITE_ENDING = word_set("parts", "nouns_despite_ending")
_ADVERBS = word_set("parts", "adverbs")
_NO_ADVERBS = word_set("parts", "no_adverbs")
_PLURALS = word_set("parts", "plurals")
_SINGULARS = word_set("parts", "singulars")
_PLURALS_IN_ICS = tuple(sorted(word_set("parts", "plurals_in_ics")))
_ADJECTIVE_ENDINGS = tuple("al ic ous ive able ible ful less lar nar oid ile ish like".split())  # noqa: SIM905
_SINGULAR_ENDINGS = ("ss", "us", "is", "'s", "ics")
_AUXILIARIES = "is are was were be been has have had can could may might must shall should will would does do did am"
_PIECE = re.compile(r"[^\W_]+")
_QUANTITY = re.compile(r"\d.*(?:year|month|week|day|hour|minute|fold|mg|ml|kg|th$|st$|nd$|rd$)")


def _inflected(base: str) -> list[str]:
    """The forms of a regular verb; an impossible one does no harm, for no text has it."""
    if base.endswith("e"):
        return [base, base + "s", base + "d", base[:-1] + "ing"]
    if base.endswith("y") and base[-2] not in "aeiou":
        return [base, base[:-1] + "ies", base[:-1] + "ied", base + "ing"]
    if base.endswith(("s", "x", "z", "ch", "sh")):
        return [base, base + "es", base + "ed", base + "ing"]
    doubled = base + base[-1]
    return [base, base + "s", base + "ed", base + "ing", doubled + "ed", doubled + "ing"]


VERBS = word_set("parts", "irregular_verbs").union(*map(_inflected, word_set("parts", "verbs")))
FINITE = frozenset(word for word in VERBS if not word.endswith("ing")) | set(_AUXILIARIES.split())
"""A whole sentence holds at least one of these."""


class Word(NamedTuple):
    """What a phrase has to know about a lower-case token."""

    kind: int
    pieces: frozenset[str]
    """Itself, or the parts of a compound with hyphens."""
    specific: frozenset[str]
    """Those pieces that name something."""
    names: bool
    """Whether one of these is a noun."""
    medical: bool
    """Whether one of these is a medical term."""


@lru_cache(maxsize=1 << 16)
def part(word: str) -> int:
    """The part of speech of a lower-case word, as far as the rules can say without its neighbours."""
    if word in FUNCTION_WORDS or not word[0].isalnum():
        return FUNCTION
    if word[0].isdigit():
        return NUMBER if _QUANTITY.match(word) or not any(map(str.isalpha, word)) else NOUN
    if word in NOUNS_TOO:
        return NOUN
    if word in _ADJECTIVES:
        return ADJECTIVE
    if word in VERBS:
        return PARTICIPLE if word.endswith(("ed", "ing", "wn", "en")) else VERB
    if word in _ADVERBS or (word.endswith("ly") and word not in _NO_ADVERBS and len(word) > 4):
        return ADVERB
    if word in _NOUNS_DESPITE_ENDING:
        return NOUN
    if len(word) > 4 and word.endswith(("ed", "ing")):
        return ADJECTIVE if "-" in word else PARTICIPLE
    return ADJECTIVE if len(word) > 4 and word.endswith(_ADJECTIVE_ENDINGS) else NOUN


@lru_cache(maxsize=1 << 16)
def look_up(token: str) -> Word:
    """The facts about a token, which may be a compound or a punctuation mark."""
    pieces = frozenset(_PIECE.findall(token))
    specific = frozenset(
        piece for piece in pieces if len(piece) > 2 and piece not in GENERIC and part(piece) != FUNCTION
    )
    names = any(part(piece) == NOUN for piece in specific)
    return Word(part(token), pieces, specific, names, any(map(is_medical, specific)))


@lru_cache(maxsize=1 << 16)
def is_plural(head: str) -> bool:
    """Whether a noun, the last word of its phrase, takes a plural verb."""
    low = head.lower()
    if low in _PLURALS:
        return True
    if low in _SINGULARS or not low.endswith("s") or len(low) < 4:
        return False
    return not low.endswith(_SINGULAR_ENDINGS) or low.endswith(_PLURALS_IN_ICS)
