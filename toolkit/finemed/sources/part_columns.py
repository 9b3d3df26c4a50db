"""Which column a part is in, of those that a table has or that somebody named.

::

    own_column("input.answers[1]", {"input", "output"})   ->  "input"
    is_untold("doc.question", ["doc"])                    ->  False, for the field's name tells

A part is named by its column, the fields on the way and its number in a list: `input.answers[1]`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Container

from finemed.sources.part_names import named_kind
from finemed.sources.turns import role_of

_NUMBERED = re.compile(r"\[\d*\]")


def own_column(name: str, columns: Container[str]) -> str | None:
    """Which of these columns, or paths into them, a part is in: `input` of `input.answers[1]`."""
    while name not in columns:
        at = max(name.rfind("."), name.rfind("["))
        if at < 0:
            return None
        name = name[:at]
    return name


def is_untold(name: str, guessed: Collection[str]) -> bool:
    """Whether a part is in one of these columns, whose names tell nothing, and its field's name tells nothing too."""
    column = own_column(name, guessed)
    if column is None:
        return False
    fields = [key for key in _NUMBERED.sub("", name[len(column) :]).split(".") if key]
    return not any(role_of(key) or named_kind(key) for key in fields)
