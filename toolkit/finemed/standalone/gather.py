"""What is gathered from the rows of all files of a table: parts, ids, and what its other columns hold.

::

    seen = Seen((), ("id",), named=False)
    seen.take({"id": 7, "question": "Why?", "reply_de": "Ruhe und viel Trinken."})
    seen.settle()
    seen.compared      ->  {"question", "reply_de"}     # the second by its values, `sources.content`
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Container
from typing import Any

import polars as pl

from finemed.errors import ConfigError
from finemed.sources.content import Untold, guessed_parts, holds, without_bytes
from finemed.sources.files import InputFile
from finemed.sources.part_columns import own_column
from finemed.sources.part_names import Kind, is_metadata, named_kind, part_kind
from finemed.sources.parts import Part, column_of, read_parts
from finemed.sources.paths import named_paths, schema_paths
from finemed.sources.raw import sample
from finemed.sources.turns import UnusableError

MANY_FIELDS = 200
"""Different fields of a column's objects from which on their keys are values."""
_NUMBER = re.compile(r"\[\d+\]")
PARTS = pl.Schema({"row": pl.UInt32(), "part": pl.String(), "kind": pl.String(), "text": pl.String()})


class Seen:
    """Takes rows in one after the other; what no name tells is told by `settle` when all are in."""

    def __init__(self, on: tuple[str, ...], id_columns: tuple[str, ...], *, named: bool) -> None:
        """Starts without a row.

        Args:
            on: columns to look at, or paths into them; nothing takes all that a trainer would see.
            id_columns: where ids may be.
            named: somebody named `on`, so that nothing else is looked at.
        """
        self.on = on
        self.compared: set[str] = set()
        self.left_out: set[str] = set()
        self.skipped: set[str] = set()
        """Paths of fields inside of compared columns that are not looked at."""
        self.guessed: dict[str, Kind] = {}
        """Columns that are compared for what they hold, not for their names."""
        self.constant: list[str] = []
        """Columns that would be labels if their values differed; numbers are none."""
        self.plain = False
        """Whether a row has a question or an answer in a column of its own, not inside of others only."""
        self.nested: dict[str, bool] = {}
        """Paths to what may be parts inside of columns; whether they hold nothing but truth values."""
        self._named = named
        self._inside = {path.partition(".")[0] for path in on if "." in path}
        self._strong: set[str] = set()
        self._held: dict[str, list[str | None]] = {name: [] for name in id_columns}
        self._untold = Untold(on)
        self._others: dict[str, tuple[list[int], list[Any]]] = {}
        """Rows and values of columns whose names do not tell what they hold."""
        self._shapes: Counter[tuple[str, bool]] = Counter()
        """Column, and whether an object -> rows of the file."""
        self._told: dict[str, bool] = {}
        self._columns: dict[str, str] = {}
        """Part -> the column, or the path in `on`, that it is in."""
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
            parts = read_parts(values, self.on, self.skipped)
        except UnusableError as fault:
            return str(fault)
        self._look_inside(values, parts)
        columns = {*values, *self.on}
        for part in parts:
            self._add(self._height, part, columns)
        for name, column in self._held.items():
            column.append(as_text(values.get(name)))
        for name, value in values.items():
            if name not in self.compared:
                self._look_at(name, value)
            if name in self._inside:
                self._look_below(name, value)
        self._height += 1
        return None

    def _look_at(self, name: str, value: Any) -> None:
        """Takes in the value of a column that is not compared so far."""
        if value is None or value == "":
            return
        if not self._named and name in self._untold:
            if isinstance(value, bytes | dict | list):
                value = without_bytes(value)  # pictures are not held
            if self._untold.add(name, value):
                rows, held = self._others.setdefault(name, ([], []))
                rows.append(self._height)
                held.append(value)
        elif name not in self.left_out and holds(value):
            self.left_out.add(name)

    def _look_below(self, path: str, value: Any) -> None:
        """Takes in what lies beside the paths that are compared, inside of the same column."""
        items = [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, dict)]
        for key in dict.fromkeys(key for item in items for key in item):
            below = f"{path}.{key}"
            if below in self.on:
                continue
            held = [item.get(key) for item in items] if isinstance(value, list) else items[0][key]
            if any(each.startswith(f"{below}.") for each in self.on):
                inner = [each for one in held for each in (one if isinstance(one, list) else [one])] if held else []
                self._look_below(below, inner if isinstance(value, list) else held)
            elif isinstance(value, list) and is_metadata(key):
                self.skipped.add(f"{path}[].{key}")
            elif below not in self.compared and holds(held):
                self._look_at(below, held)

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
            if isinstance(value, str | list | dict) and self._is_text(name):
                of = isinstance(value, dict)
                self._shapes[name, of] += 1
                if of and self._shapes[name, False] >= self._shapes[name, True]:
                    odd = odd or name
        return odd

    def _is_text(self, name: str) -> bool:
        """Whether a column is compared as text whatever its values are."""
        if name not in self._told:
            known = name in self.on if self.on else named_kind(name) not in (None, "label")
            self._told[name] = known
        return self._told[name]

    def _add(self, row: int, part: Part, columns: Container[str]) -> None:
        self._rows.append(row)
        self._names.append(part.name)
        self._kinds.append(part.kind)
        self._texts.append(part.text)
        if part.name not in self._columns:
            self._columns[part.name] = own_column(part.name, columns) or column_of(part.name)
            self.compared.add(self._columns[part.name])

    def settle(self) -> None:
        """Decides on the columns that no name tells, by all of their values."""
        kinds = self._untold.kinds(self._height)
        for name, (rows, values) in self._others.items():
            if name in self.compared:  # options beside a question that earlier rows lack
                continue
            if name not in kinds:
                self.left_out.add(name)
                tally = self._untold.tallies[name]
                if tally.is_constant(self._height) and not (tally.numbers or is_metadata(name)):
                    self.constant.append(name)
                continue
            self.guessed[name] = kinds[name]
            for row, value in zip(rows, values, strict=True):
                for part in guessed_parts(name, kinds[name], value, self.skipped):
                    self._add(row, part, (name,))
        self._others.clear()

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
                for path, flag in named_paths(name, value).items():
                    self.nested[path] = self.nested.get(path, True) and flag

    def paths(self, columns: list[str]) -> list[str]:
        """What is to be compared where the questions and answers lie inside of other columns."""
        own = [
            name for name in columns if name in self._strong or (name in self.compared and part_kind(name) == "label")
        ]
        return [*own, *(path for path in self.nested if path.partition(".")[0] not in own)]

    def has_texts(self, columns: list[str]) -> bool:
        """Whether any column holds texts that are compared."""
        kinds = [self.guessed.get(name) or named_kind(name) for name in columns]
        return any(kind is not None and kind != "label" for kind in kinds) or any(
            kind != "label" for kind in self._kinds
        )

    def texts_in(self, columns: list[str]) -> bool:
        """Whether some of these columns are compared as texts."""
        return any(self.guessed.get(name, named_kind(name)) not in (None, "label") for name in columns) or not {
            *columns
        }.isdisjoint(self._strong | self._inside | set(self.on))

    def wanted(self, schema: Any) -> list[str]:
        """The columns of a Parquet file that have to be read; the others are left out."""
        names = []
        for column in schema:
            inside = any(path.startswith(f"{column.name}.") for path in self.on)
            told = inside or column.name in self.on or (not self.on and named_kind(column.name) is not None)
            self.nested.update(schema_paths(column))
            if (
                told
                or column.name in self._held
                or (not self._named and column.name in self._untold and _may_tell(column))
            ):
                names.append(column.name)
            elif str(column.type) != "null":
                self.left_out.add(column.name)
        return names

    def parts(self) -> pl.DataFrame:
        """All parts by row, those of columns that their values told last."""
        keyed = self._by_place()
        columns = (self._rows, self._names, self._kinds, self._texts)
        found = pl.DataFrame(dict(zip(PARTS, columns, strict=True)), schema=PARTS)
        return found.sort("row", maintain_order=True) if self.guessed or keyed else found

    def _by_place(self) -> bool:
        """Numbers the fields of objects whose keys are values, such as names of drugs; the keys are a label then."""
        fields = {(column, _NUMBER.sub("", name)) for name, column in self._columns.items()}
        counts = Counter(column for column, _ in fields)
        wide = {name: column for name, column in self._columns.items() if counts[column] > MANY_FIELDS}
        held: dict[tuple[int, str], list[str]] = {}
        for at, name in enumerate(self._names) if wide else ():
            if name in wide:
                keys = held.setdefault((self._rows[at], wide[name]), [])
                self._names[at] = f"{wide[name]}[{len(keys)}]"
                keys.append(name)
        for (row, column), keys in held.items():
            place = Part(f"{column}[].keys", "label", json.dumps(keys, ensure_ascii=False))
            self._add(row, place, (column,))
        return bool(wide)

    def ids(self, target: str, named: str | None, columns: list[str]) -> tuple[pl.Series | None, str | None]:
        """The first column that is an id, and its name."""
        if named is not None and named not in columns:
            raise ConfigError(no_column("--id", named, columns))
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


def as_text(value: Any) -> str | None:
    """A value as text, for ids, groups and the like."""
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


def no_column(option: str, name: str, columns: list[str]) -> str:
    """What is said of a column that is not there."""
    return f"{option}: there is no column `{name}`; there are {', '.join(columns)}"


def _may_tell(column: Any) -> bool:
    """Whether the type of a column lets its values keep rows apart: vectors do not."""
    import pyarrow.types as types

    inner = column.type
    while types.is_list(inner) or types.is_large_list(inner) or types.is_fixed_size_list(inner):
        inner = inner.value_type
    if inner is not column.type and types.is_floating(inner):
        return bool(types.is_list(column.type))
    number = types.is_integer(inner) or types.is_floating(inner) or types.is_temporal(inner) or types.is_boolean(inner)
    return not (number and is_metadata(column.name)) and str(column.type) != "null"
