"""The rows of anybody's data in batches: each row's parts, and every text in it by the column that it stands in.

::

    batch.parts[0]              [Part("prompt", "question", "Why?"), Part("completion", "answer", "Rest.")]
    batch.columns["meta.by"]    Column(rows=[0, 3], texts=["J. Doe", "K. Roe"])

A column inside another is named by its path, messages by `messages.content`. JSON inside a string is looked into.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import polars as pl

from finemed.sources.content import guessed_parts
from finemed.sources.part_columns import is_untold, own_column
from finemed.sources.part_names import Kind, chosen_kind
from finemed.sources.parts import Part, read_parts
from finemed.sources.paths import named_paths, value_at
from finemed.sources.texts import json_in, shown, texts_of
from finemed.sources.turns import UnusableError

COLUMNS = 300
"""Columns that are told apart in a batch; texts of those beyond are looked at as one column."""
OTHERS = "further columns"
_SURROGATE = re.compile("[\ud800-\udfff]")


class Column(NamedTuple):
    """The texts of one column, and the rows of the batch that they are in."""

    rows: list[int]
    texts: list[str]

    def series(self) -> pl.Series:
        return pl.Series(self.texts, dtype=pl.String())


@dataclass
class Rows:
    """A batch of sound rows."""

    places: list[str] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    """Of the rows among all of the dataset, broken ones included."""
    files: list[int] = field(default_factory=list)
    values: list[Mapping[str, Any]] = field(default_factory=list)
    parts: list[list[Part]] = field(default_factory=list)
    columns: dict[str, Column] = field(default_factory=dict)
    halves: dict[int, list[str]] = field(default_factory=dict)
    """Rows with half of a surrogate pair, and their columns; such a half stands as ``?`` in the texts."""
    opaque: dict[str, list[int]] = field(default_factory=dict)
    """Columns of bytes, in which no text can be seen, and their rows."""
    partless: list[int] = field(default_factory=list)
    """Numbers of the rows whose parts cannot be read."""
    inside: dict[str, list[int]] = field(default_factory=dict)
    """Columns that are no part, and inside of which texts lie under the names of parts; numbers of the rows."""
    untold: set[str] = field(default_factory=set)
    """Columns of which nothing tells whether they are questions or answers, labels that nobody knows among them."""
    characters: int = 0

    def add(
        self,
        place: str,
        number: int,
        file: int,
        values: Mapping[str, Any],
        on: Sequence[str] = (),
        guessed: Mapping[str, Kind] | None = None,
    ) -> str | None:
        """Takes one row in; returns why its parts cannot be read, where they cannot.

        Args:
            place: names the row.
            number: of the row in the dataset.
            file: number of its file.
            values: its columns.
            on: where its questions and answers are, if the names of its columns do not say so.
            guessed: columns that are parts for what they hold, not for their names, and what they are.
        """
        at = len(self.places)
        self.places.append(place)
        self.numbers.append(number)
        self.files.append(file)
        found = list(texts_of(values))
        if broken := [path for path, text in found if isinstance(text, str) and not _whole(text)]:
            self.halves[at] = list(dict.fromkeys(broken))
            values = _mended(values)
            found = list(texts_of(values))
        self.values.append(values)
        unread = None
        try:
            parts = read_parts(values, on)
            known = {own_column(part.name, values) for part in parts} | {path.partition(".")[0] for path in on}
            told = [(name, kind) for name, kind in (guessed or {}).items() if name not in known]
            further = [part for name, kind in told for part in guessed_parts(name, kind, values.get(name), set())]
            open_names = {name for name, kind in told if kind in ("context", "label")}
            self.untold.update(part.column for part in further if is_untold(part.name, open_names))
            self.parts.append([*parts, *further])
            for name in _not_seen(values, [*parts, *(part for part in further if part.kind != "label")]):
                self.inside.setdefault(name, []).append(number)
        except UnusableError as error:
            self.parts.append([])
            self.partless.append(number)
            unread = str(error)
        for path, text in found:
            if isinstance(text, bytes):
                self.opaque.setdefault(path, []).append(at)
            elif text.strip():
                name = path if path in self.columns or len(self.columns) < COLUMNS else OTHERS
                column = self.columns.setdefault(name, Column([], []))
                column.rows.append(at)
                column.texts.append(text)
                self.characters += len(text)
        return unread

    def answers(self) -> tuple[list[int], list[str], pl.Series]:
        """Row, column and text of every answer."""
        found = [(at, part) for at, parts in enumerate(self.parts) for part in parts if part.kind == "answer"]
        texts = pl.Series([part.text for _, part in found], dtype=pl.String())
        return [at for at, _ in found], [part.name for _, part in found], texts


def _not_seen(values: Mapping[str, Any], parts: Sequence[Part]) -> Iterator[str]:
    """Columns that are no part, with texts under the names of parts inside."""
    known = {part.column.partition(".")[0] for part in parts} | {own_column(part.name, values) for part in parts}
    for name, value in values.items():
        held = json_in(value) if isinstance(value, str) else value
        if isinstance(held, dict | list) and name not in known:
            texts = (path for path in named_paths(name, held) if chosen_kind(path) != "label")
            if any(
                any(isinstance(text, str) and text.strip() for _, text in texts_of(_at(held, name, path)))
                for path in texts
            ):
                yield shown(name)


def _at(value: Any, name: str, path: str) -> Any:
    return value_at(value, path[len(name) + 1 :])


def _whole(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _mended(values: Any) -> Any:
    """The values with ``?`` for each half of a surrogate pair."""
    if isinstance(values, str):
        return _SURROGATE.sub("?", values)
    if isinstance(values, Mapping):
        return {_mended(name): _mended(value) for name, value in values.items()}
    if isinstance(values, list | tuple):
        return [_mended(value) for value in values]
    return values
