"""Anybody's dataset as one table, for the commands that work on a file alone: what is compared, rows to write again.

::

    table = open_table("data/train.parquet")
    table.ids[16], table.parts.row(40)  ->  "train.parquet:17", (16, "question", "question", "How is croup recognised?")
    table.write(Path("kept.parquet"), [0, 1, 16])      # those rows, as they came in

Everything that a build reads is read: Parquet, JSONL, JSON, CSV and text files, folders of them, and datasets on the
Hub (`hf://owner/name`). A record that cannot be used is quarantined by place and reason, and its file goes on.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from finemed.config import SourceConfig
from finemed.errors import ConfigError, InputError
from finemed.sources.content import guessed_parts
from finemed.sources.files import EMPTY, UNKNOWN, InputFile, Quarantined
from finemed.sources.output import write_jsonl
from finemed.sources.output_parquet import write_parquet_rows
from finemed.sources.part_columns import own_column
from finemed.sources.part_names import Kind, chosen_kind, named_kind
from finemed.sources.records import find_files
from finemed.sources.rows import Columns, Lines, Rows
from finemed.sources.streams import BreakError
from finemed.sources.texts import texts_of
from finemed.standalone.gather import Seen, as_text, no_column
from finemed.store.atomic import write_with
from finemed.store.shards import write_parquet

ID_COLUMNS = ("id", "row_id", "instruction_id", "passage_id", "doc_id", "document_id", "uuid")
"""Where an id is looked for; a column counts if it is unique and whole."""
_NAMED = 3
SHORTEST = 20
"""Characters of a text that can hold a benchmark's item."""
_TURN = re.compile(r"\[\d+\](?:\[\])?")
_TEXT_BESIDE = "not_data: a text beside data files"
_SHOWN = ("text", "instruction", "question", "prompt", "messages", "response", "output", "answer")


