"""Flips bits and exchanges files in what a build stores, runs the build again, and compares with an undisturbed one.

::

    python tests/flips.py --flips 1000               # or: just flip-test
    python tests/flips.py --flips 50 --seed 3 --only journal

Each case takes a copy of a finished run, or of one stopped at a random stage with a random number of its shards, and
damages one thing: a shard, mark or report of any stage, the journal (closed, or with its log), the index that
dedup compares with, or a file of the release. Then the same build runs. What must hold: it ends with the undisturbed
release, byte for byte (`healed`), or with an exit code and a message that names the damaged file (`named`); never with
another release, a traceback or a fault of ours; and no call is made for damage that the journal makes good. A damaged
release must be named by `finemed validate`, too. After a refused journal, `finemed journal salvage` must lead on.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [path for path in (str(ROOT / "toolkit"), str(ROOT / "tests")) if path not in sys.path]

from kills import JudgeServer, contents, demo_config  # noqa: E402

from finemed.config import load_config  # noqa: E402
from finemed.engines.base import Silent  # noqa: E402
from finemed.errors import FineMedError  # noqa: E402
from finemed.pipeline.plan import STAGES, Plan, stage_folder  # noqa: E402
from finemed.publish.build import build_release  # noqa: E402
from finemed.publish.checks.validate import validate_address  # noqa: E402
from finemed.store.journal import Journal  # noqa: E402
from finemed.store.reply import COLUMNS, Record  # noqa: E402
from finemed.store.salvage import salvage  # noqa: E402

SMALL = (
    "ingest.shard_rows=20",
    "sources.0.limit=50",
    "split.min_rows={sft: 1, sft_reasoning: 1, dpo: 1, ttt: 1}",
    "dedup_passages.index=index",
)
TARGETS = {"shard": 9, "exchange": 4, "journal": 4, "index": 1, "release": 2}
"""How often each is chosen, in twentieths."""
JUDGE = "judge"


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    said: list[str]


@dataclass
class Case:
    """One damage and what came of it."""

    number: int
    target: str
    state: str
    what: str = ""
    """What was done to which file."""
    names: tuple[str, ...] = ()
    """One of these must stand in the message of a refusal."""
    result: str = ""
    """`healed`, `named`, or what must not be."""
    calls: int = 0
    """Calls that were made for it."""

    @property
    def sound(self) -> bool:
        return self.result in ("healed", "named")


class Heard(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)


@dataclass
class World:
    """An undisturbed run, and how to build it."""

    config: Path
    server: JudgeServer
    folder: Path
    reference: Path = field(init=False)
    release: dict[str, bytes] = field(init=False)
    log: Path = field(init=False)
    """A folder with the same journal as a kill leaves it: the last replies in its log."""

    def __post_init__(self) -> None:
        _write_index(self.config.parent)
        self.reference = self.folder / "reference" / "run"
        outcome = self.build(self.reference)
        if outcome.code:
            raise SystemExit(f"the undisturbed build failed: {outcome.said}")
        self.release = contents(self.reference / "release")
        self.log = _journal_with_log(self.reference, self.folder / "log")

    def build(self, run: Path) -> Outcome:
        """Builds in this process; exit codes as the command line gives them."""
        heard = Heard()

        def command() -> None:
            overrides = (*SMALL, *self.server.overrides)
            build_release(Plan(load_config(self.config, overrides), self.config.parent), run, progress=heard)

        return _ended(command, heard)


def _ended(command: Callable[[], None], heard: Heard) -> Outcome:
    try:
        command()
    except FineMedError as error:
        return Outcome(error.exit_code, [*heard.said, str(error)])
    except OSError as error:
        return Outcome(4, [*heard.said, str(error)])
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a panic of polars is no Exception
        return Outcome(5, [*heard.said, f"{type(error).__name__}: {error}"])
    return Outcome(0, heard.said)


def _write_index(folder: Path) -> None:
    """An index of passages that were published before."""
    text = (
        "Croup is a viral infection of the larynx in young children. It shows itself by a barking cough and noisy "
        "breathing at night. A single dose of dexamethasone is effective, and nebulised adrenaline is given if severe."
    )
    rows = folder / "published.jsonl"
    rows.write_text("".join(f'{{"id": "p{n}", "text": "{n} {text} Case {n}."}}\n' for n in range(3)), "utf-8")
    command = ["dedup", "published.jsonl", "--id", "id", "--text", "text", "--index", "index", "--out", "kept.jsonl"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "toolkit")}
    subprocess.run(
        [sys.executable, "-m", "finemed", *command], cwd=folder, env=environment, check=True, capture_output=True
    )


def _journal_with_log(run: Path, folder: Path) -> Path:
    folder.mkdir()
    with contextlib.closing(sqlite3.connect(run / "journal.sqlite")) as source:
        rows = source.execute(f"SELECT {', '.join(COLUMNS)} FROM replies ORDER BY key").fetchall()
    work = folder / "work"
    journal = Journal(work / "journal.sqlite")
    for row in rows:
        journal.insert(Record(*row))
    for path in work.glob("journal.sqlite*"):
        if not path.name.endswith("-shm"):
            shutil.copy(path, folder)
    journal.close()
    shutil.rmtree(work)
    return folder


# --- states ----------------------------------------------------------------------------------------------------------


def stop_at(run: Path, name: str, shards: int) -> None:
    """Makes of a finished run what a kill inside a stage leaves."""
    for later in STAGES[STAGES.index(name) + 1 :]:
        shutil.rmtree(stage_folder(run, later))
    shutil.rmtree(run / "release")
    for file in ("ledger.parquet", "notes.parquet"):
        (run / file).unlink()
    folder = stage_folder(run, name)
    (folder / "stage.json").unlink()
    for path in sorted(folder.glob("*-?????.*")):
        if int(path.stem.partition("-")[2]) >= shards:
            path.unlink()


def choose_state(chance: random.Random, run: Path, name: str | None = None) -> str:
    """Leaves the run finished, or stops it somewhere."""
    if name is None and chance.random() < 0.4:
        return "finished"
    name = name or chance.choice(STAGES)
    count = len(list(stage_folder(run, name).glob("kept-*.parquet")))
    shards = chance.randint(0, count)
    stop_at(run, name, shards)
    return f"{name}, {shards} of {count} shards"


# --- damage ----------------------------------------------------------------------------------------------------------


def flip(chance: random.Random, path: Path) -> str:
    """Mostly one bit; now and then a byte range of zeros, or the end cut off."""
    data = bytearray(path.read_bytes())
    how = chance.random()
    if not data or how > 0.97:
        path.write_bytes(data[: chance.randrange(len(data) + 1)])
        return f"cut {path.name}"
    place = chance.randrange(len(data))
    if how > 0.94:
        data[place : place + 4096] = bytes(len(data[place : place + 4096]))
        path.write_bytes(data)
        return f"zeroed {path.name} at {place}"
    data[place] ^= 1 << chance.randrange(8)
    path.write_bytes(data)
    return f"flipped a bit of {path.name} at {place}"


def exchange(one: Path, other: Path) -> None:
    """Gives two files each other's content."""
    data = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(data)


