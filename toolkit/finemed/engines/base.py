"""What an engine needs from the pipeline, and what it may show."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import polars as pl

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

    def finish(self, summary: str) -> None: ...


class Silent:
    """Shows nothing."""

    def start(self, stage: str, total: int | None, done: int) -> None:
        """Does nothing."""

    def advance(self, rows: float) -> None:
        """Does nothing."""

    def finish(self, summary: str) -> None:
        """Does nothing."""
