"""Anybody's dataset as one table, for the commands that work on a file alone: what is compared, rows to write again.

::

    table = open_table("data/train.parquet")
    table.ids[16], table.parts.row(40)  ->  "train.parquet:17", (16, "question", "question", "How is croup recognised?")
    table.write(Path("kept.parquet"), [0, 1, 16])      # those rows, as they came in

Everything that a build reads is read: Parquet, JSONL, JSON, CSV and text files, folders of them, and datasets on the
Hub (`hf://owner/name`). A record that cannot be used is quarantined by place and reason, and its file goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from finemed.config import SourceConfig
from finemed.errors import ConfigError, InputError
from finemed.sources.files import InputFile, Quarantined
from finemed.sources.output import write_jsonl
from finemed.sources.output_parquet import write_parquet_rows
from finemed.sources.part_names import chosen_kind, part_kind, text_kind
from finemed.sources.parts import Part, column_of, read_parts
from finemed.sources.paths import named_paths, schema_paths
from finemed.sources.raw import sample
from finemed.sources.records import find_files
from finemed.sources.rows import Columns, Lines, Rows
from finemed.sources.streams import BreakError
from finemed.sources.turns import UnusableError
from finemed.store.atomic import write_with
from finemed.store.shards import write_parquet

ID_COLUMNS = ("id", "row_id", "instruction_id", "passage_id", "doc_id", "document_id", "uuid")
"""Where an id is looked for; a column counts if it is unique and whole."""
PARTS = pl.Schema({"row": pl.UInt32(), "part": pl.String(), "kind": pl.String(), "text": pl.String()})
_NAMED = 3
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
    """Other columns that hold anything."""
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

    @property
    def height(self) -> int:
        """Rows that can be used."""
        return self.ids.len()

    @property
    def lost(self) -> int:
        """Rows that are quarantined; a file that breaks off counts one."""
        return sum(found.rows for found in self.quarantined)

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
        compared = [name for name in self.compared if name not in gone]
        left_out = [name for name in self.columns if name in gone or name in self.left_out]
        return replace(self, parts=parts, compared=compared, left_out=left_out)

    def column(self, name: str | None, option: str) -> pl.Series | None:
        """A further column by name, as text; values that are more than one are JSON.

        Raises:
            ConfigError: there is none of this name.
        """
        if name is None:
            return None
        if name not in self.columns:
            raise ConfigError(_no_column(option, name, self.columns))
        values = [_plain(row[name]) for rows in self._files for row in rows.values([name])]
        return pl.Series(name, values, pl.String())

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


def _open(target: str, on: tuple[str, ...], row_id: str | None, *, named: bool) -> Table:
    """As `open_table`; `on` may be paths that nobody `named`, but that were seen."""
    passed_over: list[Quarantined] = []
    source = SourceConfig(name="table", path=target, layout="documents")
    try:
        files = [replace(file, whole=True) for file in find_files(source, Path(), passed_over=passed_over)]
    except InputError as error:  # it speaks of the setting that a build has for it
        message = str(error).removeprefix("source `table`: ").replace("`sources.path`", "the path")
        raise InputError(message.replace("set `format` to one of", "name it so that it ends in one of")) from None
    seen = _Seen(on, (row_id,) if row_id else ID_COLUMNS)
    held: list[Rows] = []
    broken: list[Quarantined] = []
    for file in files:
        try:
            held.append(_rows(file, seen))
        except BreakError as fault:
            broken.append(Quarantined(f"{file.name}:1", str(fault)))
    quarantined = [found for rows in held for found in rows.quarantined] + broken
    if not sum(rows.height for rows in held):
        raise InputError(f"{target}: no row can be read: {_first(quarantined)}")
    columns = list(dict.fromkeys(name for rows in held for name in rows.names))
    for name in on:
        outer = next((column for column in columns if name.startswith(f"{column}.")), None)
        if name not in columns and outer is None:
            raise ConfigError(_no_column("--on", name, columns))
        if named and name not in columns and not any(column_of(each) == name for each in seen.compared):
            there = ", ".join(seen.nested) or f"`{outer}`, whose inner columns have no known names"
            raise ConfigError(f"--on: no row holds anything under `{name}`; there are {there}")
    if not on and not seen.plain and any(chosen_kind(path) != "label" for path in seen.nested):
        return _open(target, tuple(seen.paths(columns)), row_id, named=False)
    known = [name for name in columns if text_kind(name) is not None]
    if not known and not on:
        raise ConfigError(
            f"{target}: no column is known to hold what is compared ({', '.join(_SHOWN)}, ...); name some of "
            f"{', '.join(columns)} with --on"
        )
    ids, id_column = seen.ids(target, row_id, columns)
    if ids is None:
        ids = pl.Series("id", [place for rows in held for place in rows.places], pl.String())
    compared = [name for name in columns if name in seen.compared]
    compared = [*compared, *(path for path in on if path in seen.compared and path not in columns)] or [*on] or known
    inside = {path[:at] for path in compared for at, char in enumerate(path) if char == "."}
    left_out = [name for name in columns if name in seen.left_out and name not in (id_column, *compared, *inside)]
    return Table(
        target, ids, seen.parts(), compared, left_out, quarantined, passed_over, id_column, columns, held, bool(on)
    )


class _Seen:
    """What is gathered from the rows of all files."""

    def __init__(self, on: tuple[str, ...], id_columns: tuple[str, ...]) -> None:
        self.on = on
        self.compared: set[str] = set()
        self.left_out: set[str] = set()
        self.plain = False
        """Whether a row has a question or an answer in a column of its own, not inside of others only."""
        self.nested: dict[str, None] = {}
        """Paths to what may be parts inside of columns."""
        self._strong: set[str] = set()
        self._shapes: Counter[tuple[str, bool]] = Counter()
        """Column, and whether an object -> rows of the file."""
        self._held: dict[str, list[str | None]] = {name: [] for name in id_columns}
        self._rows: list[int] = []
        self._names: list[str] = []
        self._kinds: list[str] = []
        self._texts: list[str] = []
        self._height = 0

    def take(self, values: dict[str, Any]) -> str | None:
        """The parts and the ids of a row; its fault if it cannot be used."""
        if (odd := self._odd_one(values)) is not None:
            return f"not_string: `{odd}` is an object, though it is text in other rows"
        try:
            parts = read_parts(values, self.on)
        except UnusableError as fault:
            return str(fault)
        self._look_inside(values, parts)
        for name, kind, text in parts:
            self._rows.append(self._height)
            self._names.append(name)
            self._kinds.append(kind)
            self._texts.append(text)
            self.compared.add(column_of(name))
        for name, column in self._held.items():
            column.append(_plain(values.get(name)))
        for name in values.keys() - self.compared - self.left_out:
            if _holds(values[name]):
                self.left_out.add(name)
        self._height += 1
        return None

    def begin(self, file: InputFile) -> None:
        """Looks at the first rows of a file, so that the one object among texts is told from the texts."""
        self._shapes.clear()
        if file.format in ("json", "jsonl"):
            for values in sample(file):
                self._odd_one(values)

    def _odd_one(self, values: dict[str, Any]) -> str | None:
        """A column that is compared and holds an object in this row, though most rows before have a text there."""
        odd = None
        for name, value in values.items():
            if isinstance(value, str | list | dict) and (name in self.on if self.on else text_kind(name) is not None):
                of = isinstance(value, dict)
                self._shapes[name, of] += 1
                if of and self._shapes[name, False] >= self._shapes[name, True]:
                    odd = odd or name
        return odd

    def _look_inside(self, values: dict[str, Any], parts: list[Part]) -> None:
        for name, kind, _ in parts:
            column = column_of(name)
            if kind != "label" and column not in self._strong and (name != column or is_text(values.get(column))):
                self._strong.add(column)
                self.plain = self.plain or kind in ("question", "answer")
        if self.plain and not self.on:
            return
        for name, value in values.items():
            if isinstance(value, dict | list):
                self.nested.update(named_paths(name, value))

    def paths(self, columns: list[str]) -> list[str]:
        """What is to be compared where the questions and answers lie inside of other columns."""
        own = [
            name for name in columns if name in self._strong or (name in self.compared and part_kind(name) == "label")
        ]
        return [*own, *(path for path in self.nested if path.partition(".")[0] not in own)]

    def wanted(self, schema: Any) -> list[str]:
        """The columns of a Parquet file that have to be read; the others are left out."""
        names = []
        for column in schema:
            inside = any(path.startswith(f"{column.name}.") for path in self.on)
            compared = inside or column.name in self.on if self.on else part_kind(column.name) is not None
            self.nested.update(schema_paths(column))
            if compared or column.name in self._held:
                names.append(column.name)
            elif str(column.type) != "null":
                self.left_out.add(column.name)
        return names

    def parts(self) -> pl.DataFrame:
        columns = (self._rows, self._names, self._kinds, self._texts)
        return pl.DataFrame(dict(zip(PARTS, columns, strict=True)), schema=PARTS)

    def ids(self, target: str, named: str | None, columns: list[str]) -> tuple[pl.Series | None, str | None]:
        """The first column that is an id, and its name."""
        if named is not None and named not in columns:
            raise ConfigError(_no_column("--id", named, columns))
        for name, values in self._held.items():
            ids = pl.Series("id", values, pl.String())
            if not ids.null_count() and ids.n_unique() == ids.len():
                return ids, name
            if named:
                twice = ids.filter(ids.is_duplicated() | ids.is_null()).head(1).to_list()
                raise ConfigError(
                    f"{target}: `{name}` is no id: {twice[0]!r} stands more than once or is empty; name another with "
                    "--id"
                )
        return None, None


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


def _rows(file: InputFile, seen: _Seen) -> Rows:
    if file.format == "parquet":
        return Columns.read(file, seen.wanted, seen.take)
    seen.begin(file)
    return Lines.read(file, seen.take)


def _plain(value: Any) -> str | None:
    """A value as text, for ids, groups and the like."""
    import json

    if value is None or isinstance(value, str):
        return None if value is None else value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=True, default=str)
    return str(value)


def is_text(value: Any) -> bool:
    """Whether a value is a text or a list of texts; an object, as JSON too, is none."""
    if isinstance(value, list):
        return any(isinstance(item, str) for item in value)
    return isinstance(value, str) and not (value[:1] == "{" and value.rstrip()[-1:] == "}")


def _holds(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_holds, value.values()))
    if isinstance(value, list):
        return any(map(_holds, value))
    return value is not None and not (isinstance(value, str) and (not value or value.isspace()))


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


def _no_column(option: str, name: str, columns: list[str]) -> str:
    return f"{option}: there is no column `{name}`; there are {', '.join(columns)}"
