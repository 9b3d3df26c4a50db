"""A count with its noun, for messages, changelogs and cards: ``how_many(1, "row")`` is ``1 row``."""

from __future__ import annotations


def how_many(number: int, one: str, many: str | None = None) -> str:
    """The number with thousands parted, and the noun in its number; ``how_many(1, "row is", "rows are")``.

    Args:
        number: how many.
        one: what stands behind 1.
        many: what stands behind any other number; by default `one` with an s.
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"
