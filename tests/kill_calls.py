"""Kills a judge stage of 2,000 requests with SIGKILL, runs the same command again, and counts every call at the server.

::

    python tests/kill_calls.py --kills 100                  # one kill per run
    python tests/kill_calls.py --kills 100 --per-run 10     # ten kills of the same run, quicker
    python tests/kill_calls.py --kills 25 --first 50        # numbers 50 to 74 of the same hundred

The moments are uniform over the stage: a request drawn by chance, and up to `JITTER_S` after it. After each kill the
journal is read from a copy. What must hold: no reply that it holds is ever asked for again; at most `concurrency` calls
repeat per kill; the journal is whole; the stage ends with the bytes of an undisturbed run. Prints a table; any fault
makes the exit code 1.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [path for path in (str(ROOT / "toolkit"), str(ROOT / "tests")) if path not in sys.path]

from faults import FaultServer  # noqa: E402
from prepared import PATIENCE_S, Prepared, prepare  # noqa: E402

REQUESTS = 2000
CONCURRENCY = 16
LATENCY_S = 0.01
JITTER_S = 0.03


@dataclass
class Kill:
    """One kill and what followed."""

    number: int
    due: int
    """Questions that the server had seen when the kill was due."""
    delay_s: float
    killed: bool = False
    recorded: set[str] = field(default_factory=set)
    """Questions whose replies lay in the journal afterwards."""
    seen: int = 0
    """Calls that the server had seen by then."""
    asked: set[str] = field(default_factory=set)
    """Their questions."""
    again: set[str] = field(default_factory=set)
    """Questions asked after it."""

    @property
    def repeated(self) -> int:
        """Calls that were made before the kill and after it."""
        return len(self.asked & self.again)

    def faults(self) -> list[str]:
        """What must not be."""
        found = [] if self.killed else ["it ended before the kill"]
        if self.recorded & self.again:
            found.append(f"{len(self.recorded & self.again)} recorded replies were asked for again")
        if self.repeated > CONCURRENCY:
            found.append(f"{self.repeated} calls repeated")
        if not self.recorded <= self.asked:
            found.append("the journal holds what was never asked")
        return found


def recorded(run: Path) -> set[str]:
    """The questions whose replies the journal holds, and a look at whether it is whole; from a copy."""
    with tempfile.TemporaryDirectory() as folder:
        for path in run.glob("journal.sqlite*"):
            shutil.copy(path, folder)
        with closing(sqlite3.connect(Path(folder, "journal.sqlite"))) as journal:
            if journal.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
                raise SystemExit(f"{run}: the journal is damaged")
            try:
                replies = journal.execute("SELECT reply FROM replies").fetchall()
            except sqlite3.OperationalError:  # killed before its table was made
                return set()
    texts = [json.loads(reply)["text"] for (reply,) in replies]
    return {json.loads(text)["rationale"].removeprefix("As asked of ") for text in texts}


def strike(prepared: Prepared, server: FaultServer, kill: Kill) -> None:
    """Starts the build, kills it at its moment, and looks at what is left."""
    due = threading.Event()
    server.on_call = lambda: due.set() if len(server.asked) >= kill.due else None
    with prepared.run.with_name("log").open("a") as log:
        process = prepared.start(log=log)
        while not due.wait(0.05) and process.poll() is None:
            pass
        time.sleep(kill.delay_s)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=PATIENCE_S)
    kill.killed = process.returncode == -signal.SIGKILL
    time.sleep(5 * LATENCY_S)  # what was on its way to the server arrives
    kill.recorded, kill.seen = recorded(prepared.run), len(server.calls)


Found = tuple[list[Kill], list[str]]
"""Kills, and what is wrong at the end."""


def one_run(folder: Path, reference: dict[str, bytes], numbers: Iterable[int], seed: int) -> Found:
    """Kills one run at the moments with these numbers, lets it end, and compares."""
    kills = []
    for number in numbers:
        chance = random.Random(f"{seed} {number}")
        kills.append(Kill(number, 1 + int(chance.uniform(0, REQUESTS - 2)), chance.uniform(0, JITTER_S)))
    kills.sort(key=lambda kill: kill.due)
    with FaultServer(latency_s=LATENCY_S) as server:
        prepared = prepare(folder, server.url, rows=REQUESTS, concurrency=CONCURRENCY)
        for kill in kills:
            strike(prepared, server, kill)
        server.on_call = None
        code, said = prepared.build()
        for kill in kills:
            kill.asked = {call.content for call in server.calls[: kill.seen]}
            kill.again = {call.content for call in server.calls[kill.seen :]}
        wrong = [] if code == 0 else [f"exit code {code}: {said.strip()[-200:]}"]
        output = prepared.output()
        wrong += [
            f"{name} differs" for name in sorted({*reference, *output}) if reference.get(name) != output.get(name)
        ]
        if set(server.asked) != {f"Question {number}?" for number in range(REQUESTS)}:
            wrong.append("not every question was asked")
    return kills, wrong


def undisturbed(folder: Path) -> dict[str, bytes]:
    """The output of a run that nobody kills; each question is asked once."""
    with FaultServer(latency_s=LATENCY_S) as server:
        prepared = prepare(folder, server.url, rows=REQUESTS, concurrency=CONCURRENCY)
        code, said = prepared.build()
        if code or set(server.asked.values()) != {1} or len(server.asked) != REQUESTS:
            raise SystemExit(f"the undisturbed run failed: {said}")
        return prepared.output()


def command() -> int:
    parser = argparse.ArgumentParser(description="Kill a judge stage of 2,000 requests and count every call.")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="number of the first kill")
    parser.add_argument("--per-run", type=int, default=1, help="kills of one run before it may end")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="finemed-kill-calls-"))
    reference = undisturbed(folder / "undisturbed")
    bad, repeated, kept = 0, [], []
    print(f"{'':>4} {'due at':>7} {'recorded':>9} {'repeated':>9}  sound", flush=True)
    numbers = range(options.first, options.first + options.kills)
    for start in range(0, options.kills, options.per_run):
        run = folder / f"run-{options.first + start}"
        kills, wrong = one_run(run, reference, numbers[start : start + options.per_run], options.seed)
        for kill in kills:
            faults = kill.faults() + wrong
            told = "; ".join(faults) or "yes"
            print(f"{kill.number:>4} {kill.due:>7} {len(kill.recorded):>9} {kill.repeated:>9}  {told}", flush=True)
            bad += bool(faults)
            repeated.append(kill.repeated)
        if wrong or any(kill.faults() for kill in kills):
            kept.append(str(run))
        else:
            shutil.rmtree(run)
    shutil.rmtree(folder / "undisturbed")
    print(f"{options.kills} kills, {bad} not sound; repeated calls: {sum(repeated)}, at most {max(repeated)} per kill")
    print(f"what is left of them lies in {folder}" if kept else "every run ended with the bytes of the undisturbed one")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(command())
