"""Which task types a sentence can answer, by its words.

::

    task_cues(tokens := ["croup", "is", "treated"], frozenset(tokens))  ->  {"treatment": 4}

A strong cue counts 4, a weak one 1. A sentence supports a task from
`SUPPORTED` on.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from finemed.llm.rules.wordlists import word_table
from finemed.text.normalise import words

SUPPORTED = 4
STRONG, WEAK = 4, 1


def _by_word() -> dict[str, tuple[tuple[str, int], ...]]:
    cues: dict[str, dict[str, int]] = {}
    for weight, lists in ((WEAK, word_table("tasks")["weak"]), (STRONG, word_table("tasks")["strong"])):
        for task, text in lists.items():
            for word in text.split():
                cues.setdefault(word, {})[task] = weight
    return {word: tuple(tasks.items()) for word, tasks in cues.items()}


def _by_head() -> dict[str, tuple[tuple[str, str], ...]]:
    heads: dict[str, list[tuple[str, str]]] = {}
    for task, phrases in word_table("tasks")["phrases"].items():
        for phrase in phrases:
            heads.setdefault(phrase.split()[0], []).append((f" {phrase} ", task))
    return {head: tuple(entries) for head, entries in heads.items()}


CUE_WORDS = _by_word()
_CUED = frozenset(CUE_WORDS)
_PHRASES_BY_HEAD = _by_head()
_HEADS = frozenset(_PHRASES_BY_HEAD)


def _by_item(section: str) -> dict[str, list[str]]:
    tasks: dict[str, list[str]] = {}
    for task, items in word_table("tasks")[section].items():
        for item in items:
            tasks.setdefault(item, []).append(task)
    return tasks


_ASKED = _by_item("asked")
_OPENING = _by_item("opening")


def task_cues(tokens: Sequence[str], distinct: frozenset[str]) -> dict[str, int]:
    """Evidence by task type. The order of the keys means nothing."""
    found: dict[str, int] = {}
    for word in distinct & _CUED:
        for task, weight in CUE_WORDS[word]:
            found[task] = found.get(task, 0) + weight
    heads = distinct & _HEADS
    if heads:
        line = f" {' '.join(tokens)} "
        for head in heads:
            for phrase, task in _PHRASES_BY_HEAD[head]:
                if phrase in line:
                    found[task] = found.get(task, 0) + STRONG
    return found


def asked_tasks(question: str) -> list[str]:
    """The task types that a question asks for.

    Its own words and pairs of words tell; else the cues of passages; else how it begins.
    """
    tokens = words(question)
    found: dict[str, int] = {}
    for item in (*tokens, *map(" ".join, pairwise(tokens))):
        for task in _ASKED.get(item, ()):
            found[task] = found.get(task, 0) + 1
    if not found:
        found = {task: weight for task, weight in task_cues(tokens, frozenset(tokens)).items() if weight >= STRONG}
    best = max(found.values(), default=0)
    return sorted(task for task, weight in found.items() if weight == best) or _OPENING.get(" ".join(tokens[:2]), [])