def damage_shard(case: Case, chance: random.Random, run: Path) -> None:
    folders = [path for path in sorted((run / "stages").iterdir()) if path.is_dir()]
    files = [path for path in sorted(chance.choice(folders).iterdir()) if path.is_file()]
    files += [path for path in (run / name for name in ("manifest.json", "session.json")) if path.exists()][:1]
    path = chance.choice(files)
    case.what = f"{path.parent.name}: {flip(chance, path)}"
    case.names = (path.name, path.stem)


def damage_by_exchange(case: Case, chance: random.Random, run: Path) -> None:
    """Two files of one kind, of one stage or of two; or all files of two shards."""
    folders = [path for path in sorted((run / "stages").iterdir()) if path.is_dir()]
    kind = chance.choice(("kept", "drop", "mark", "stage", "begun"))
    near = chance.random() < 0.6
    chosen = [chance.choice(folders)] if near else folders
    files = [path for folder in chosen for path in sorted(folder.glob(f"{kind}*"))]
    if len(files) < 2:
        files = [path for folder in folders for path in sorted(folder.glob(f"{kind}*"))]
    if len(files) < 2:
        files = [path for folder in folders for path in sorted(folder.iterdir())]
        files += [run / "manifest.json", run / "session.json"]
    one, other = chance.sample(files, 2)
    exchange(one, other)
    whole = kind == "kept" and chance.random() < 0.3
    if whole:
        for part in ("drop", "mark"):
            pair = [path.with_name(path.name.replace("kept", part)) for path in (one, other)]
            pair = [path.with_suffix(".json") if part == "mark" else path for path in pair]
            if all(path.exists() for path in pair):
                exchange(*pair)
    case.what = f"exchanged {one.parent.name}/{one.name} and {other.parent.name}/{other.name}{' whole' * whole}"
    case.names = (one.name, other.name, one.stem.partition("-")[2] or one.name)


