"""What the stand-alone commands say of how a table was read: rows, what is compared, what could not be used.

::

    read_lines(read_summary(table))  ->  ["comparing: instruction, input, output; left out: source, topic"]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from finemed.errors import ConfigError, InputError
from finemed.records.counts import how_many
from finemed.sources.part_columns import own_column
from finemed.sources.parts import column_of
from finemed.standalone.table import Table, open_table

_SHOWN = 20
NAMED = 5
"""Places that cannot be used and are named on the terminal."""
LISTED = 1000
"""Those that are listed in `--json`."""


def open_parts(target: str, *, on: Sequence[str] = (), also: str | None = None, row_id: str | None = None) -> Table:
    """Reads a dataset; as `open_table`, but `on` may also name single turns, such as `messages[0]`.

    Args:
        target: file, folder, glob or `hf://owner/name`.
        on: columns or turns to compare; nothing takes all that a trainer would see.
        also: a further column to compare.
        row_id: column of the ids.

    Raises:
        ConfigError: there is no such part.
    """
    columns = list(dict.fromkeys(map(column_of, on)))
    table = open_table(target, on=[*columns, also] if columns and also else columns, row_id=row_id)
    if also and not columns and also not in table.compared:
        known = also in table.columns
        table = table.with_columns({also: "answer"}) if known else open_table(target, on=[also], row_id=row_id)
    turns = [name for name in on if column_of(name) != name]
    if not turns:
        return table
    names = table.parts["part"].unique(maintain_order=True).to_list()
    for name in turns:
        if name not in names:
            raise ConfigError(f"--on: there is no part `{name}`; there are {_list(names)}")
    wanted = [name for name in names if own_column(name, (*on, also or "")) is not None]
    return replace(table, parts=table.parts.filter(table.parts["part"].is_in(wanted)), compared=wanted)


def read_summary(table: Table) -> dict[str, Any]:
    """How many rows there are, and what of them is looked at."""
    return {
        "rows": table.height + table.lost,
        "quarantined": table.lost,
        "quarantined_places": [
            {"place": each.place, "reason": each.fact, "rows": each.rows} for each in table.quarantined[:LISTED]
        ],
        "comparing": list(table.compared),
        "left_out": list(table.left_out),
        "passed_over": [found.place for found in table.passed_over],
        "cut_off": [found.place for found in table.cut_off],
    }


def quarantined(table: Table, stage: str) -> list[dict[str, Any]]:
    """The lines that could not be read, as rows of a ledger."""
    told = [(each.place, *each.fact.partition(": ")[::2]) for each in table.quarantined]
    return [
        {"row_id": place, "drop_reason": reason, "detail": detail or reason, "stage": stage}
        for place, reason, detail in told
    ]


def read_lines(summary: dict[str, Any]) -> list[str]:
    """The summary's part on reading, in words."""
    left_out = _list(summary["left_out"]) or "nothing"
    lines = [f"comparing: {_list(summary['comparing'])}; left out: {left_out}"]
    if summary.get("searched_too"):
        lines.append(f"left out as parts, but searched for items too: {_list(summary['searched_too'])}")
    if summary["passed_over"]:
        lines.append(f"not read, since they are no data: {_list(summary['passed_over'])}")
    if summary["quarantined"]:
        places = summary["quarantined_places"]
        lines.append(
            f"{how_many(summary['quarantined'], 'row')} could not be read (--dropped lists them by place and reason):"
        )
        lines += [f"- {each['place']}: {each['reason']}" for each in places[:NAMED]]
        if len(places) > NAMED:
            lines.append("- ...")
    if summary["cut_off"]:
        lines.append(f"breaks off, and what follows is unknown: {_list(summary['cut_off'])}")
    return lines


def check_whole(table: Table) -> None:
    """Refuses what was read only in part, once it is worked out and written.

    Raises:
        InputError: a file breaks off, with the place and the reason.
    """
    if table.cut_off:
        first, more = table.cut_off[0], len(table.cut_off) - 1
        others = f", and {more} more files" if more else ""
        raise InputError(
            f"{first.place}: breaks off here ({first.fact.partition(': ')[2] or first.fact}){others}; how many rows "
            "follow is unknown, those before it are worked out; fetch or write the file again"
        )


def shared_lines(summary: dict[str, Any], effect: str) -> list[str]:
    """Which texts count for nothing, part by part."""
    told = [
        f"{part} ({how_many(held['texts'], 'text')} in {how_many(held['rows'], 'row')})"
        for part, held in summary["shared_texts"].items()
    ]
    return [f"shared by many rows, these {effect}: {_list(told)}"] if told else []


def _list(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(name or "(no name)" for name in names[:_SHOWN]) + more
