"""A count and its noun agree, in messages, changelogs and cards."""

from __future__ import annotations

import pytest

from finemed.publish.versions.changelog import entry
from finemed.publish.versions.diff_rows import ConfigDiff
from finemed.publish.versions.diff_text import markdown
from finemed.publish.versions.tombstones import Tombstone
from finemed.publish.versions.version import Version
from finemed.records.counts import how_many


@pytest.mark.parametrize(
    ("number", "words", "told"),
    [
        (0, ("row",), "0 rows"),
        (1, ("row",), "1 row"),
        (1234, ("row",), "1,234 rows"),
        (1, ("reply is", "replies are"), "1 reply is"),
        (2, ("reply is", "replies are"), "2 replies are"),
    ],
)
def test_a_count_with_its_noun(number: int, words: tuple[str, ...], told: str) -> None:
    assert how_many(number, *words) == told


def test_a_changelog_of_one_row() -> None:
    stone = Tombstone("id", "s1", "a name", "1.0.1")
    assert "(1 row of the pools)" in entry(Version(1, 0, 1), "2026-11-28", "", retracted=[stone], gone=1)
    text = markdown(
        {
            "sft": ConfigDiff("sft", {"train": 2}, {"train": 1}, removed=1),
            "dpo": ConfigDiff("dpo", {}, {"train": 1}, added=1),
        },
        {},
        {("wiki", "", ""): (0, 1)},
        [],
    )
    assert text == (
        "- `sft`: 2 -> 1 row: 1 removed\n- config `dpo` is new, with 1 row\n"
        "- Source wiki (licence unknown) is new, with 1 question\n"
    )
