"""What a passage is about: the subject of its title where that names one, else the term that the text turns on.

::

    find_topic("What I need to know about Kidney Stones", outline, terms)  ->  Topic("kidney stones", DISEASE)
    find_topic("Introduction", outline, terms)                             ->  Topic("loop diuretics", AGENT)
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from math import log2
from typing import NamedTuple

from finemed.llm.rules.frames import AGENT, DISEASE, SUBJECT
from finemed.llm.rules.lexicon import FUNCTION, FUNCTION_WORDS, NOUN, is_plural, part
from finemed.llm.rules.outline import Outline, Unit
from finemed.llm.rules.phrases import EPONYMOUS, Phrase, find_phrases, make_phrase
from finemed.llm.rules.terms import AGENTS, Terms, is_agent, is_disease, is_strong
from finemed.llm.rules.titles import CAPITALISED, names_in
from finemed.llm.rules.wordlists import word_set
from finemed.text.normalise import words
from finemed.text.quality import is_medical

_NO_ILLNESS = word_set("topics", "no_illness")
_HAVERS = word_set("topics", "havers")
_SMALL = frozenset("a an and at by for from in into of on or the to with without".split())  # noqa: SIM905
_COUNTED = frozenset("attack fracture hernia aneurysm concussion cyst ulcer stone".split())  # noqa: SIM905
_AS_ILLNESS = re.compile(r"\b(?:the|this) (?:disorder|syndrome|disease|condition)\b")
_ASKS = frozenset({"is", "are", "causes", "might", "have", "has"})
_ASKED = re.compile(r"(?: \(\w+\))?\s?(?:inherited|diagnosed|treated|caused|be treated|be inherited|\?)")
_LINKS = frozenset({"with", "of", "for", "have", "has"})
_IS_DISEASE = re.compile(
    r"(?: \(\w+\))? (?:is|are) (?:an? [^.]{0,60}?\b(?:disease|disorder|condition|syndrome|cancer)|inherited|diagnosed|caused)"
)


class Topic(NamedTuple):
    """The subject of a passage and what sort of thing it is."""

    phrase: Phrase
    kind: str
    words: frozenset[str]
    """Its words, and its short form in the passage."""


def find_topic(title: str | None, outline: Outline, terms: Terms) -> Topic | None:
    """The subject, or None where neither the title nor the text names one.

    Args:
        title: as the source gives it.
        outline: of the passage.
        terms: what counts as the name of a medical subject.
    """
    name = _from_title(title, outline, terms) if title else None
    if name:
        places = list(_places(name, outline.text))
        phrase = _as_used(name, outline.text, places, terms)
    else:
        found = _from_text(outline, terms)
        if found is None:
            return None
        phrase, places = found, list(_places(found.text, outline.text))
    own = phrase.words | {short for _, after in places if (short := _short_form(after))}
    return Topic(phrase, _kind(phrase, outline.text, places, titled=name is not None), own)


def _places(name: str, text: str, most: int = 8) -> Iterator[tuple[list[str], str]]:
    """(up to three words before, the text after) of each place where the text has the name."""
    low, needle = text.lower(), name.lower()
    at = low.find(needle)
    while at != -1 and most:
        end = at + len(needle)
        if not (low[at - 1 : at].isalnum() or low[end : end + 1].isalnum()):
            yield low[max(0, at - 40) : at].split()[-3:], text[end : end + 90]
        at, most = low.find(needle, end), most - 1


def _short_form(after: str) -> str:
    """The abbreviation in brackets behind the name."""
    short, closed, _ = after.removeprefix(" (").partition(")")
    return short.lower() if after.startswith(" (") and closed and short.isalnum() else ""


# --- from the title --------------------------------------------------------------------------------------------------


def _from_title(title: str, outline: Outline, terms: Terms) -> str | None:
    """The part of a title that names a subject, in the title's own case."""
    able = names_in(title)
    for name, tokens in able:
        if any(is_strong(word) or word in AGENTS or is_disease(word) for word in tokens) or terms.count(tokens):
            return name
    for name, tokens in able:
        own = [word for word in tokens if word not in FUNCTION_WORDS]
        if 2 * sum(any(word in unit.distinct for unit in outline.units) for word in own) >= len(own):
            return name
    return None


