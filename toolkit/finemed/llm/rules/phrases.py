"""Noun phrases of a sentence, as a question can take them up: whole, in their own case, with their article.

::

    find_phrases("A barking cough may accompany pounding headache.", 0, 48)
    ->  ["a barking cough", "pounding headache"]

Every token gets a letter for what it can be, and one regular expression over the letters finds the phrases: a phrase
ends in a noun and takes in no verb. What cannot be told apart without a tagger is left out rather than cut in the middle.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from finemed.llm.rules.lexicon import (
    ADJECTIVE,
    ADVERB,
    DEIXIS,
    DETERMINERS,
    FUNCTION,
    GENERIC,
    NOUN,
    NOUNS_TOO,
    NUMBER,
    PARTICIPLE,
    SURVEYS,
    VERB,
    VERB_OPENERS,
    VERBS_AT_FIRST,
    is_plural,
    look_up,
    part,
)
from finemed.text.quality import is_medical

MAX_WORDS = 5
MAX_JOINED = 7
EPONYMOUS = frozenset(
    """
    syndrome disease sign anomaly malformation disorder phenomenon palsy dystrophy gland virus sarcoma chorea triad
    """.split()  # noqa: SIM905 - a word list reads better as text
)
"""Words that make a name of the capitalised word before them."""
_TOKEN = re.compile(r"and/or|[^\W_]+(?:[-'\u2019./](?=[^\W_])[^\W_]+)*|\S")
_WORD = re.compile(r"[^\W_]+")
_ARTICLES = frozenset({"a", "an", "the"})
_POINTING = frozenset("this these that those such same other another".split())  # noqa: SIM905
_BEFORE_NOUNS = DETERMINERS | frozenset(
    ["in", "for", "with", "from", "by", "on", "at", "as", "through", "during", "after", "before", "without", "under"]
)
_AUXILIARIES = frozenset("is are was were be been being has have had having get gets got".split())  # noqa: SIM905
_NUMBERED = frozenset("type stage grade class phase factor vitamin chromosome trisomy coenzyme omega".split())  # noqa: SIM905
_OF_HEADS = frozenset(
    [
        "risk",
        "onset",
        "development",
        "treatment",
        "diagnosis",
        "level",
        "levels",
        "increase",
        "lack",
        "loss",
        "function",
        "incidence",
    ]
)
_COUNTED = frozenset(
    """
    biopsy catheter device dietitian doctor exam gland implant monitor nurse operation physician pump scan shunt stent
    surgeon syringe tablet test therapist tube tumor ultrasound vaccine x-ray
    """.split()  # noqa: SIM905 - a word list reads better as text
)
_OF_BODIES = frozenset("american federal healthy international national united".split())  # noqa: SIM905
_OWNER = re.compile(
    r"(?:child|client|family|individual|infant|mother|parent|patient|people|person|today|year)s?['\u2019]"
)
_BULLETS = frozenset("-\u2013\u2022\u25cf*%")
_OPENING = frozenset(".!?:;") | _BULLETS
_VERBS = {"is": ("is", "are"), "does": ("does", "do"), "has": ("has", "have")}
_EMPTY: frozenset[str] = frozenset()
_NOWHERE = DEIXIS | SURVEYS

# Letters of the tokens:  N S noun, singular and plural   n s a noun that may be a verb   m the same, a verb at first
#   T a noun that takes a number   D number   A adjective   E G participle in -ed, in -ing   a article   o "of"
#   p preposition or determiner   q pointing word   v what a verb follows   t "to"   u auxiliary   . mark of a sentence   - of an item
#   F any other function word or mark   V verb, adverb
_NOUNLIKE = "NSTnsmA"
_NOUNS = rf"(?:[NST]|(?<![Ss])[nm]|(?<![NnmT])s|s(?![{_NOUNLIKE}a])|(?<=T)D)"
_FIRST = rf"(?:(?<!v)[NST]|(?<![vtNSTnmD])[ns]|(?<![vtNSTnmD])m(?![{_NOUNLIKE}])|(?<=[aqpo])m)"
_MODIFIED = rf"(?:A|(?<![uvtNSTnsmD.])E(?=[{_NOUNLIKE}])|(?<=a)G(?=[{_NOUNLIKE}]))(?>(?:A|[EG](?=[{_NOUNLIKE}EG]))*)(?>{_NOUNS}+)"
_RUN = rf"(?:{_MODIFIED}|{_FIRST}(?>{_NOUNS}*))"
_PHRASE = re.compile(rf"({_RUN})(?:(oa?)({_RUN})|(?!o))")


class Phrase(NamedTuple):
    """A noun phrase with its article.

    In a template ``{f:is}`` puts the right form of a verb before it, ``{f:+is}`` behind it.
    """

    text: str
    plural: bool
    words: frozenset[str]
    specific: frozenset[str]
    """Its words that name something."""
    place: int = 0
    """Which token of its sentence it begins with."""
    rate: bool = False
    """Whether a percentage follows it."""
    medical: bool = False
    """Whether a specific word is a medical term."""

    def __format__(self, verb: str) -> str:
        if not verb:
            return self.text
        form = _VERBS[verb.lstrip("+")][self.plural]
        return f"{self.text} {form}" if verb[0] == "+" else f"{form} {self.text}"

    @property
    def bare(self) -> str:
        """Without its article."""
        first, _, rest = self.text.partition(" ")
        return rest if first in _ARTICLES and rest else self.text


@lru_cache(maxsize=1 << 12)
def make_phrase(text: str) -> Phrase:
    """A phrase from its words; the noun before "of", "with" and the like decides its number."""
    tokens = [token for token in _TOKEN.findall(text.lower()) if token[0].isalnum()]
    first = 1 + (tokens[0] in _ARTICLES) if tokens else 1
    head = next((at for at in range(first, len(tokens)) if part(tokens[at]) == FUNCTION), len(tokens))
    joined = head < len(tokens) and tokens[head] == "and"
    pieces = frozenset(_WORD.findall(text.lower()))
    specific = frozenset(piece for piece in pieces if piece not in GENERIC and part(piece) != FUNCTION)
    return Phrase(text, joined or is_plural(tokens[head - 1] if tokens else ""), pieces, specific)


class _Letters(dict[str, str]):
    """The letter of each lower-case token, worked out at its first occurrence."""

    def __missing__(self, token: str) -> str:
        letter = _letter(token)
        if len(self) < 1 << 16:
            self[token] = letter
        return letter


_FIXED = {
    **dict.fromkeys(_OPENING, "."),
    **dict.fromkeys(_BULLETS, "-"),
    **dict.fromkeys(_BEFORE_NOUNS, "p"),
    **dict.fromkeys(_AUXILIARIES, "u"),
    **dict.fromkeys(VERB_OPENERS, "v"),
    **dict.fromkeys(_POINTING, "q"),
    **dict.fromkeys(_ARTICLES, "a"),
    "of": "o",
    "to": "t",
}
_BY_PART = {FUNCTION: "F", VERB: "V", ADVERB: "V", ADJECTIVE: "A", NUMBER: "D"}


def _letter(token: str) -> str:
    if token in _FIXED:
        return _FIXED[token]
    kind = part(token)
    if kind == PARTICIPLE:
        return "G" if token.endswith("ing") else "E"
    if kind != NOUN:
        return _BY_PART[kind]
    if token in _NUMBERED:
        return "T"
    if token in NOUNS_TOO:
        return "s" if token.endswith("s") else "m" if token in VERBS_AT_FIRST else "n"
    return "S" if is_plural(token) else "N"


_LETTERS = _Letters()


def find_phrases(text: str, start: int, end: int) -> list[Phrase]:
    """The phrases of a stretch of text in order.

    Args:
        text: the passage.
        start: where the stretch begins.
        end: where it ends.
    """
    written = _TOKEN.findall(text, start, end)
    low = list(map(str.lower, written))
    letters = "." + "".join(map(_LETTERS.__getitem__, low))  # the mark stands for what is before the first word
    found = []
    for match in _PHRASE.finditer(letters, 1):
        at, head, stop = match.start() - 1, match.end(1) - 1, match.end() - 1
        if match[2]:
            second = match.start(3) - 1
            own = low[at:head]
            if (low[head - 1] not in _OF_HEADS and all(word in GENERIC for word in own)) or stop - at > MAX_JOINED:
                at, head = second, stop
        if max(head - at, stop - head - 1) <= MAX_WORDS:
            phrase = _phrase(text, written, low, at, head, stop)
            if phrase is not None:
                found.append(phrase)
    return found


def _phrase(text: str, written: list[str], low: list[str], at: int, head: int, stop: int) -> Phrase | None:
    """The words as a phrase, if they name something; the noun before `head` decides its number."""
    facts = list(map(look_up, low[at:stop]))
    if not any(word.names for word in facts) or not _NOWHERE.isdisjoint(low[at:stop]):
        return None
    before = low[at - 1] if at else ""
    if before in _POINTING or (stop - at == 1 and len(low[at]) < 4):
        return None
    words = " ".join(written[at:stop])
    if ("'" in words or "\u2019" in words) and _OWNER.search(words.lower()):
        return None
    if not words.islower():
        opens = at == 0 or written[at - 1] in _OPENING
        capitals = sum(map(str.istitle, written[at:stop])) - (opens and written[at].istitle())
        named = (
            capitals > 1
            or (written[at].istitle() and low[at] in _OF_BODIES)
            or (stop - at > 1 and all(map(str.istitle, written[at:stop])))
        )
        if named and EPONYMOUS.isdisjoint(low[at:stop]):
            return None  # the name of a body or a survey
        if words[0].isupper() and _is_plain(text, written[at], written[at + 1 : at + 2], opens):
            words = words[0].lower() + words[1:]
    noun = low[head - 1]
    article = f"{before} " if before in _ARTICLES else _missing_article(noun, words)
    rate = written[stop + 1 : stop + 2] == ["%"] and written[stop][0].isdigit()
    if len(facts) == 1:
        (only,) = facts
        return Phrase(article + words, is_plural(noun), only.pieces, only.specific, at, rate, only.medical)
    pieces = _EMPTY.union(*[word.pieces for word in facts])
    specific = _EMPTY.union(*[word.specific for word in facts])
    medical = any(word.medical for word in facts)
    return Phrase(article + words, is_plural(noun), pieces, specific, at, rate, medical)


def _is_plain(text: str, word: str, following: list[str], opens: bool) -> bool:
    """Whether the capital of a first word is owed to its place, or to a heading, rather than to a name."""
    if (not word[1:].islower() and len(word) > 1) or any(map(str.istitle, following)):
        return False
    low = word.lower()
    lower, inside = text.count(f" {low} "), _inside(text, word)
    if opens and not lower:
        return not inside and (is_medical(low) or not following or following[0] not in EPONYMOUS)
    return lower * 2 >= inside if lower else is_medical(low) and inside < 2


def _inside(text: str, word: str) -> int:
    """How often the word stands in this case amid a sentence."""
    count, at = 0, text.find(f" {word} ")
    while at != -1:
        count += text[at - 1 : at].islower() or text[at - 1 : at] == ","
        at = text.find(f" {word} ", at + 1)
    return count


def _missing_article(noun: str, words: str) -> str:
    """The article that the second of two joined nouns leaves out: "a shunt and tube"."""
    if noun not in _COUNTED and not noun.endswith("ologist"):
        return ""
    return "an " if words[0].lower() in "aeiou" else "a "
