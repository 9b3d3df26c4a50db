"""Shows how a build gets on: bars with rate and time left on a terminal, one plain line per stage elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from finemed.llm.accounting import Tally, money

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

EVERY_S = 10.0


def spoken(tally: Tally) -> str:
    """Calls, tokens, money and failures in one line."""
    from finemed.records.counts import how_many

    parts = [how_many(tally.calls, "call")]
    if tally.stored:
        parts.append(how_many(tally.stored, "stored reply", "stored replies"))
    parts.append(f"{tally.prompt_tokens:,} + {tally.completion_tokens:,} tokens")
    if tally.price is not None and tally.cost is not None:
        parts.append(f"{money(tally.cost)} {tally.price.currency}")
    parts += [f"{state} {count:,}" for state, count in tally.failures.items()]
    return ", ".join(parts)


def per_second(rate: float) -> str:
    """A rate with a place after the point where it is slow."""
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"


def table(tallies: list[tuple[str, Tally]]) -> str:
    """What the calls of each stage came to, one line per stage and model."""
    head = ("stage", "model", "calls", "stored", "tokens sent", "received", "cost", "unusable")
    rows = [head]
    for stage, tally in tallies:
        cost = f"{money(tally.cost)} {tally.price.currency}" if tally.price and tally.cost is not None else "-"
        failures = ", ".join(f"{state} {count:,}" for state, count in tally.failures.items()) or "-"
        sent, received = f"{tally.prompt_tokens:,}", f"{tally.completion_tokens:,}"
        rows.append((stage, tally.model, f"{tally.calls:,}", f"{tally.stored:,}", sent, received, cost, failures))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = ["<", "<", *[">"] * 5, "<"]
    forms = [f"{{:{side}{width}}}" for side, width in zip(sides, widths, strict=True)]
    return "\n".join("  ".join(forms).format(*row).rstrip() for row in rows)


class Lines:
    """Plain lines on stderr: a stage's end, and a sign of life every ten seconds."""

    def __init__(self) -> None:
        self._stage = ""
        self._total: int | None = None
        self._tally: Tally | None = None
        self.tallies: list[tuple[str, Tally]] = []
        self._first = self._done = 0.0
        self._started = self._told = time.monotonic()

    def start(self, stage: str, total: int | None, done: int) -> None:
        self._stage, self._total = stage, total
        self._first = self._done = float(min(done, total or done))
        self._started = self._told = time.monotonic()

    def watch(self, tally: Tally) -> None:
        self._tally = tally
        self.tallies.append((self._stage, tally))

    def say(self, message: str) -> None:
        click.echo(f"{self._stage}: {message}" if self._stage else message, err=True)

    def advance(self, rows: float) -> None:
        self._done += rows
        now = time.monotonic()
        if now - self._told >= EVERY_S:
            self._told = now
            rate = (self._done - self._first) / max(now - self._started, 1e-9)
            left = f", about {(self._total - self._done) / rate:.0f} s left" if self._total and rate else ""
            of = f" of {self._total:,}" if self._total else ""
            calls = f"; {spoken(self._tally)}" if self._tally and self._tally.calls else ""
            click.echo(f"{self._stage}: {self._done:,.0f}{of} rows, {per_second(rate)} a second{left}{calls}", err=True)

    def finish(self, summary: str) -> None:
        calls = f"; {spoken(self._tally)}" if self._tally and (self._tally.calls or self._tally.stored) else ""
        click.echo(f"{self._stage}: {summary} ({time.monotonic() - self._started:.1f} s){calls}", err=True)
        self._stage, self._tally = "", None  # what is said between stages belongs to none

    def close(self) -> None:
        """Nothing is left to be put in order."""


class Bars:
    """A bar for the stage that runs, with rate and time left; finished stages stay as lines."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        self._bars: RichProgress = Progress(
            TextColumn("{task.description:<22}"),
            BarColumn(bar_width=30),
            TaskProgressColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task: TaskID | None = None
        self._tally: Tally | None = None
        self.tallies: list[tuple[str, Tally]] = []
        self._stage = ""
        self._started = time.monotonic()
        self._first = 0

    def start(self, stage: str, total: int | None, done: int) -> None:
        self._stage, self._started = stage, time.monotonic()
        self._first = min(done, total or done)
        self._bars.start()
        self._task = self._bars.add_task(stage, total=total, completed=self._first, rate="")

    def advance(self, rows: float) -> None:
        if self._task is not None:
            task = self._bars.tasks[-1]
            rate = (task.completed + rows - self._first) / max(time.monotonic() - self._started, 1e-9)
            calls = f"  {spoken(self._tally)}" if self._tally and self._tally.calls else ""
            self._bars.update(self._task, advance=rows, rate=f"{per_second(rate)} rows/s{calls}")

    def watch(self, tally: Tally) -> None:
        self._tally = tally
        self.tallies.append((self._stage, tally))

    def say(self, message: str) -> None:
        self._bars.console.print(f"{self._stage}: {message}" if self._stage else message, markup=False)

    def finish(self, summary: str) -> None:
        if self._task is not None:
            self._bars.remove_task(self._task)
        self._bars.stop()
        calls = f"  {spoken(self._tally)}" if self._tally and (self._tally.calls or self._tally.stored) else ""
        self._bars.console.print(
            f"{self._stage:<22} {summary}  [dim]{time.monotonic() - self._started:.1f} s{calls}[/dim]"
        )
        self._stage, self._tally = "", None

    def close(self) -> None:
        """Stops drawing and shows the cursor again."""
        self._bars.stop()


@contextlib.contextmanager
def shown_progress() -> Iterator[Lines | Bars]:
    """Bars on a terminal, lines elsewhere; at the end, however it comes, a table of the calls.

    The terminal is left in order whatever happens.
    """
    progress: Lines | Bars = Bars() if sys.stderr.isatty() else Lines()
    try:
        yield progress
    finally:
        progress.close()
        asked = [(stage, tally) for stage, tally in progress.tallies if tally.calls or tally.stored]
        if asked:
            click.echo(table(asked), err=True)
