"""Anybody's instruction data through those rules of the contract that apply to it.

::

    report = validate_foreign("alpaca.jsonl")
    report.counts      {"schema": 1, "messages": 0, "secrets": 0, "phi": 2}
    report.skipped     {"pools": "the dataset has no component_id", ...}

Read are JSONL, JSON, Parquet and CSV files with `messages`, `conversations`, `prompt`/`completion`,
`prompt`/`chosen`/`rejected`, or a question and an answer in columns of their own; see `docs/own-data.md`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import polars as pl

from finemed.config import SourceConfig
from finemed.errors import InputError
from finemed.publish.checks.endings import told, unfinished
from finemed.publish.checks.exposure import REMOVE, phi_in
from finemed.publish.checks.faults import RULES, Faults, Report
from finemed.publish.checks.provenance import is_stated
from finemed.publish.checks.secrets import secret_rows
from finemed.sources.conversations import read_exchange
from finemed.sources.files import UNKNOWN, InputFile
from finemed.sources.parquet import schema_names
from finemed.sources.raw import layout_of, raw_records
from finemed.sources.records import find_files
from finemed.sources.turns import Turn, UnusableError, fold, turns, without_system

BATCH_ROWS = 2000
_NAME = "dataset"
_MEND = "correct the record, or leave it out"
_RELEASE_ONLY = {
    "files": "there is no manifest of ours",
    "card": "there is no manifest of ours to hold a card against",
    "splits": "there is no manifest of ours",
    "features": "the columns are the dataset's own",
    "pools": "the dataset has no pools of ours",
    "held_splits": "it is checked for releases only",
    "retracted": "there is no list of retracted rows",
    "judge": "the dataset has no scores of ours",
    "model_licence": "the dataset does not name its models",
    "croissant": "it is checked for releases only",
}
_OPTIONAL = (
    ("ids", "id", "the records have no `id`"),
    ("licence", "license", "the records have no `license`"),
    ("cut_off", "sections", "no answer has the sections Thought and Summarization"),
)
_MESSAGES = ("messages", "conversations", "conversation", "data")
_SIDES = {"prompt_completion": ("completion",), "preference": ("chosen", "rejected")}


class _Whole(InputFile):
    """A file of which all columns are read, not just those that a build needs."""

    def wanted(self) -> set[str]:
        return set(schema_names(self)) if self.format == "parquet" else super().wanted()


@dataclass
class _Seen:
    """What is carried from batch to batch."""

    ids: set[int] = field(default_factory=set)
    rows: int = 0
    has: set[str] = field(default_factory=set)
    """Of `id`, `license`, `language` and `sections`, what occurs."""


def validate_foreign(text: str) -> Report:
    """Checks a file, a folder or an address of data that is no release of ours.

    Raises:
        InputError: nothing can be read, or its records are no questions with answers.
    """
    faults, seen = Faults(), _Seen()
    try:
        source = SourceConfig(name=_NAME, path=text)
        files = [_whole(file) for file in find_files(source, Path()) if _holds_records(file)]
    except InputError as error:  # it speaks of the setting that a build has for it
        message = str(error).removeprefix(f"source `{_NAME}`: ").replace("`sources.path`", "the path")
        raise InputError(message) from None
    layout = layout_of(source, files)
    if layout == "documents":
        raise InputError(
            f"{text}: its records are no questions with answers; there must be `messages`, `conversations`, `prompt` "
            "and `completion`, or `prompt`, `chosen` and `rejected`"
        )
    faults.apply("schema", "messages", "secrets", "phi")
    for file in files:
        records = raw_records(file)
        while batch := list(islice(records, BATCH_ROWS)):
            _check(file, layout, batch, faults, seen)
    if "language" not in seen.has:
        faults.skip("phi", "the records have no `language`; the detector reads all texts as English")
    for rule in RULES:
        if rule in _RELEASE_ONLY:
            faults.skip(rule, _RELEASE_ONLY[rule])
    for rule, name, why in _OPTIONAL:
        if name in seen.has:
            faults.apply(rule)
        else:
            faults.skip(rule, why)
    return Report(text, "dataset", seen.rows, faults)


def _holds_records(file: InputFile) -> bool:
    """Whether a file is data: cards and manifests lie beside it."""
    return file.format not in ("text", UNKNOWN) and PurePosixPath(file.name).name != "manifest.json"


def _whole(file: InputFile) -> InputFile:
    return _Whole(**{each.name: getattr(file, each.name) for each in fields(InputFile)})


def _check(file: InputFile, layout: str, batch: list[Any], faults: Faults, seen: _Seen) -> None:
    """One batch of raw records through all rules that apply."""
    places, texts, spoken = [], [], []
    long: list[tuple[str, str]] = []
    for number, line, values, fault in batch:
        seen.rows += 1
        place = f"{file.name}:{line or number}"
        if fault is not None:
            faults.add("schema", place, _plain(fault), _MEND)
            continue
        conversation, fact = _conversation(layout, values)
        if fact is not None:
            rule = "schema" if fact.startswith(("missing_column", "not_messages", "not_string")) else "messages"
            faults.add(rule, place, _plain(fact), _MEND)
        _stated(place, values, faults, seen)
        places.append(place)
        texts.append("\n".join(_strings(values)))
        spoken.append("\n".join(str(turn.value) for turn in conversation if isinstance(turn.value, str)))
        long += [(place, turn.value) for turn in conversation if "**Thought**\n" in str(turn.value)]
    for at, kinds in sorted(secret_rows(pl.Series(texts, dtype=pl.String())).items()):
        faults.add("secrets", places[at], f"holds {', '.join(kinds)}", REMOVE)
    for at, found in sorted(phi_in(pl.Series(spoken, dtype=pl.String())).items()):
        faults.add("phi", places[at], f"the messages hold {found}", "remove it, or leave the record out")
    if long:
        seen.has.add("sections")
        for at, fact in sorted(unfinished(pl.Series([text for _, text in long])).items()):
            faults.add("cut_off", long[at][0], f"the answer {told(fact)}", _MEND)


def _stated(place: str, values: Mapping[str, Any], faults: Faults, seen: _Seen) -> None:
    """Ids and licences, where the records have them."""
    columns = {fold(name): value for name, value in values.items()}
    if "id" in columns:
        seen.has.add("id")
        key = hash(str(columns["id"]))
        if columns["id"] is None or key in seen.ids:
            fact = "`id` is null" if columns["id"] is None else "its `id` occurs before"
            faults.add("ids", place, fact, "give every record an id of its own")
        seen.ids.add(key)
    if columns.get("language") is not None:
        seen.has.add("language")
    if "license" in columns:
        seen.has.add("license")
        if not is_stated(columns["license"]):
            faults.add("licence", place, "`license` says nothing", "state the licence of its source")


# --- conversations ---------------------------------------------------------------------------------------------------


def _conversation(layout: str, values: Mapping[str, Any]) -> tuple[list[Turn], str | None]:
    """All messages of a record, as far as they can be read, and its first fault."""
    columns = {fold(name): value for name, value in values.items()}
    try:
        if layout in ("messages", "sharegpt"):
            name = next((name for name in _MESSAGES if columns.get(name) is not None), None)
            if name is None:
                return [], "missing_column: no `messages` or `conversations`"
            found = turns(columns.get(name), name)
            return found, _order(found, "user")
        if layout in _SIDES and all(isinstance(columns.get(name), list) for name in ("prompt", *_SIDES[layout])):
            return _sides(columns, _SIDES[layout])
    except UnusableError as error:
        return [], str(error)
    exchange, fault = read_exchange(layout, values, multi_turn="first")
    if exchange is None:
        return [], fault
    return [Turn("assistant", text, "") for text in exchange if text is not None], None


def _sides(columns: Mapping[str, Any], names: tuple[str, ...]) -> tuple[list[Turn], str | None]:
    prompt = turns(columns["prompt"], "prompt")
    sides = [turns(columns[name], name) for name in names]
    spoken = [*prompt, *(turn for side in sides for turn in side)]
    if len(sides) == 2 and _words(sides[0]) == _words(sides[1]):
        return spoken, "equal_pair: `chosen` and `rejected` are the same"
    facts = [_order(prompt, "user", last="user"), *(_order(side, "assistant") for side in sides)]
    return spoken, next((fact for fact in facts if fact is not None), None)


def _words(side: list[Turn]) -> list[Any]:
    return [turn.value.strip() if isinstance(turn.value, str) else turn.value for turn in side]


def _order(conversation: list[Turn], first: str, last: str = "assistant") -> str | None:
    """What is wrong with the messages of a conversation; a system message may open it."""
    spoken = without_system(conversation)
    if not spoken:
        return "empty_conversation: it holds no message"
    role = first
    for turn in spoken:
        if turn.role != role:
            return f"bad_roles: `{turn.place}` comes from the {turn.role}, expected the {role}"
        if not isinstance(turn.value, str):
            return f"not_string: `{turn.place}` is no text"
        if not turn.value.strip():
            return f"empty_message: `{turn.place}` holds nothing"
        role = "assistant" if role == "user" else "user"
    return None if spoken[-1].role == last else f"bad_roles: it ends with the {spoken[-1].role}, expected the {last}"


def _strings(value: Any) -> Iterator[str]:
    """Every text of a record, however deep."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, Mapping):
            waiting.extend(item.values())
        elif isinstance(item, list | tuple):
            waiting.extend(item)


def _plain(fault: str) -> str:
    """A fault without its code."""
    return fault.partition(": ")[2] or fault
