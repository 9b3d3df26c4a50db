"""What the benchmark scripts share: a child process and what it cost, the data folder, Markdown tables.

::

    cost = run([sys.executable, "-m", "finemed", "--help"])
    cost.wall_s, cost.cpu_s, cost.peak_mb  ->  0.11, 0.1, 19.4

Peak memory comes from `wait4`, so it is that of one child (and of what it waited for). Linux hands a child its parent's
peak across `exec`, therefore these scripts themselves import nothing heavy: what needs polars runs in a child.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
MB = 1_000_000


@dataclass(frozen=True)
class Cost:
    """One finished child process; `cpu_s` is user and system time of all its threads, a megabyte is 10**6 bytes."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    stdout: str


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    toolkit: bool = True,
) -> Cost:
    """Runs a command to its end; exits with its last words where it fails.

    Args:
        command: program and arguments.
        cwd: where it runs.
        env: variables besides those of this process.
        toolkit: let Python find the package in this checkout.
    """
    variables = {**os.environ, **(env or {})}
    if toolkit:
        variables["PYTHONPATH"] = str(REPO / "toolkit")
    else:
        variables.pop("PYTHONPATH", None)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        started = time.perf_counter()
        child = subprocess.Popen(list(map(str, command)), cwd=cwd, env=variables, stdout=out, stderr=err)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if child.returncode:
            shown = err.read().decode("utf-8", "replace")[-2000:]
            sys.exit(f"{' '.join(map(str, command))}: exit code {child.returncode}\n{shown}")
        return Cost(
            wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / MB, out.read().decode("utf-8", "replace")
        )


def middle(costs: Iterable[Cost]) -> Cost:
    """The median of each figure by itself; stdout is the first run's."""
    runs = list(costs)
    return Cost(
        statistics.median(cost.wall_s for cost in runs),
        statistics.median(cost.cpu_s for cost in runs),
        statistics.median(cost.peak_mb for cost in runs),
        runs[0].stdout,
    )


def data_folder() -> Path:
    """Where the real corpora lie: ``$FINEMED_DATA``, or ``../shared/data`` beside the checkout."""
    folder = Path(os.environ.get("FINEMED_DATA") or REPO.parent / "shared" / "data").resolve()
    if not (folder / "corpus_medquad.parquet").exists():
        sys.exit("corpus_medquad.parquet not found; set FINEMED_DATA to the folder that holds it")
    return folder


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; columns whose cells begin with a digit stand to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    right = [all(row[at][:1].isdigit() or row[at] in ("", "-") for row in cells) for at in range(len(head))]
    lines = [list(head), [" ---: " if flag else " --- " for flag in right], *cells]
    return "\n".join(
        "|" + "|".join(cell if n == 1 else f" {cell} " for cell in line) + "|" for n, line in enumerate(lines)
    )


def verdict(value: float, target: float) -> str:
    """``met`` or ``missed``, for the last column of a table."""
    return "met" if value < target else "missed"


def note(text: str) -> None:
    """Says on stderr what goes on."""
    print(text, file=sys.stderr, flush=True)
