"""Which words name medical subjects: the taxonomy's cues, and what tells a disease from other nouns.

::

    terms = Terms({"croup": 3, "loop diuretic": 2})
    terms.count(["loop", "diuretics", "in", "croup"])  ->  {"loop diuretic": 1, "croup": 1}
    is_disease("appendicitis")                         ->  True
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from functools import lru_cache

from finemed.llm.rules.lexicon import GENERIC
from finemed.llm.rules.wordlists import word_set
from finemed.text.medical import WEIGHTS, lexicon

AGENTS = word_set("topics", "agents")
_NO_NAME = word_set("topics", "no_names")
_DISEASES = word_set("topics", "diseases")
_DISEASE_ENDING = re.compile(
    r".{2,}(?:itis|osis|oses|iasis|emia|aemia|uria|oma|omas|pathy|pathies|penia|algia|plegia|paresis|trophy|plasia|rrhea"
    r"|megaly|sclerosis|stenosis|phobia|dactyly|cephaly|opia|odynia|phagia|phasia|praxia|somnia|ism|edema|oedema|cele"
    r"|thermia|reflexia|lexia|pnea|pnoea|igo|kinesia|phylaxis)"
)
_AGENT_ENDING = re.compile(
    r".{3,}(?:cillin|mycin|pril|sartan|statin|olol|azole|cycline|oxacin|barbital|dipine|setron|mab|tinib|vir|vaccine"
    r"|inhibitor|blocker|steroid|diuretic|biotic|fungal|viral|depressant|psychotic)s?"
)


class Terms:
    """Words and phrases that name medical subjects, those of one place in the tree counting more."""

    def __init__(self, cues: Mapping[str, int]) -> None:
        """Takes the highest weight that each term has anywhere in the tree."""
        named = {term: [word for word in term.split() if word not in GENERIC and word not in _NO_NAME] for term in cues}
        self._weights = {
            term: weight + 2 * any(map(is_disease, named[term])) for term, weight in cues.items() if named[term]
        }
        self._own: frozenset[str] = frozenset()
        self.words = frozenset(word for own_words in named.values() for word in own_words)
        """The words of all terms that name something."""
        self._first = frozenset(form for term in self._weights for form in _forms(term.split()[0]))

    def at(self, own: Iterable[str]) -> Terms:
        """The same terms as seen from a place in the tree that has these among its cues."""
        here = copy(self)
        here._own = frozenset(own)
        return here

    def count(self, tokens: Sequence[str]) -> Counter[str]:
        """How often each term stands there, the longest counting where they overlap."""
        found: Counter[str] = Counter()
        skip = 0
        for at, token in enumerate(tokens):
            if at < skip or token not in self._first:
                continue
            for size in (3, 2, 1):
                term = " ".join(tokens[at : at + size])
                known = term if term in self._weights else term.removesuffix("s")
                if known in self._weights and (known in self._own or self._weights[known] > 1):
                    found[known] += 1
                    skip = at + size
                    break
        return found

    def weight(self, term: str) -> int:
        """From 2, typical, to 6, the name of a disease that decides for this place in the tree."""
        return self._weights[term] + (term in self._own)


def _forms(word: str) -> tuple[str, str]:
    return word, word + "s"


@lru_cache(maxsize=1 << 14)
def is_disease(word: str) -> bool:
    """Whether a lower-case noun names something that one has."""
    return word in _DISEASES or _DISEASE_ENDING.fullmatch(word) is not None


@lru_cache(maxsize=1 << 14)
def is_agent(word: str) -> bool:
    """Whether a lower-case noun names something that one takes or undergoes."""
    return word in AGENTS or _AGENT_ENDING.fullmatch(word) is not None


@lru_cache(maxsize=1 << 14)
def is_strong(word: str) -> bool:
    """Whether a word is medical wherever it stands, as "insurance" is not."""
    return lexicon("en").weight(word) >= WEIGHTS["strong"]