def _as_used(name: str, text: str, places: Sequence[tuple[list[str], str]], terms: Terms) -> Phrase:
    """The name in the case that the text uses, with the article that it most often has there."""
    name = name.lower() if _has(text, name.lower()) else _lowered(name, text, terms)
    if not is_plural(name.split()[-1]):
        before = Counter(words_before[-1] for words_before, _ in places if words_before)
        total = sum(before.values())
        if (before["a"] + before["an"]) * 3 > total or name.split()[-1] in _COUNTED:
            name = f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
        elif before["the"] * 3 > total * 2:
            name = f"the {name}"
    return make_phrase(name)


def _has(text: str, word: str) -> bool:
    """Whether the text has the word, whole and in this case, within a sentence."""
    at = text.find(f" {word}")
    while at != -1:
        after = text[at + len(word) + 1 : at + len(word) + 2]
        if not after.isalnum() and after != "-":
            return True
        at = text.find(f" {word}", at + 1)
    return False


def _is_common(word: str) -> bool:
    """Whether a word is known to be no name."""
    return part(word) not in (NOUN, FUNCTION) or any(
        is_medical(piece) or is_disease(piece) for piece in word.split("-")
    )


def _lowered(name: str, text: str, terms: Terms) -> str:
    """Title case undone, as far as a word is known to be no name."""
    tokens = name.split()
    titled = len(tokens) > 1 and all(token[0].isupper() or token in FUNCTION_WORDS for token in tokens)
    eponym = any(token.lower() in EPONYMOUS for token in tokens)
    out = []
    for at, token in enumerate(tokens):
        low = token.lower().rstrip(",")
        if CAPITALISED.fullmatch(token.rstrip(",")):
            known = _has(text, low) or (
                token[1:].islower() and (_is_common(low) or (low in terms.words and not eponym))
            )
            if known or (low in _SMALL and at > 0) or (titled and not eponym):
                token = token.lower()
        out.append(token)
    return " ".join(out)


# --- from the text ---------------------------------------------------------------------------------------------------


def _from_text(outline: Outline, terms: Terms) -> Phrase | None:
    """The term with the most evidence, as the text most often words it."""
    units = outline.answering()
    evidence: Counter[str] = Counter()
    for unit in units:
        evidence.update(terms.count(unit.words))
    ranked = sorted(evidence, key=lambda term: (-terms.weight(term) * (1 + log2(evidence[term])), term))
    for term in ranked[:3]:
        if evidence[term] < 2 and terms.weight(term) < 5:
            continue
        wording = _wording(term, outline, units)
        if wording is not None:
            return wording
    return None


def _wording(term: str, outline: Outline, units: Sequence[Unit]) -> Phrase | None:
    """The commonest phrase around a term, or the shortest one."""
    wanted = term.split()
    counts: Counter[str] = Counter()
    forms: dict[str, Phrase] = {}
    for unit in units:
        if wanted[0] in unit.distinct or f"{wanted[0]}s" in unit.distinct:
            for phrase in find_phrases(outline.text, unit.start, unit.end):
                if all(word in phrase.words or f"{word}s" in phrase.words for word in wanted):
                    key = phrase.bare.lower()
                    counts[key] += 1
                    held = forms.get(key)
                    if held is None or held.bare != key == phrase.bare:
                        forms[key] = phrase
    if not counts:
        return None
    return forms[min(counts, key=lambda key: (-counts[key], len(key), key))]


def _kind(phrase: Phrase, text: str, places: Sequence[tuple[list[str], str]], *, titled: bool) -> str:
    tokens = [word for word in words(phrase.text) if word != "s"]
    end = next((at for at in range(1, len(tokens)) if tokens[at] in FUNCTION_WORDS), len(tokens))
    head = tokens[end - 1]
    both = tokens[end : end + 1] == ["and"]
    if is_agent(head) or (both and tokens[-1] in AGENTS):
        return AGENT
    if head in _NO_ILLNESS:
        return SUBJECT
    if any(map(is_disease, tokens[:end] if titled else [head])):
        return DISEASE
    if tokens[-1] in AGENTS:
        return AGENT
    for before, after in places:
        if before[-1:] and before[-1] in _LINKS and not _HAVERS.isdisjoint(before):
            return DISEASE
        if _IS_DISEASE.match(after) or (before[-1:] and before[-1] in _ASKS and _ASKED.match(after)):
            return DISEASE
    return DISEASE if titled and _AS_ILLNESS.search(text) else SUBJECT