def damage_journal(case: Case, chance: random.Random, run: Path, log: Path) -> None:
    path = run / "journal.sqlite"
    case.names = ("journal.sqlite",)
    how = chance.choice(("flip", "flip", "flip", "log", "log", "edit", "exchange"))
    if how == "log":
        for name in ("journal.sqlite", "journal.sqlite-wal"):
            shutil.copy(log / name, run / name)
        case.what = flip(chance, chance.choice([run / "journal.sqlite-wal"] * 3 + [path]))
        return
    if how == "flip":
        case.what = flip(chance, path)
        return
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        if how == "edit":
            number = chance.randint(5, 10)
            changed = db.execute(
                "UPDATE replies SET reply = replace(reply, ?, ?)", (f'quality\\": {number}', 'quality\\": 1')
            )
            case.what = f"changed the quality in {changed.rowcount} replies"
            return
        one, other = chance.sample(db.execute("SELECT key, reply, crc FROM replies").fetchall(), 2)
        for (key, _, _), (_, reply, crc) in ((one, other), (other, one)):
            db.execute("UPDATE replies SET reply = ?, crc = ? WHERE key = ?", (reply, crc, key))
    case.what = "exchanged two replies with their checksums"


def damage_release(case: Case, chance: random.Random, run: Path) -> None:
    files = sorted(path for path in (run / "release").rglob("*") if path.is_file())
    if chance.random() < 0.25:
        one, other = chance.sample(files, 2)
        exchange(one, other)
        case.what = f"exchanged {one.name} and {other.name}"
        case.names = (one.name, other.name)
        return
    path = chance.choice(files)
    case.what = flip(chance, path)
    case.names = (path.name,)


# --- a case ----------------------------------------------------------------------------------------------------------


def one_case(world: World, number: int, seed: int, folder: Path, only: str | None = None) -> Case:
    """Damages one thing and builds again."""
    chance = random.Random(f"{seed} {number}")
    target = only or chance.choices(list(TARGETS), list(TARGETS.values()))[0]
    run = folder / f"case-{number}" / "run"
    shutil.copytree(world.reference, run)
    index = world.config.parent / "index"
    saved = {path: path.read_bytes() for path in index.iterdir()}
    try:
        case = _damaged(world, number, target, chance, run, index)
        before = len(world.server.asked)
        _judge(case, world, run)
        case.calls = len(world.server.asked) - before
        if case.sound and case.calls and target != "journal":
            case.result = f"{case.calls} calls were made again"
    finally:
        for path, data in saved.items():
            path.write_bytes(data)
    if case.sound:
        shutil.rmtree(run.parent)
    return case


