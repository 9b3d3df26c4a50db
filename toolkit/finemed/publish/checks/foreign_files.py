"""The files of anybody's data, and what the records of each are.

::

    files, others = find_data("clone")
    files[0].layout    "alpaca"
    others             ["notes.txt"], which holds no records

Each file has a layout of its own; where none is known, the names of the columns may tell questions from answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path, PurePosixPath
from typing import Any

from finemed.config import SourceConfig
from finemed.errors import InputError
from finemed.publish.checks.foreign_order import MEND, plain
from finemed.sources.content import Untold, without_bytes
from finemed.sources.files import UNKNOWN, InputFile, Quarantined, writable
from finemed.sources.name_words import name_words
from finemed.sources.parquet import schema_names
from finemed.sources.part_names import Kind, chosen_kind, is_option, leaf, named_kind, part_kind
from finemed.sources.parts import Part, read_parts
from finemed.sources.paths import named_paths
from finemed.sources.raw import column_names, layout_of, raw_records, sample
from finemed.sources.records import find_files
from finemed.sources.rows import Placing
from finemed.sources.turns import UnusableError
from finemed.sources.written import written

_NAME = "dataset"
_SHOWN, _SHOWN_COLUMNS = 3, 8
_OF_REASONS = "explanation explanations exp rationale rationales reasoning cot thinking thought thoughts critique"
_REASONS = frozenset(_OF_REASONS.split())
"""Words of columns of answers that may be empty though the question is answered."""


@dataclass(frozen=True)
class DataFile(InputFile):
    """A file of which all columns are read, not just those that a build needs."""

    guessed: Mapping[str, Kind] = field(default_factory=dict)
    """Columns that are parts for what they hold, not for their names."""
    on: tuple[str, ...] = ()
    """Where its questions and answers are, `fields.prompt`, if they lie inside of other columns."""

    answered: bool = True
    """Whether it has columns of answers, explanations apart."""

    def wanted(self) -> set[str]:
        return set(schema_names(self)) if self.format == "parquet" else super().wanted()


def find_data(text: str) -> tuple[list[DataFile], list[str]]:
    """The files of a dataset with the layout of each, and the names of those that hold no records."""
    beside: list[Quarantined] = []
    try:
        source = SourceConfig(name=_NAME, path=text)
        found = find_files(source, Path(), passed_over=beside)
        data = [file for file in found if _holds_records(file)]
        guessed = guess(data)
        layouts = [_layout(source, file, guessed) for file in data]
    except InputError as error:  # it speaks of the setting that a build has for it
        message = str(error).removeprefix(f"source `{_NAME}`: ").replace("`sources.path`", "the path")
        raise InputError(message.replace("set `format` to one of", "name it so that it ends in one of")) from None
    if all(layout == "documents" for layout, _ in layouts):
        _refuse_objects(text, data)
        if not any(column_names(file, list(sample(file))) for file in data or found):
            _refuse_unreadable(text, data or found)
        raise InputError(
            f"{text}: its records are no questions with answers: {_columns_of(data)}; a record must have `messages`, "
            "`conversations`, `prompt` and `completion`, or `prompt`, `chosen` and `rejected`, or a column of "
            "questions and one of answers whose names tell, such as `question` and `answer`"
        )
    strays = [
        layout == "documents" and _is_stray(file, guessed) for file, (layout, _) in zip(data, layouts, strict=True)
    ]
    beside += [Quarantined(file.name, "", 0) for file, stray in zip(data, strays, strict=True) if stray]
    others = [*(file.name for file in found if not _holds_records(file)), *(each.place for each in beside)]
    # a file of documents among others is read like the rest, so that each of its rows is said to have no question
    files = [
        _whole(file, "question_answer" if layout == "documents" else layout, on, guessed)
        for file, (layout, on), stray in zip(data, layouts, strays, strict=True)
        if not stray
    ]
    return files, [name for name in others if not _is_known(name)]


def _columns_of(files: Sequence[InputFile]) -> str:
    """What the first files have instead: `answers.csv` has `id`, `content`."""
    told = []
    for file in files[:_SHOWN]:
        records = list(sample(file))
        known = column_names(file, records)
        names = [name for name in dict.fromkeys(key for values in records for key in values) if name in known]
        names += sorted(known.difference(names))
        more = f" and {len(names) - _SHOWN_COLUMNS} more" if len(names) > _SHOWN_COLUMNS else ""
        told.append(f"{file.name} has {', '.join(f'`{writable(name)[:80]}`' for name in names[:_SHOWN_COLUMNS])}{more}")
    return "; ".join(told) + (f"; and {len(files) - _SHOWN} more files" if len(files) > _SHOWN else "")


def _refuse_unreadable(text: str, files: Sequence[InputFile]) -> None:
    """Raises what is wrong with the first record, where there is a record at all."""
    for file in files:
        for record, line, _, fault in raw_records(file):
            if fault is not None:
                place = Placing.of(file).place(record, line)
                fact = plain(fault)
                advice = "" if "; " in fact else f"; {MEND}"
                raise InputError(f"{text}: no record can be read; the first: {place}: {fact}{advice}")


def _refuse_objects(text: str, files: Sequence[InputFile]) -> None:
    """Raises what the reader of the stand-alone commands says of a JSON file that is one object of objects."""
    for file in files:
        fault = next(iter(written(file)))[3] if file.format == "json" else None
        if fault is not None and fault.startswith("not_records"):
            raise InputError(f"{text}: no record can be read: {file.name}: {plain(fault)}")


def _holds_records(file: InputFile) -> bool:
    """Whether a file is data: cards and manifests lie beside it."""
    return file.format not in ("text", UNKNOWN) and PurePosixPath(file.name).name != "manifest.json"


def _is_known(name: str) -> bool:
    return PurePosixPath(name).name.upper().startswith(("README", "LICENSE", "LICENCE", "CHANGELOG", "MANIFEST"))


def _whole(
    file: InputFile, layout: str, on: tuple[str, ...] = (), guessed: Mapping[str, Kind] | None = None
) -> DataFile:
    values = {each.name: getattr(file, each.name) for each in fields(InputFile)}
    whole = DataFile(**{**values, "layout": layout}, on=on, guessed=guessed or {})
    return whole if guessed is None else replace(whole, answered=_is_answered(whole))


def _is_answered(file: DataFile) -> bool:
    """Whether a file has columns of answers; where one has none, a column of labels may be what is learnt."""
    names = file.on or column_names(file, list(sample(file)))
    return any(
        (chosen_kind(name) if file.on else named_kind(name) or file.guessed.get(name)) == "answer"
        and _REASONS.isdisjoint(name_words(leaf(name)))
        for name in names
    )


def guess(files: Sequence[InputFile]) -> dict[str, Kind]:
    """Columns that no name tells, by the values of all rows: what the stand-alone commands compare too."""
    untold, rows = Untold(), 0
    for file in files:
        if file.format == "parquet" and not any(name in untold for name in schema_names(file)):
            continue
        for _, _, values, fault in raw_records(_whole(file, "question_answer")):
            rows += fault is None
            for name in values:
                if name in untold:
                    untold.add(name, without_bytes(values[name]))
    return untold.kinds(rows)


def _layout(source: SourceConfig, file: InputFile, guessed: Mapping[str, Kind]) -> tuple[str, tuple[str, ...]]:
    """What the records of a file are; `parts` where only the names of their columns tell questions from answers.

    Where no column does, those inside of others may: `fields.prompt`, as the stand-alone commands find them.
    """
    layout = layout_of(source, [file])
    if layout != "documents":
        return layout, ()
    records = list(sample(_whole(file, "question_answer")))
    if file.format == "json" and len(records) == 1 and all(isinstance(held, dict) for held in records[0].values()):
        return layout, ()  # one object of objects, which the reader of the stand-alone commands refuses
    if any(_is_exchange(values, {}) for values in records):
        return "parts", ()
    inside = tuple(dict.fromkeys(path for values in records for path in _paths(values)))
    kinds = {chosen_kind(path) for path in inside}
    if "answer" in kinds and kinds & {"question", "context"}:
        return "parts", inside
    return "parts" if any(_is_exchange(values, guessed) for values in records) else layout, ()


def _is_exchange(values: Mapping[str, Any], guessed: Mapping[str, Kind]) -> bool:
    """Whether a record has a question, and an answer or a label that says which option is right."""
    try:
        parts = read_parts(values)
    except UnusableError:
        return False
    kinds = {part.kind for part in parts} | {kind for name, kind in guessed.items() if values.get(name)}
    if any(part.kind == "label" and named_kind(part.column) == "answer" for part in parts):
        kinds.add("answer")
    labelled = "question" in kinds and any(_is_known_label(part) for part in parts)
    return labelled or ("answer" in kinds and not kinds.isdisjoint(("question", "context")))


def _is_stray(file: InputFile, guessed: Mapping[str, Kind]) -> bool:
    """Whether none of a file's columns is compared as text: a table of figures beside the data."""
    records = list(sample(_whole(file, "question_answer")))
    kinds = [guessed.get(name) or named_kind(name) for name in column_names(file, records)]
    return bool(records) and not any(kind is not None and kind != "label" for kind in kinds)


def _is_known_label(part: Part) -> bool:
    """Whether a part says which answer is right: a column of labels, or flags of the options."""
    return part.kind == "label" and (part_kind(leaf(part.column)) == "label" or is_option(leaf(part.column)))


def _paths(values: Mapping[str, Any]) -> Iterator[str]:
    """The columns of a record that are parts, and the paths to those inside of others."""
    for name, value in values.items():
        below = list(named_paths(name, value)) if isinstance(value, dict | list) else []
        if below:
            yield from below
        elif part_kind(name) is not None and value is not None:
            yield name
