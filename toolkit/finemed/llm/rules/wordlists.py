"""The rules' word lists, read from ``words/*.toml``.

::

    word_set("questions", "cautious")  ->  frozenset({"may", "might", "usually", ...})
    word_table("tasks")["strong"]["treatment"]  ->  "cure cured treats ..."
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).resolve().parent / "words"


@cache
def word_table(name: str) -> dict[str, Any]:
    """A whole file."""
    return tomllib.loads((_FOLDER / f"{name}.toml").read_text("utf-8"))


def word_set(name: str, key: str) -> frozenset[str]:
    """One list of a file."""
    return frozenset(word_table(name)[key].split())
