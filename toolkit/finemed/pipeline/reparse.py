"""Reads a stage's stored replies under the present parser, without a call.

::

    result = reparse(Plan(config, base), Path("run"), "judge")
    result.states  ->  {"parsed": 312, "unparsable": 3}
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from finemed.errors import ConfigError, InputError
from finemed.llm.ask import ask
from finemed.llm.base import Answer, Completion, Request, silent
from finemed.pipeline.plan import STAGES, Plan, stage_folder, stage_number
from finemed.store.journal import Journal
from finemed.store.shards import Say, ShardFolder, unheard

NOT_STORED = "not stored: the journal holds no reply to this request"


@dataclass(frozen=True)
class Reparsed:
    """How the answers of a stage end under the present parser."""

    stage: str
    states: Counter[str] = field(default_factory=Counter)
    """`parsed`, `unparsable`, `truncated`, `refused`, and `not_stored` where a call would have to be made."""
    examples: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """State -> up to five (row id, detail)."""


class _Stored:
    """A backend that has only what is stored: it looks like the real one and answers nothing anew."""

    def __init__(self, real: Any) -> None:
        self.name, self.profile = real.name, real.profile
        self.local, self.free, self.extractive = real.local, False, real.extractive
        self.say: Callable[[str], None] = silent
        self._identity = real.identity()

    def identity(self) -> dict[str, Any]:
        return dict(self._identity)

    def ready(self) -> None:
        """Always."""

    def probe(self) -> None:
        """Nothing to learn."""

    def probed(self, completion: Completion) -> None:
        """Never called."""

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        for request in requests:
            yield Completion(request, "", "error", detail=NOT_STORED)

    def close(self) -> None:
        """Nothing to release."""


def reparse(plan: Plan, run: Path, name: str, say: Say = unheard) -> Reparsed:
    """Goes through the rows that a stage reads and reads the stored replies to their requests.

    Damaged replies count as not stored; `say` is told of them.

    Raises:
        ConfigError: no such stage, or one that asks no paid backend.
        InputError: the run holds no journal, or not the rows that the stage reads.
    """
    number = stage_number(name)
    stage: Any = plan.stages()[number]
    if not hasattr(stage, "requests") or stage.backend.free:
        raise ConfigError(f"reparse: `{name}` asks no paid backend, so it has no stored replies")
    before = plan.stages()[number - 1].contract
    folder = ShardFolder(stage_folder(run, STAGES[number - 1]), before.schema)
    if not folder.report_path.exists():
        raise InputError(f"{run}: the stage before `{name}` is not finished; run `finemed build` first")
    found = Reparsed(name)
    journal = Journal.of(run, say)
    try:
        journal.check()
        for answer in ask(
            (request for _, rows in folder.frames() for request in stage.requests(rows)),
            _Stored(stage.backend),
            journal,
            parse=lambda request: lambda text: stage.parse(request, text),
            max_reasks=stage.max_reasks,
        ):
            _count(found, answer)
    finally:
        journal.close()
    return found


def _count(found: Reparsed, answer: Answer) -> None:
    state: str = answer.state
    if answer.detail == NOT_STORED:  # the re-ask of a reply that could be read before, and cannot be now
        state = "unparsable" if answer.request.reask else "not_stored"
    found.states[state] += 1
    if state != "parsed":
        examples = found.examples.setdefault(state, [])
        if len(examples) < 5:
            examples.append((answer.request.owner[0], answer.detail))
