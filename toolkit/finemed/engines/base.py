"""What an engine needs from the pipeline, and what it may show."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import polars as pl

from finemed.llm.accounting import Tally
from finemed.stages.base import Outcome

Shards = Callable[[], Iterator[tuple[int, pl.DataFrame]]]
"""Opens the numbered input shards from the beginning."""


class Sink(Protocol):
    """Where finished shards go; the pipeline accounts for every row before it writes."""

    def done(self, index: int) -> bool: ...

    def write(self, index: int, rows: pl.DataFrame, outcome: Outcome) -> None: ...


class Progress(Protocol):
    """Shows how a stage gets on."""

    def start(self, stage: str, total: int | None, done: int) -> None: ...

    def advance(self, rows: float) -> None: ...

    def watch(self, tally: Tally) -> None:
        """Gives what the stage's calls come to, to be read while it runs."""

    def say(self, message: str) -> None:
        """Something that a person should know now, such as a pause."""

    def finish(self, summary: str) -> None: ...


class Silent:
    """Shows nothing."""

    def start(self, stage: str, total: int | None, done: int) -> None:
        """Does nothing."""

    def advance(self, rows: float) -> None:
        """Does nothing."""

    def watch(self, tally: Tally) -> None:
        """Does nothing."""

    def say(self, message: str) -> None:
        """Does nothing."""

    def finish(self, summary: str) -> None:
        """Does nothing."""