@dataclass(frozen=True)
class Table:
    """Rows of all files in their order: their ids, what is compared of them, and where they can be had again."""

    name: str
    ids: pl.Series
    parts: pl.DataFrame
    """Of `PARTS`: the texts that are compared, sorted by row, then as they stand in the row."""
    compared: list[str]
    """Columns whose texts are in `parts`."""
    left_out: list[str]
    """Other columns that hold anything, and fields inside of those that are compared, `messages[].name`."""
    quarantined: list[Quarantined]
    passed_over: list[Quarantined]
    """Files that lie beside the data and are none, each with the rule that it falls under."""
    id_column: str | None
    """None where rows are named by their places."""
    columns: list[str]
    """All columns, in the order in which they turn up."""
    _files: list[Rows] = field(repr=False)
    _named: bool = False
    """Whether the columns to compare were named."""
    guessed: dict[str, Kind] = field(default_factory=dict)
    """Columns that are compared for what they hold, not for their names, and what they are."""
    _chosen: bool = False
    """Whether somebody named them, so that nothing else is looked at."""
    constant: list[str] = field(default_factory=list)
    """Columns left out that would be labels if their values differed."""

    @property
    def height(self) -> int:
        """Rows that can be used."""
        return self.ids.len()

    @property
    def lost(self) -> int:
        """Rows that are quarantined; a file that breaks off counts one."""
        return sum(found.rows for found in self.quarantined)

    @property
    def cut_off(self) -> list[Quarantined]:
        """Places from which on a file cannot be read, so that nobody knows how many rows are lost."""
        return [found for found in self.quarantined if _is_break(found.fact)]

    def texts(self, *, whole: bool) -> pl.Series:
        """One text a row: its first question, or all its parts joined by blank lines; null where it has none."""
        texts = self.parts.filter(pl.col("kind") != "label")
        chosen = texts if whole or self._named else texts.filter(pl.col("kind") == "question").group_by("row").first()
        joined = chosen.group_by("row").agg(pl.col("text").str.join("\n\n"))
        rows = pl.DataFrame({"row": pl.Series(range(self.height), dtype=pl.UInt32())})
        return rows.join(joined, on="row", how="left", maintain_order="left")["text"]

    def unlabelled(self, answer: str | None = None) -> Table:
        """Without labels among what is compared: they are no texts; `answer` names a column that stays."""
        label = (pl.col("kind") == "label") & (pl.col("part") != (answer or ""))
        parts = self.parts.filter(~label)
        gone = set(self.parts.filter(label)["part"]) - set(parts["part"])
        emptied = {own_column(name, self.compared) for name in gone}
        emptied -= {own_column(name, self.compared) for name in parts["part"].unique()}
        compared = [name for name in self.compared if name not in gone and name not in emptied]
        left_out = [name for name in self.columns if name in gone or name in self.left_out]
        inner = {_TURN.sub("[]", name) for name in gone if name not in self.columns and name[-2:] != "[]"}
        left_out += sorted({name for name in self.left_out if name not in self.columns} | inner)
        return replace(self, parts=parts, compared=compared, left_out=left_out)

    def set_aside(self, names: Sequence[str | None]) -> Table:
        """Without columns that are compared only for what they hold; others stay."""
        gone = {name for name in names if name is not None and name in self.guessed}
        if not gone:
            return self
        mine = [part for part in self.parts["part"].unique() if own_column(part, gone) is not None]
        inner = [name for name in self.left_out if name not in self.columns]
        return replace(
            self,
            parts=self.parts.filter(~self.parts["part"].is_in(mine)),
            compared=[name for name in self.compared if name not in gone],
            left_out=[*(name for name in self.columns if name in gone or name in self.left_out), *inner],
            guessed={name: kind for name, kind in self.guessed.items() if name not in gone},
        )

    def with_columns(self, kinds: dict[str, Kind]) -> Table:
        """With further columns among what is compared."""
        added = {name: kind for name, kind in kinds.items() if name in self.columns and name not in self.compared}
        if not added:
            return self
        rows: dict[str, list[Any]] = {name: [] for name in self.parts.columns}
        values = (row for rows in self._files for row in rows.values(list(added)))
        for number, row in enumerate(values):
            for name, kind in added.items():
                for part in guessed_parts(name, kind, row[name], set()):
                    for column, value in zip(rows, (number, *part), strict=True):
                        rows[column].append(value)
        parts = pl.concat([self.parts, pl.DataFrame(rows, schema=self.parts.schema)]).sort("row", maintain_order=True)
        return replace(
            self,
            parts=parts,
            compared=[name for name in self.columns if name in added or name in self.compared],
            left_out=[name for name in self.left_out if name not in added],
            guessed=self.guessed | added,
        )

    def column(self, name: str | None, option: str) -> pl.Series | None:
        """A further column by name, as text; values that are more than one are JSON.

        Raises:
            ConfigError: there is none of this name.
        """
        if name is None:
            return None
        if name not in self.columns:
            raise ConfigError(no_column(option, name, self.columns))
        values = [as_text(row[name]) for rows in self._files for row in rows.values([name])]
        return pl.Series(name, values, pl.String())

    def beside(self) -> pl.DataFrame:
        """Texts of columns and fields that are left out, by their paths; none where the columns were named."""
        names = [] if self._chosen else [name for name in self.columns if self._is_part_left_out(name)]
        found: dict[str, list[Any]] = {"row": [], "part": [], "text": []}
        number = 0
        for rows in self._files if names else ():
            own = [name for name in names if name in rows.names and may_hold_text(rows, name)]
            for values in rows.values(own) if own else ():
                for path, text in texts_of(values):
                    if isinstance(text, str) and len(text) >= SHORTEST:
                        for column, value in zip(found.values(), (number, path, as_text(text)), strict=True):
                            column.append(value)
                number += 1
            number += 0 if own else rows.height
        return pl.DataFrame(found, schema={"row": pl.UInt32(), "part": pl.String(), "text": pl.String()})

    def _is_part_left_out(self, name: str) -> bool:
        return any(each == name or each.startswith((f"{name}.", f"{name}[")) for each in self.left_out)

    def number(self, row_id: str) -> int:
        """Place of a row by its id.

        Raises:
            InputError: no row has it.
        """
        found = self.ids.index_of(row_id)
        if found is None:
            first = ", ".join(self.ids.head(3))
            raise InputError(f"{self.name}: no row has the id {row_id}; ids here look like {first}")
        return found

    def write(self, path: Path, keep: Sequence[int] | Any, extra: dict[str, pl.Series] | None = None) -> None:
        """Writes rows as they came in, in their order, as Parquet or JSONL by the ending, atomically.

        Args:
            path: ends in .parquet or .jsonl.
            keep: numbers of rows, or a mask with a value for each.
            extra: columns to add or to replace, with a value for every row of the table.

        Raises:
            ConfigError: another ending.
            InputError: a value has no form in the other format; with its place.
        """
        check_endings(path)
        write = write_parquet_rows if path.suffix == ".parquet" else write_jsonl
        mask = _mask(keep, self.height)
        added = {name: values.to_list() for name, values in (extra or {}).items()}
        write_with(path, lambda temporary: write(temporary, self._files, mask, added))


