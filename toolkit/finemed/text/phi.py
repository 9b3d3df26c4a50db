"""Finds protected health information."""

from __future__ import annotations

import re
from typing import NamedTuple

LANGUAGES = ("en",)
_EMAIL = re.compile(r"\b[\w.+-]+@[\w-]+\.[\w.]+\b")


class Finding(NamedTuple):
    """One finding: its kind, place in the text, and confidence in 0..1."""

    kind: str
    start: int
    end: int
    confidence: float


def scan(text: str) -> list[Finding]:
    """The findings in order of the text."""
    return [Finding("email", match.start(), match.end(), 0.9) for match in _EMAIL.finditer(text)]
