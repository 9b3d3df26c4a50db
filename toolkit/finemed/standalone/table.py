"""Anybody's dataset as one table with all its columns, for the commands that work on a file alone.

::

    table = open_table("data/train.parquet", text=("instruction",))
    table.ids[16], table.texts[16]  ->  "train.parquet:17", "How is croup recognised?"

Parquet, JSONL, JSON and CSV files, folders of them, and datasets on the Hub (`hf://owner/name`). A line that cannot be
read is an error here, not a drop: what comes out has to be the whole file but for what the command removes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from finemed.config import SourceConfig
from finemed.errors import ConfigError, InputError
from finemed.sources.csv import read_csv
from finemed.sources.files import InputFile
from finemed.sources.jsonl import read_json, read_jsonl
from finemed.sources.records import find_files
from finemed.sources.streams import unreadable
from finemed.store.atomic import write_with
from finemed.store.shards import write_parquet

TEXT_COLUMNS = ("text", "instruction", "question", "prompt", "messages", "conversations")
"""Where the text is looked for when it is not named."""
ANSWER_COLUMNS = ("response", "output", "answer", "completion", "chosen")
"""What is looked at beside the text where the answers count too."""
ID_COLUMNS = ("id", "row_id", "instruction_id", "passage_id", "doc_id", "document_id", "uuid")
"""Where an id is looked for; a column counts if it is unique and whole."""
_SPEAKERS = ("user", "human")


@dataclass(frozen=True)
class Table:
    """Rows with all their columns, and which of them is the id and the text."""

    name: str
    rows: pl.DataFrame
    ids: pl.Series
    texts: pl.Series
    id_column: str | None
    """None where rows are named by file and number."""
    text_columns: tuple[str, ...]

    def column(self, name: str | None, option: str) -> pl.Series | None:
        """A further column by name, as text.

        Raises:
            ConfigError: there is none of this name.
        """
        if name is None:
            return None
        if name not in self.rows.columns:
            raise ConfigError(_no_column(option, name, self.rows))
        return self.rows[name].cast(pl.String())

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


def open_table(target: str, *, text: Sequence[str] = (), row_id: str | None = None, answers: bool = False) -> Table:
    """Reads a dataset whole.

    Args:
        target: file, folder, glob or `hf://owner/name`.
        text: columns whose texts are looked at, joined by line breaks; of a conversation the first question. Nothing
            takes the first of `TEXT_COLUMNS` that there is.
        answers: with the answers: all turns of a conversation, and of `ANSWER_COLUMNS` those that there are.
        row_id: column of the ids; None takes the first of `ID_COLUMNS` that is unique, or else file and row number.

    Raises:
        InputError: nothing can be read there, or a line cannot.
        ConfigError: there is no such column.
    """
    files = find_files(SourceConfig(name="table", path=target, layout="documents"), Path())
    parts, names = [], []
    for file in files:
        part = _read(file)
        parts.append(part)
        names.append(pl.Series("id", [f"{file.name}:{number}" for number in range(1, part.height + 1)], pl.String()))
    rows = pl.concat(parts, how="diagonal_relaxed")
    if rows.is_empty():
        raise InputError(f"{target}: holds no row")
    columns = tuple(text) or _text_columns(target, rows, answers)
    texts = [_text_of(rows, name, answers).alias(name) for name in columns]
    whole = pl.DataFrame(texts).select(pl.concat_str(columns, separator="\n\n", ignore_nulls=True)).to_series()
    ids, id_column = _ids(target, rows, row_id)
    return Table(target, rows, pl.concat(names) if ids is None else ids, whole.alias("text"), id_column, columns)


def check_endings(*paths: Path | None) -> None:
    """Refuses outputs whose format is unknown, before anything is worked out.

    Raises:
        ConfigError: a path ends in neither .parquet nor .jsonl.
    """
    for path in paths:
        if path is not None and path.suffix not in (".parquet", ".jsonl", ".ndjson"):
            raise ConfigError(f"{path}: ends in neither .parquet nor .jsonl; name the output so")


def write_table(path: Path, rows: pl.DataFrame) -> None:
    """Writes rows as Parquet or JSONL, by the ending, atomically.

    Raises:
        ConfigError: another ending.
    """
    check_endings(path)
    if path.suffix == ".parquet":
        write_parquet(path, rows)
    else:
        write_with(path, rows.write_ndjson)


def _read(file: InputFile) -> pl.DataFrame:
    if file.format == "parquet":
        try:
            with file.place.open() as stream:
                return pl.read_parquet(stream.read())
        except (pl.exceptions.PolarsError, OSError) as error:
            raise InputError(f"{file.name}: {unreadable(file, error)}; repair the file, or leave it out") from None
    readers = {"jsonl": read_jsonl, "json": read_json, "csv": read_csv}
    if file.format not in readers:
        raise InputError(f"{file.name}: is {file.format}; give Parquet, JSONL, JSON or CSV")
    rows = []
    for number, line, columns, fault in readers[file.format](file):
        if fault is not None:
            raise InputError(f"{file.name}:{line or number}: {fault}; repair the line, or remove it")
        rows.append(columns)
    return pl.DataFrame(rows, infer_schema_length=None)


def _text_columns(target: str, rows: pl.DataFrame, answers: bool) -> tuple[str, ...]:
    for name in TEXT_COLUMNS:
        if name in rows.columns:
            conversation = name in ("messages", "conversations")
            beside = (
                [other for other in ANSWER_COLUMNS if other in rows.columns] if answers and not conversation else []
            )
            return (name, *beside)
    known = ", ".join(TEXT_COLUMNS)
    raise ConfigError(f"{target}: has none of the columns {known}; name one of {_names(rows)} with --text")


def _text_of(rows: pl.DataFrame, name: str, whole: bool) -> pl.Series:
    """A column as texts: as it is, or of a conversation the first question, or all turns."""
    if name not in rows.columns:
        raise ConfigError(_no_column("--text", name, rows))
    column = rows[name]
    if column.dtype == pl.String():
        return column
    if isinstance(column.dtype, pl.List) and isinstance(column.dtype.inner, pl.Struct):
        fields = {field.name for field in column.dtype.inner.fields}
        for role, content in (("role", "content"), ("from", "value")):
            if {role, content} <= fields:
                turn = pl.element().struct
                if whole:
                    said = pl.col(name).list.eval(turn.field(content))
                    return rows.select(said.list.join("\n\n", ignore_nulls=True)).to_series()
                asked = pl.element().filter(turn.field(role).is_in(_SPEAKERS)).first().struct.field(content)
                return rows.select(pl.col(name).list.eval(asked).list.first()).to_series()
    raise ConfigError(f"--text: `{name}` holds {column.dtype}; name a column of texts or of conversations")


def _ids(target: str, rows: pl.DataFrame, named: str | None) -> tuple[pl.Series | None, str | None]:
    if named is not None and named not in rows.columns:
        raise ConfigError(_no_column("--id", named, rows))
    for name in (named,) if named else ID_COLUMNS:
        if name in rows.columns and not rows[name].dtype.is_nested():
            ids = rows[name].cast(pl.String())
            if not ids.null_count() and ids.n_unique() == ids.len():
                return ids.alias("id"), name
            if named:
                twice = ids.filter(ids.is_duplicated() | ids.is_null()).head(1).to_list()
                raise ConfigError(
                    f"{target}: `{name}` is no id: {twice[0]!r} stands more than once or is empty; name another with "
                    "--id"
                )
    return None, None


def _no_column(option: str, name: str, rows: pl.DataFrame) -> str:
    return f"{option}: there is no column `{name}`; there are {_names(rows)}"


def _names(rows: pl.DataFrame) -> str:
    return ", ".join(rows.columns)