def _damaged(world: World, number: int, target: str, chance: random.Random, run: Path, index: Path) -> Case:
    place = {"journal": JUDGE, "index": "dedup_passages" if chance.random() < 0.6 else None}.get(target)
    case = Case(number, target, "finished" if target == "release" else choose_state(chance, run, place))
    if target == "shard":
        damage_shard(case, chance, run)
    elif target == "exchange":
        damage_by_exchange(case, chance, run)
    elif target == "journal":
        damage_journal(case, chance, run, world.log)
    elif target == "index":
        case.what = flip(chance, chance.choice(sorted(index.iterdir())))
        case.names = ("index",)
    else:
        damage_release(case, chance, run)
    return case


def _judge(case: Case, world: World, run: Path) -> None:
    """Builds and says what came of it."""
    if case.target == "release" and contents(run / "release") != world.release:
        report = _ended(lambda: _validate(run / "release"), Heard())
        if report.code not in (1, 4):
            case.result = f"validate ended with {report.code}: {report.said[-1:]}"
            return
    outcome = world.build(run)
    case.result = _verdict(case, world, run, outcome)
    if case.target == "journal" and case.result == "named":
        salvaged = _ended(lambda: _salvage(run), Heard())
        again = world.build(run) if not salvaged.code else salvaged
        if _verdict(case, world, run, again) != "healed":
            case.result = f"salvage did not lead on: {again.said[-1:]}"


def _verdict(case: Case, world: World, run: Path, outcome: Outcome) -> str:
    if outcome.code == 0:
        if contents(run / "release") == world.release:
            return "healed"
        return f"another release, said {outcome.said}"
    if outcome.code == 5:
        return f"a fault of ours: {outcome.said[-1]}"
    if any(name in outcome.said[-1] for name in case.names):
        return "named"
    return f"refused without the file's name: {outcome.said[-1]}"


def _validate(release: Path) -> None:
    report = validate_address(str(release))
    if not report.ok:
        raise _FindingError(str(report.faults[:1]))


def _salvage(run: Path) -> None:
    salvage(run)


class _FindingError(FineMedError):
    """What `finemed validate` ends with where a rule is broken."""

    exit_code = 1


# --- the command -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def world_in(folder: Path) -> Iterator[World]:
    """The demo corpus, its judge behind a loopback server, built once."""
    server = JudgeServer()
    try:
        with demo_config() as config:
            yield World(config, server, folder)
    finally:
        server.stop()


def table(cases: list[Case]) -> str:
    """Counts by what was damaged."""
    lines = [f"{'damaged':<10} {'cases':>6} {'healed':>7} {'named':>6} {'third thing':>12} {'calls':>6}"]
    for target in [*TARGETS, "all"]:
        mine = [case for case in cases if target in ("all", case.target)]
        counts = Counter(case.result if case.sound else "third" for case in mine)
        calls = sum(case.calls for case in mine)
        lines.append(
            f"{target:<10} {len(mine):>6} {counts['healed']:>7} {counts['named']:>6} {counts['third']:>12} {calls:>6}"
        )
    return "\n".join(lines)


def command() -> int:
    parser = argparse.ArgumentParser(description="Damage what a build stores, build again, compare.")
    parser.add_argument("--flips", type=int, default=100)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=list(TARGETS))
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="finemed-flips-"))
    cases = []
    with world_in(folder) as world:
        began = time.monotonic()
        for number in range(options.first, options.first + options.flips):
            case = one_case(world, number, options.seed, folder, options.only)
            cases.append(case)
            if not case.sound:
                print(f"{number:>5} {case.target:<9} {case.state:<34} {case.what}\n      {case.result}", flush=True)
            if len(cases) % 100 == 0:
                print(f"{len(cases)} cases, {(time.monotonic() - began) / len(cases):.2f} s each", flush=True)
    print(table(cases))
    if all(case.sound for case in cases):
        shutil.rmtree(folder)
        return 0
    print(f"what is left of them lies in {folder}")
    return 1


if __name__ == "__main__":
    sys.exit(command())
