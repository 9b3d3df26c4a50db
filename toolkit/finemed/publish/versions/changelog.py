"""``CHANGELOG.md``: one entry per version, newest first.

::

    # Changelog

    ## 1.1.0 (2026-11-20)

    OpenStax added.

    - `sft`: 9,224 -> 11,324 rows: 2,100 added

An entry is written once, when its version is; later versions repeat it to the letter.
"""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterable

from finemed.errors import ConfigError
from finemed.publish.cards.markdown import escape, one_line
from finemed.publish.versions.tombstones import Tombstone
from finemed.publish.versions.version import Version
from finemed.records.counts import how_many

FILE = "CHANGELOG.md"
TITLE = "# Changelog\n"
FIRST_RELEASE = "First release.\n"
RESHUFFLED = (
    "**The splits were reshuffled.** Rows that were training rows in earlier versions may be test rows here, and the "
    "other way round. Do not compare results on these splits with results on those of earlier versions, and do not "
    "test a model here that was trained on one of them.\n"
)
MOST_LISTED = 20
"""Retracted ids in an entry; `tombstones.jsonl` has them all."""


def entry(
    version: Version, date: str, body: str, *, message: str = "", retracted: Iterable[Tombstone] = (), gone: int = 0
) -> str:
    """One version's part of the changelog.

    Args:
        version: of the release.
        date: its day.
        body: Markdown that is safe already, such as a diff's.
        message: the curator's words.
        retracted: what this version takes out.
        gone: how many rows of the pools went with it.
    """
    paragraphs = [escape(message) + "\n"] if message.strip() else []
    stones = list(retracted)
    if stones:
        paragraphs.append(f"Retracted, with everything derived from it ({how_many(gone, 'row')} of the pools):\n")
        lines = [f"- {stone.kind} `{_code(stone.value)}`: {escape(stone.reason)}\n" for stone in stones[:MOST_LISTED]]
        if len(stones) > MOST_LISTED:
            lines.append(f"- {len(stones) - MOST_LISTED:,} more; `tombstones.jsonl` has them all\n")
        paragraphs.append("".join(lines))
    if body:
        paragraphs.append(body)
    return f"## {version} ({date})\n\n" + "\n".join(paragraphs)


def prepend(newest: str, earlier: str) -> str:
    """The whole changelog with a new entry on top of the earlier ones."""
    rest = earlier.removeprefix(TITLE).lstrip("\n")
    return f"{TITLE}\n{newest}" + (f"\n{rest}" if rest else "")


def day(text: str | None) -> str:
    """A date as YYYY-MM-DD; today in UTC where none is given.

    Raises:
        ConfigError: it is no such date.
    """
    if text is None:
        return datetime.datetime.now(datetime.UTC).date().isoformat()
    with contextlib.suppress(ValueError):
        if datetime.date.fromisoformat(text).isoformat() == text:
            return text
    raise ConfigError(f"`--date` is {text!r}, not a date such as 2026-11-20")


def _code(name: str) -> str:
    return one_line(name.replace("`", "'"))
