"""Anybody's instruction data through the rules of the contract that apply to it, and the rules about content.

::

    report = validate_foreign("alpaca.jsonl", benchmarks=["medqa"])
    report.results()["refusal"].count       12
    report.results()["phi"].why             "language zh in `instruction`, `output` (17% of rows)"

Read are JSONL, JSON, Parquet and CSV files with `messages`, `conversations`, `prompt`/`completion`,
`prompt`/`chosen`/`rejected`, or a question and an answer in columns of their own; see `docs/own-data.md`. Rows are read
batch by batch; of those behind it, hashes are kept.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from finemed.config import DecontaminateConfig
from finemed.errors import InputError
from finemed.publish.checks.content import Endings, check_answers, check_texts
from finemed.publish.checks.content_repeats import Repeats
from finemed.publish.checks.exposure import REMOVE
from finemed.publish.checks.faults import RULES, Faults, Report, percent
from finemed.publish.checks.foreign_files import DataFile, find_data
from finemed.publish.checks.foreign_order import MEND, plain, structure
from finemed.publish.checks.foreign_phi import PhiScan
from finemed.publish.checks.foreign_rows import COLUMNS, OTHERS, Rows
from finemed.publish.checks.foreign_stated import Stated
from finemed.publish.checks.secrets import secret_rows
from finemed.sources.files import EMPTY
from finemed.sources.raw import raw_records
from finemed.sources.rows import Placing
from finemed.stages.decontaminate import BenchmarkIndex
from finemed.standalone.decontaminate import with_lists, with_options
from finemed.standalone.gather import PARTS
from finemed.standalone.table import SHORTEST

BATCH_ROWS = 2000
BATCH_CHARACTERS = 8_000_000
_RELEASE_ONLY = {
    "files": "there is no manifest of ours",
    "manifest": "there is no manifest of ours",
    "hash": "there is no manifest of ours",
    "card": "there is no manifest of ours to hold a card against",
    "figures": "there is no manifest of ours to hold figures against",
    "stages": "there is no manifest of ours",
    "separation": "the dataset has no pools of ours",
    "addresses": "it is checked for releases only",
    "plots": "it is checked for releases only",
    "splits": "there is no manifest of ours",
    "features": "the columns are the dataset's own",
    "pools": "the dataset has no pools of ours",
    "held_splits": "it is checked for releases only",
    "retracted": "there is no list of retracted rows",
    "judge": "the dataset has no scores of ours",
    "model_licence": "the dataset does not name its models",
    "croissant": "it is checked for releases only",
}
_ROW_RULES = (
    "messages secrets phi empty echo refusal repeats conflicts same_answer characters markup template language ids "
    "contamination cut_off"
)
_OF_ROWS = tuple(_ROW_RULES.split())
_OF_ANSWERS = ("empty", "echo", "refusal", "cut_off", "conflicts", "same_answer")
"""Rules about questions and answers: texts of which nothing tells which they are, are not seen by them."""
_OF_PARTS = ("empty", "echo", "refusal", "cut_off", "repeats", "conflicts", "same_answer", "contamination")
"""Rules about rows: those that cannot be read are not seen by them."""


@dataclass
class _Checks:
    """The rules on their way through a dataset."""

    faults: Faults
    index: BenchmarkIndex | None
    stated: Stated = field(default_factory=Stated)
    phi: PhiScan = field(default_factory=PhiScan)
    endings: Endings = field(default_factory=Endings)
    repeats: Repeats = field(default_factory=Repeats)
    broken: array[int] = field(default_factory=lambda: array("Q"))
    """Numbers of the rows that cannot be read."""
    partless: array[int] = field(default_factory=lambda: array("Q"))
    """Numbers of the rows whose texts can be read, but not which of them are questions and answers."""
    inside: dict[str, array[int]] = field(default_factory=dict)
    """Columns inside of which texts lie that nobody takes for questions and answers -> numbers of the rows."""
    untold: dict[str, array[int]] = field(default_factory=dict)
    """Columns of texts of which nothing tells whether they are questions or answers -> numbers of the rows."""
    bytes: Counter[str] = field(default_factory=Counter)
    """Columns of bytes -> rows."""
    empty: list[str] = field(default_factory=list)
    """Files without a record."""
    placings: list[Placing] = field(default_factory=list)
    first_broken: str = ""
    rows: int = 0

    def look(self, batch: Rows) -> None:
        """One batch of sound rows through every rule about rows."""
        faults = self.faults
        self.partless.extend(batch.partless)
        for name, numbers in batch.inside.items():
            known = name in self.inside or len(self.inside) < COLUMNS
            self.inside.setdefault(name if known else OTHERS, array("Q")).extend(numbers)
        for name, numbers in _untold_rows(batch).items():
            self.untold.setdefault(name, array("Q")).extend(numbers)
        for name, rows in batch.opaque.items():
            self.bytes[name] += len(set(rows))
        self.stated.look(batch, faults)
        check_answers(batch, faults)
        check_texts(batch, faults)
        self.endings.look(batch, faults)
        self.repeats.look(batch)
        self.phi.look(batch, faults)
        _secrets(batch, faults)
        if self.index is not None:
            _contamination(batch, self.index, faults)


def validate_foreign(text: str, *, benchmarks: Sequence[str] = ()) -> Report:
    """Checks a file, a folder or an address of data that is no release of ours.

    Args:
        text: the path or address.
        benchmarks: files, addresses or short names of benchmarks whose items may not occur.

    Raises:
        InputError: nothing can be read, or its records are no questions with answers.
    """
    index = BenchmarkIndex.load(DecontaminateConfig(benchmarks=list(benchmarks)), Path()) if benchmarks else None
    files, passed_over = find_data(text)
    faults = Faults()
    checks = _Checks(faults, index)
    faults.apply("schema", "messages", "secrets", "phi", "empty", "echo", "refusal", "characters", "markup", "template")
    for number, file in enumerate(files):
        checks.placings.append(Placing.of(file))
        _read(number, file, checks)
    if not checks.rows:
        raise InputError(f"{text}: no record can be read: it holds none")
    if checks.rows == len(checks.broken):
        raise InputError(f"{text}: no record can be read; the first: {checks.first_broken}; {MEND}")
    checks.stated.finish(text, files, faults)
    checks.endings.finish(faults)
    checks.repeats.finish(checks.placings, faults)
    checks.phi.finish(faults)
    unseen: list[str] = []
    if index is None:
        faults.skip("contamination", "no benchmark was named; name some with --benchmark, such as medqa")
    else:
        faults.apply("contamination")
        if index.unmatchable:
            unseen.append(f"{index.unmatchable:,} benchmark items say too little to be ever found")
    passed_over += checks.empty
    if passed_over:
        more = f" and {len(passed_over) - 5} more" if len(passed_over) > 5 else ""
        faults.skip("schema", f"files that are no records were not read: {', '.join(passed_over[:5])}{more}")
    for rule in RULES:
        if rule in _RELEASE_ONLY or rule not in (*_OF_ROWS, "schema", "licence"):
            faults.skip(rule, _RELEASE_ONLY.get(rule, "it is a rule for releases"))
    inside = _shares(checks.inside, checks.rows)
    untold = _shares(checks.untold, checks.rows)
    if index is not None and checks.bytes:
        unseen.append(f"bytes in columns {_shares(checks.bytes, checks.rows)}")
    if index is not None and unseen:
        faults.skip("contamination", "; ".join(unseen))
    for rule in _OF_ROWS:
        if rule in faults.applied:
            aside = [f"columns {untold}"] if untold and rule in _OF_ANSWERS else []
            if inside and rule in _OF_PARTS and rule != "contamination":
                aside.append(f"texts inside of {inside}")
            if aside:
                faults.skip(rule, f"{' and '.join(aside)}, beside the questions and answers")
            faults.unchecked(rule, "records that cannot be read", checks.broken)
            if rule in _OF_PARTS:
                faults.unchecked(rule, "questions and answers that cannot be told", checks.partless)
    return Report(text, "dataset", checks.rows, faults)


def _shares(columns: Mapping[str, Any], rows: int) -> str:
    """Columns with the share of rows that hold something in them."""
    counted = {name: len(held) if isinstance(held, array) else held for name, held in columns.items()}
    told = [f"`{name}` ({percent(count / rows)} of rows)" for name, count in counted.items()]
    return ", ".join(told[:5]) + (f" and {len(told) - 5} more" if len(told) > 5 else "")


def _read(number: int, file: DataFile, checks: _Checks) -> None:
    """One file through all rules."""
    faults, batch = checks.faults, Rows()
    for record, line, values, fault in raw_records(file):
        if fault == EMPTY:
            checks.empty.append(file.name)
            return
        place = checks.placings[number].place(record, line)
        row, checks.rows = checks.rows, checks.rows + 1
        if fault is not None:
            checks.broken.append(row)
            checks.first_broken = checks.first_broken or f"{place}: {plain(fault)}"
            faults.add("schema", place, plain(fault), MEND, kind=fault.partition(":")[0].replace("_", " "))
            continue
        unread = batch.add(place, row, number, values, file.on, file.guessed)
        structure(place, file.layout, batch.values[-1], batch.parts[-1], unread, faults, answered=file.answered)
        if len(batch.places) >= BATCH_ROWS or batch.characters >= BATCH_CHARACTERS:
            checks.look(batch)
            batch = Rows()
    if batch.places:
        checks.look(batch)


def _secrets(batch: Rows, faults: Faults) -> None:
    for name, column in batch.columns.items():
        for at, kinds in sorted(secret_rows(column.series()).items()):
            place = batch.places[column.rows[at]]
            faults.add("secrets", place, f"`{name}` holds {', '.join(kinds)}", REMOVE, kind=", ".join(kinds))


def _untold_rows(batch: Rows) -> dict[str, list[int]]:
    """Texts of such columns: numbers of the rows."""
    found: dict[str, list[int]] = {}
    for number, parts in zip(batch.numbers, batch.parts, strict=True):
        texts = (part.column for part in parts if part.kind != "label" and part.column in batch.untold)
        for name in dict.fromkeys(texts):
            found.setdefault(name, []).append(number)
    return found


def _contamination(batch: Rows, index: BenchmarkIndex, faults: Faults) -> None:
    """Benchmark items in any part of a row, each by itself, in its question with the options, and in any other text."""
    table = pl.DataFrame(
        [(at, *part) for at, parts in enumerate(batch.parts) for part in parts if part.kind != "label"],
        schema=PARTS,
        orient="row",
    )
    texts = pl.concat([table.select("row", "part", "text"), with_options(table), with_lists(table), _others(batch)])
    unique = texts["text"].unique(maintain_order=True)
    found: dict[int, Any] = index.finder.find(unique)
    where = pl.DataFrame({"text": unique}).with_row_index("at").filter(pl.col("at").is_in(sorted(found)))
    hits = texts.join(where, on="text", maintain_order="left").unique("row", keep="first", maintain_order=True)
    for row, part, at in hits.sort("row", maintain_order=True).select("row", "part", "at").iter_rows():
        benchmark = index.benchmarks.items[found[at][0].item].benchmark
        fact = f"`{part}` holds {index.describe(found[at])}"
        remedy = "leave the record out; `finemed decontaminate` does"
        faults.add("contamination", batch.places[row], fact, remedy, kind=benchmark)


def _others(batch: Rows) -> pl.DataFrame:
    """Texts that are no part: an item may stand in what nobody takes for a question."""
    known = [{part.text for part in parts} for parts in batch.parts]
    found = [
        (row, name, text)
        for name, column in batch.columns.items()
        for row, text in zip(column.rows, column.texts, strict=True)
        if len(text) >= SHORTEST and text not in known[row]
    ]
    return pl.DataFrame(found, schema={"row": pl.UInt32(), "part": pl.String(), "text": pl.String()}, orient="row")
