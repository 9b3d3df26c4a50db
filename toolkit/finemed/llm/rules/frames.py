"""Question templates by kind of topic, task type and difficulty, read from ``templates/*.toml``.

::

    [[frame]]
    task = "treatment"
    needs = "surgery surgical"
    intermediate = ["How {t:is} treated by surgery, and what role {f:does} have?"]
                     ->  "How is croup treated by surgery, and what role does stridor have?"

``t`` is the topic, ``f`` and ``g`` are phrases of the sentence that the question is about. ``{t:is}`` gives "is croup"
or "are kidney stones", ``{t:+is}`` gives "croup is". A frame with `needs` is for sentences that hold one of these words,
one
with `rate` for a phrase that a percentage follows, one with `place`
for a list of findings, or for a remark on what is being studied. A *basic* question asks for a fact that one sentence gives, an
*intermediate* one connects the topic with a second fact, an *advanced* one asks for reasons or a judgement over several.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import NamedTuple

DISEASE, AGENT, SUBJECT = "disease", "agent", "subject"
"""Something that one has; something that one takes or undergoes; anything else, such as an organ or a habit."""
FINDINGS, RESEARCH = "findings", "research"
"""A list of signs and symptoms; a remark on what is being studied."""
TIERS = ("basic", "intermediate", "advanced")

_FOLDER = Path(__file__).resolve().parent / "templates"


class Frame(NamedTuple):
    """Templates of one task type that fit the same sentences."""

    task: str
    needs: frozenset[str]
    rate: bool
    place: str
    """`FINDINGS` or `RESEARCH` where the sentence must be of that sort, else empty."""
    templates: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
    """By tier, easiest first."""


@cache
def frames_for(kind: str, task: str) -> tuple[Frame, ...]:
    """The frames for a kind of topic and a task type, the general one last."""
    entries = tomllib.loads((_FOLDER / f"{kind}.toml").read_text("utf-8"))["frame"]
    return tuple(
        Frame(
            task,
            frozenset(entry.get("needs", "").split()),
            entry.get("rate", False),
            entry.get("place", ""),
            (tuple(entry["basic"]), tuple(entry["intermediate"]), tuple(entry["advanced"])),
        )
        for entry in entries
        if entry["task"] == task
    )
