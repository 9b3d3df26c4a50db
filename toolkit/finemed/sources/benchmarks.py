"""Test items of benchmarks, from files here, addresses or the Hub, in any of the layouts that they are published in.

::

    load_benchmarks(["medqa", "quiz.jsonl"], base).items[0]
    ->  BenchmarkItem(benchmark="medqa", id="1", question="A junior ...", options=("Tell ...", "Report ..."))

=============================== ========================================================================================
columns                         of
=============================== ========================================================================================
`question`, `options`           MedQA (options by letter), MMLU-Pro (a list), our own files; pairs of `key` and `value`
`question`, `choices`           MMLU; also `choices` with `text` and `label`
`question`, `opa` to `opd`      MedMCQA
`question`, `final_decision`    PubMedQA on the Hub; on GitHub one object of `QUESTION` by PubMed id
`sent1`, `ending0` and on       MedQA as the evaluation harness takes it; the question may go on in `sent2`
`question` or `input`, `A` ...  MMLU as tables of letters
`data` with any of these        MedQA and others as Open Life Science AI publishes them
=============================== ========================================================================================

Names of columns are taken without regard to case. What a test is worth depends on all of its items, so a line that is
no item ends the reading.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from finemed.config import SourceConfig
from finemed.errors import InputError
from finemed.sources.columnar import batches, opened, row_values
from finemed.sources.files import InputFile, Raw
from finemed.sources.hub import parse
from finemed.sources.raw import READERS
from finemed.sources.records import find_files
from finemed.sources.remote import is_url
from finemed.sources.streams import BreakError

KNOWN: dict[str, tuple[str, ...]] = {
    "medqa": ("hf://GBaker/MedQA-USMLE-4-options/phrases_no_exclude_test.jsonl",),
    "medmcqa": (
        "hf://openlifescienceai/medmcqa/data/validation-*.parquet",
        "hf://openlifescienceai/medmcqa/data/test-*.parquet",
    ),
    "pubmedqa": ("hf://qiaojin/PubMedQA/pqa_labeled/*.parquet",),
    "mmlu": ("hf://cais/mmlu/all/test-*.parquet",),
    "mmlu_pro": ("hf://TIGER-Lab/MMLU-Pro/data/test-*.parquet",),
}
"""Short names, and the test files on the Hub that they stand for; what models are trained on is not in them."""

_IDS = ("id", "question_id", "pubid", "pmid", "qid")
_LETTERS = tuple("abcdefghij")
_LETTERED = tuple(f"op{letter}" for letter in _LETTERS)
_ENDINGS = tuple(f"ending{number}" for number in range(10))
_STEMS = ("question", "input", "sent1")
_OPTIONS = ("options", "choices")
_COLUMNS = frozenset((*_IDS, *_STEMS, "sent2", *_OPTIONS, *_LETTERS, *_LETTERED, *_ENDINGS, "benchmark", "data"))


class BenchmarkItem(NamedTuple):
    """One question of a test."""

    benchmark: str
    id: str
    question: str
    options: tuple[str, ...]


@dataclass(frozen=True)
class Benchmarks:
    """The items of all benchmarks of a configuration."""

    items: tuple[BenchmarkItem, ...]
    facts: tuple[dict[str, Any], ...]
    """Of each file what the manifest says of it."""
    names: tuple[str, ...]
    """All benchmarks, those without an item of their own too, in order."""

    def identity(self) -> dict[str, Any]:
        """What tells these benchmarks from others: the hashes of the files and that of all items."""
        content = json.dumps(self.items, ensure_ascii=False).encode("utf-8", "surrogatepass")
        files = [{key: fact for key, fact in facts.items() if key != "commit"} for facts in self.facts]
        return {"files": files, "content": hashlib.sha256(content).hexdigest()}

    def counts(self) -> dict[str, int]:
        """Items by benchmark."""
        found = dict.fromkeys(self.names, 0)
        for item in self.items:
            found[item.benchmark] += 1
        return found


def load_benchmarks(paths: Sequence[str], base: Path) -> Benchmarks:
    """Reads all benchmarks; of items with the same stem and options a benchmark keeps the first.

    Args:
        paths: files, folders, patterns, addresses, or short names of `KNOWN` where there is no file of that name.
        base: folder that relative paths start from.

    Raises:
        InputError: something is missing or cannot be reached, or a line is no item.
    """
    items: dict[tuple[str, str, tuple[str, ...]], BenchmarkItem] = {}
    facts: list[dict[str, Any]] = []
    names: dict[str, None] = {}
    for path in paths:
        short = path in KNOWN and not Path(base, path).exists()
        files = [file for address in (KNOWN[path] if short else (path,)) for file in _files(address, base)]
        name = path if short else _name(path, files)
        held = 0
        for file in files:
            told = file.facts()
            facts.append({key: fact for key, fact in told.items() if key != "source"})
            prefix = f"{file.name}:" if len(files) > 1 else ""
            for item in _items(file, name, prefix):
                key = (item.benchmark, item.question.strip(), tuple(sorted(item.options)))
                items.setdefault(key, item)
                names.setdefault(item.benchmark)
                held += 1
        if not held:
            raise InputError(f"{path}: holds no item; check `decontaminate.benchmarks`")
    return Benchmarks(tuple(items.values()), tuple(facts), tuple(names))


def _files(path: str, base: Path) -> list[InputFile]:
    try:
        return find_files(SourceConfig(name="benchmark", path=path, layout="documents"), base)
    except InputError as error:
        told = str(error).removeprefix("source `benchmark`: ").replace("sources.path", "decontaminate.benchmarks")
        hint = "" if is_url(path) else f", or one of {', '.join(KNOWN)}"
        raise InputError(f"{told}{hint}") from None


def _name(path: str, files: Sequence[InputFile]) -> str:
    """What a benchmark is called that does not say it itself: its dataset's name, or its file's."""
    if path.startswith("hf://"):
        return parse(path).repo.partition("/")[2]
    if len(files) == 1:
        return PurePosixPath(files[0].name).name.partition(".")[0]
    return PurePosixPath(path.rstrip("/").partition("*")[0]).name or "benchmark"


def _items(file: InputFile, name: str, prefix: str) -> Iterator[BenchmarkItem]:
    for number, line, values, fault in _records(file):
        place = f"{file.name}:{line or number}"
        if fault is not None:
            raise InputError(f"{place}: {fault.replace('sources.path', 'decontaminate.benchmarks')}; repair the file")
        for own_id, row in _unfolded(values):
            try:
                question, options = _question(row)
            except _NoItemError as error:
                raise InputError(
                    f"{place}: not a benchmark item with `question` and `options` ({error}); repair the line"
                ) from None
            told_id = next((str(row[key]) for key in _IDS if row.get(key) not in (None, "")), None)
            benchmark = row.get("benchmark")
            yield BenchmarkItem(
                benchmark if isinstance(benchmark, str) and benchmark else name,
                told_id or own_id or f"{prefix}{number}",
                question,
                options,
            )


def _records(file: InputFile) -> Raw:
    if file.format == "parquet":
        yield from _parquet(file)
    elif file.format in ("jsonl", "json", "csv"):
        yield from READERS[file.format](file)
    else:
        raise InputError(f"{file.name}: no format of benchmarks; give JSON, JSON Lines, CSV or Parquet files")


def _parquet(file: InputFile) -> Raw:
    try:
        with opened(file) as parquet:
            columns = [name for name in parquet.schema_arrow.names if name.lower() in _COLUMNS]
            for batch in batches(parquet, file, columns):
                if batch.fault is not None:
                    yield batch.first + 1, None, {}, batch.fault
                    return
                for number, (values, fault) in enumerate(row_values(batch.rows), batch.first + 1):
                    yield number, None, values, fault
    except BreakError as broken:
        told = str(broken).partition(": ")[2]
        raise InputError(f"{file.name}: cannot be read as Parquet ({told}); fetch or convert it again") from None


class _NoItemError(Exception):
    """A row that is no item of a test; its message says why."""


def _unfolded(values: Mapping[str, Any]) -> Iterator[tuple[str | None, dict[str, Any]]]:
    """The rows that a record holds, with the id that it gives them: itself, or objects by their ids."""
    row = _lower(values)
    nested = row.get("data")
    if isinstance(nested, Mapping) and "question" not in row:
        row = {**row, **_lower(nested)}
    if (
        not {"question", "input", "sent1"} & row.keys()
        and values
        and all(isinstance(v, Mapping) for v in values.values())
    ):
        for own_id, held in values.items():
            yield str(own_id), _lower(held)
    else:
        yield None, row


def _lower(values: Mapping[str, Any]) -> dict[str, Any]:
    return {str(name).lower(): value for name, value in values.items()}


def _question(row: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """Stem and options of an item.

    Raises:
        _NoItemError: it has no question, an empty one, or question or options are of another kind.
    """
    name = next((name for name in _STEMS if name in row), None)
    if name is None:
        raise _NoItemError("no `question`")
    stem = row[name]
    if not isinstance(stem, str):
        raise _NoItemError(f"`{name}` is {type(stem).__name__}, not a text")
    if name == "sent1" and isinstance(row.get("sent2"), str):
        stem = f"{stem} {row['sent2']}".strip()
    if not stem.strip():
        raise _NoItemError(f"`{name}` is empty")
    for listed in _OPTIONS:
        if row.get(listed) is not None:
            return stem, _texts(row[listed], listed)
    for group in (_LETTERED, _ENDINGS, _LETTERS):
        if row.get(group[0]) is not None:
            return stem, _texts([row.get(column) for column in group], group[0])
    return stem, ()


def _texts(options: Any, name: str) -> tuple[str, ...]:
    if isinstance(options, Mapping) and isinstance(options.get("text"), list):
        options = options["text"]
    if isinstance(options, Mapping):
        options = list(options.values())
    if not isinstance(options, list | tuple):
        raise _NoItemError(f"`{name}` is {type(options).__name__}, not several texts")
    return tuple(_plain(options))


def _plain(options: Iterable[Any]) -> Iterator[str]:
    for option in options:
        value = option.get("value", option.get("text")) if isinstance(option, Mapping) else option
        if isinstance(value, list | dict):
            raise _NoItemError("an option is no text")
        if value is not None:
            yield str(value)