def open_table(target: str, *, on: Sequence[str] = (), row_id: str | None = None) -> Table:
    """Reads a dataset.

    Args:
        target: file, folder, glob or `hf://owner/name`.
        on: columns to compare, or paths into them (`fields.prompt`); nothing takes those of `COLUMN_KINDS` that there
            are, and where no question and no answer is a column, what lies inside of others under such names.
        row_id: column of the ids; None takes the first of `ID_COLUMNS` that is unique, or else the place: file and
            line, `[16]` in a JSON list, the row's number in Parquet.

    Raises:
        InputError: nothing can be read there.
        ConfigError: there is no such column.
    """
    return _open(target, tuple(on), row_id, named=True)


def _open(
    target: str, on: tuple[str, ...], row_id: str | None, *, named: bool, strays: Sequence[Quarantined] = ()
) -> Table:
    """As `open_table`; `on` may be paths that nobody `named`, but that were seen; `strays` are files without texts."""
    passed_over: list[Quarantined] = [*strays]
    files = [file for file in _find(target, passed_over) if file.name not in {stray.place for stray in strays}]
    seen = Seen(on, (row_id,) if row_id else ID_COLUMNS, named=bool(on) and named)
    held: list[Rows] = []
    broken: list[Quarantined] = []
    for file in files:
        try:
            held.append(_rows(file, seen))
        except BreakError as fault:
            broken.append(Quarantined(f"{file.name}:1", str(fault)))
    passed_over += [
        Quarantined(rows.file.name, EMPTY, 0) for rows in held if isinstance(rows, Lines) and _is_empty(rows)
    ]
    quarantined = [found for rows in held for found in rows.quarantined] + broken
    if not sum(rows.height for rows in held):
        empty = [Quarantined(f"{rows.file.name}:1", EMPTY, 0) for rows in held if _is_empty(rows)]
        raise InputError(f"{target}: no row can be read: {_first([*quarantined, *empty])}")
    seen.settle()
    columns = list(dict.fromkeys(name for rows in held for name in rows.names))
    _check_on(on, columns, seen, named=named)
    if (
        not on
        and not seen.plain
        and any(not flag and chosen_kind(path) != "label" for path, flag in seen.nested.items())
    ):
        return _open(target, tuple(seen.paths(columns)), row_id, named=False, strays=strays)
    if not on and not seen.has_texts(columns):
        raise ConfigError(
            f"{target}: no column is known to hold what is compared ({', '.join(_SHOWN)}, ...); name some of "
            f"{', '.join(columns)} with --on"
        )
    if not (on and named) and (found := _strays(held, seen)):
        return _open(target, on, row_id, named=named, strays=[*strays, *found])
    ids, id_column = seen.ids(target, row_id, columns)
    if ids is None:
        ids = pl.Series("id", [place for rows in held for place in rows.places], pl.String())
    compared = [name for name in columns if name in seen.compared]
    known = [name for name in columns if named_kind(name) not in (None, "label")]
    paths = [path for path in (*on, *seen.guessed) if path in seen.compared and path not in columns]
    compared = [*compared, *paths] or [*on] or known
    inside = {path[:at] for path in compared for at, char in enumerate(path) if char == "."}
    left_out = [name for name in columns if name in seen.left_out and name not in (id_column, *compared, *inside)]
    table = Table(
        target,
        ids,
        seen.parts(),
        compared,
        [*left_out, *sorted(seen.skipped | (seen.left_out - set(columns)))],
        quarantined,
        passed_over,
        id_column,
        columns,
        held,
        bool(on),
        seen.guessed,
        bool(on) and named,
        seen.constant,
    ).set_aside([id_column])
    return replace(table, left_out=[name for name in table.left_out if name != id_column])


