"""Runs stages in this process, one shard at a time; calls of a backend overlap across shards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from finemed.engines.base import Progress, Shards, Sink
from finemed.llm.accounting import Budget, Tally
from finemed.llm.ask import ask
from finemed.llm.base import Answer, Request
from finemed.stages.base import GlobalStage, LlmStage, MapStage
from finemed.store.journal import Journal


def run_map(stage: MapStage, shards: Shards, sink: Sink, progress: Progress) -> dict[str, Any]:
    """Applies a map stage to every shard that is not done yet; memory holds one shard."""
    for index, rows in shards():
        if not sink.done(index):
            sink.write(index, rows, stage.apply(rows))
            progress.advance(rows.height)
    return {}


def run_global(stage: GlobalStage, shards: Shards, sink: Sink, progress: Progress) -> dict[str, Any]:
    """Fits on all shards, then applies as a map; memory holds the state and one shard."""

    def fitted() -> Iterator[pl.DataFrame]:
        for _, rows in shards():
            yield rows
            progress.advance(rows.height / 2)

    state = stage.fit(fitted())
    for index, rows in shards():
        if not sink.done(index):
            sink.write(index, rows, stage.apply(state, rows))
            progress.advance(rows.height / 2)
    return stage.report(state)


@dataclass
class _Open:
    """A shard whose answers are coming in."""

    rows: pl.DataFrame
    waiting: int
    answers: dict[tuple[str, str], Answer] = field(default_factory=dict)


def run_llm(
    stage: LlmStage,
    shards: Shards,
    sink: Sink,
    journal: Journal | None,
    progress: Progress,
    tally: Tally | None = None,
    budget: Budget | None = None,
) -> dict[str, Any]:
    """Streams the requests of all shards through the backend and writes each shard when its last answer is in.

    Shards are opened only as the backend asks for more requests, so memory holds those with calls in flight.
    """
    opened: dict[int, _Open] = {}
    shard_of: dict[tuple[str, str], int] = {}

    def requests() -> Iterator[Request]:
        for index, rows in shards():
            if sink.done(index):
                continue
            wanted = list(stage.requests(rows))
            opened[index] = _Open(rows, len(wanted))
            if not wanted:
                close(index)
            for request in wanted:
                shard_of[request.owner] = index
            yield from wanted

    def close(index: int) -> None:
        shard = opened.pop(index)
        sink.write(index, shard.rows, stage.collect(shard.rows, shard.answers))
        if not shard.answers:
            progress.advance(shard.rows.height)

    tally = tally or Tally()
    progress.watch(tally)
    stage.backend.say = progress.say
    stream = ask(
        requests(),
        stage.backend,
        journal,
        parse=lambda request: lambda text: stage.parse(request, text),
        max_reasks=stage.max_reasks,
        tally=tally,
        budget=budget,
        limit=stage.limit,
    )
    for answer in stream:
        index = shard_of.pop(answer.request.owner)
        shard = opened[index]
        shard.answers[answer.request.owner] = answer
        progress.advance(shard.rows.height / (shard.waiting + len(shard.answers) - 1))
        shard.waiting -= 1
        if shard.waiting == 0:
            close(index)
    return {}