def _find(target: str, passed_over: list[Quarantined]) -> list[InputFile]:
    """The data files of a target; a text beside them is none."""
    source = SourceConfig(name="table", path=target, layout="documents")
    try:
        files = [replace(file, whole=True) for file in find_files(source, Path(), passed_over=passed_over)]
    except InputError as error:  # it speaks of the setting that a build has for it
        message = str(error).removeprefix("source `table`: ").replace("`sources.path`", "the path")
        raise InputError(message.replace("set `format` to one of", "name it so that it ends in one of")) from None
    if all(file.format in ("text", UNKNOWN) for file in files):
        return files
    passed_over += [Quarantined(file.name, _TEXT_BESIDE, 0) for file in files if file.format == "text"]
    return [file for file in files if file.format != "text"]


def _check_on(on: tuple[str, ...], columns: list[str], seen: Seen, *, named: bool) -> None:
    for name in on:
        outer = next((column for column in columns if name.startswith(f"{column}.")), None)
        if name not in columns and outer is None:
            raise ConfigError(no_column("--on", name, columns))
        if named and name not in columns and name not in seen.compared:
            there = ", ".join(seen.nested) or f"`{outer}`, whose inner columns have no known names"
            raise ConfigError(f"--on: no row holds anything under `{name}`; there are {there}")


def _strays(held: list[Rows], seen: Seen) -> list[Quarantined]:
    """Files whose rows have no column that is compared as text, beside others that do."""
    texts = [not rows.height or seen.texts_in(list(rows.names)) for rows in held]
    if all(texts) or not any(rows.height for rows, of in zip(held, texts, strict=True) if of):
        return []
    return [
        Quarantined(rows.file.name, f"no_parts: none of its columns is compared: {', '.join(rows.names)}", 0)
        for rows, of in zip(held, texts, strict=True)
        if not of
    ]


def _is_empty(rows: Rows) -> bool:
    return not rows.height and not rows.quarantined


def _is_break(fact: str) -> bool:
    """Whether a fault ends the reading of its file without saying how many rows it costs."""
    return (fact.startswith("unreadable_file") and not fact.endswith("are lost")) or any(
        mark in fact for mark in ("the array is not closed", "the rest of the array")
    )


def check_endings(*paths: Path | None) -> None:
    """Refuses outputs whose format is unknown, before anything is worked out.

    Raises:
        ConfigError: a path ends in neither .parquet nor .jsonl.
    """
    for path in paths:
        if path is not None and path.suffix not in (".parquet", ".jsonl", ".ndjson"):
            raise ConfigError(f"{path}: ends in neither .parquet nor .jsonl; name the output so")


def write_table(path: Path, rows: pl.DataFrame) -> None:
    """Writes rows of our own, such as a ledger's, as Parquet or JSONL, by the ending, atomically.

    Raises:
        ConfigError: another ending.
    """
    check_endings(path)
    if path.suffix == ".parquet":
        write_parquet(path, rows)
    else:
        write_with(path, rows.write_ndjson)


def _rows(file: InputFile, seen: Seen) -> Rows:
    if file.format == "parquet":
        return Columns.read(file, seen.wanted, seen.take)
    seen.begin(file)
    return Lines.read(file, seen.take)


def may_hold_text(rows: Rows, name: str) -> bool:
    """Whether a column can hold text; one of a Parquet file may be numbers and dates only."""
    if isinstance(rows, Lines) or name not in rows.schema.names:  # a partition's, `lang=en`
        return True
    return any(word in str(rows.schema.field(name).type) for word in ("string", "utf8"))


def _mask(keep: Any, height: int) -> Any:
    import numpy as np

    given = keep.to_numpy() if isinstance(keep, pl.Series) else np.asarray(keep)
    if given.dtype == bool:
        return given
    mask = np.zeros(height, dtype=bool)
    mask[given.astype(np.int64)] = True
    return mask


def _first(quarantined: list[Quarantined]) -> str:
    told = [f"{found.place}: {found.fact}" for found in quarantined[:_NAMED]]
    more = f" and {len(quarantined) - _NAMED:,} more" if len(quarantined) > _NAMED else ""
    return ("; ".join(told) or "it holds none") + more
