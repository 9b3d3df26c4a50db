"""Damaged replies are found wherever they are read, and what is readable is taken out of a journal that is not."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rows import Scripted
from test_damage import judged_by
from test_pipeline import Heard, contents, plan_of, scores_of, write_inputs

from finemed.cli.main import cli
from finemed.errors import FineMedError, StoreError
from finemed.pipeline.plan import STAGES, stage_folder
from finemed.pipeline.run import run_build
from finemed.store.journal import Journal
from finemed.store.reply import Record, fault, sealed
from finemed.store.salvage import salvage

COUNT = 60


def reply(text: str = "{}", **values: Any) -> dict[str, Any]:
    plain = {"text": text, "finish": "stop", "reasoning": "", "detail": ""}
    return {**plain, "usage": {"prompt_tokens": 10, "completion_tokens": 2}, **values}


def text_of(number: int) -> str:
    """Short replies and such as need overflow pages."""
    return f"Reply {number} " + chr(97 + number % 26) * (number * number * 5)


def key_of(number: int) -> str:
    return f"k{number:02d}"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with a closed journal of sixty replies of 10 to 17,000 characters."""
    folder = tmp_path / "run"
    journal = Journal(folder / "journal.sqlite")
    for number in range(COUNT):
        journal.put(key_of(number), task="judge@2", model="openai:m", reply=reply(text_of(number)))
    journal.close()
    return folder


@pytest.fixture
def logged(run: Path, tmp_path: Path) -> Path:
    """The same replies as a kill leaves them: most of them in the log."""
    folder, work = tmp_path / "logged", tmp_path / "work"
    folder.mkdir()
    journal = Journal(work / "journal.sqlite")
    for number in range(COUNT):
        journal.put(key_of(number), task="judge@2", model="openai:m", reply=reply(text_of(number)))
    for name in ("journal.sqlite", "journal.sqlite-wal"):
        shutil.copy(work / name, folder)
    journal.close()
    return folder


def call(*arguments: Any) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def entries(run: Path) -> dict[str, str]:
    journal = Journal(run / "journal.sqlite")
    found = {entry["key"]: entry["text"] for entry in journal.entries()}
    journal.close()
    return found


def change(run: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(run / "journal.sqlite")) as db, db:
        for statement in statements:
            db.execute(statement)


EVERYTHING = {key_of(number): text_of(number) for number in range(COUNT)}

# --- one reply -------------------------------------------------------------------------------------------------------

CHANGES: dict[str, str] = {
    "a word": "UPDATE replies SET reply = replace(reply, 'Reply 7', 'Reply 8') WHERE key = 'k07'",
    "a word and its checksum": "UPDATE replies SET (reply, crc) = (SELECT reply, crc FROM replies WHERE key = 'k09')"
    " WHERE key = 'k07'",
    "the model": "UPDATE replies SET model = 'openai:n' WHERE key = 'k07'",
    "the prompt": "UPDATE replies SET task = 'judge@1' WHERE key = 'k07'",
    "the tokens": "UPDATE replies SET prompt_tokens = 1 WHERE key = 'k07'",
    "no JSON": "UPDATE replies SET reply = '{' WHERE key = 'k07'",
    "null": "UPDATE replies SET reply = 'null', digest = NULL, crc = NULL WHERE key = 'k07'",
    "a number": "UPDATE replies SET reply = 5, digest = NULL, crc = NULL WHERE key = 'k07'",
    "bytes": "UPDATE replies SET reply = x'ff00', digest = NULL, crc = NULL WHERE key = 'k07'",
    "no UTF-8": "UPDATE replies SET reply = CAST(x'7b22ff' AS TEXT) WHERE key = 'k07'",
    "a deep reply": f"UPDATE replies SET reply = '{'[' * 50_000}', digest = NULL, crc = NULL WHERE key = 'k07'",
    "odd fields": "UPDATE replies SET digest = NULL, crc = NULL, reply ="
    """ '{"text": 5, "finish": null, "reasoning": "", "usage": [], "detail": ""}' WHERE key = 'k07'""",
}


@pytest.mark.parametrize("statement", list(CHANGES.values()), ids=list(CHANGES))
@pytest.mark.parametrize("way", ["get", "entries", "check"])
def test_a_changed_reply_counts_as_absent_and_is_set_aside(run: Path, statement: str, way: str) -> None:
    change(run, statement)
    said: list[str] = []
    journal = Journal(run / "journal.sqlite", said.append)
    ways: dict[str, Callable[[], object]] = {
        "get": lambda: journal.get("k07"),
        "entries": lambda: list(journal.entries()),
        "check": journal.check,
    }
    ways[way]()
    assert journal.get("k07") is None
    assert journal.count()[0] == COUNT - 1
    assert journal.damaged() == 1
    assert [message.partition(" (")[0] for message in said] == [f"{run / 'journal.sqlite'}: 1 stored reply is damaged"]
    assert journal.get("k09") == reply(text_of(9))
    assert journal.put("k07", task="judge@2", model="openai:m", reply=reply("new"))
    assert journal.get("k07") == reply("new")
    assert journal.check() == 0
    journal.close()


def test_a_new_reply_takes_the_place_of_a_damaged_one(run: Path) -> None:
    change(run, CHANGES["a word"])
    journal = Journal(run / "journal.sqlite")
    assert journal.put("k07", task="judge@2", model="openai:m", reply=reply("new"))
    assert journal.get("k07") == reply("new")
    journal.close()


def test_the_digest_covers_the_whole_record() -> None:
    record = sealed(Record("k", "judge@2", "openai:m", json.dumps(reply()), 10, 2, stored_at="2026-11-28T12:00:00Z"))
    assert fault(record) is None
    others = {"key": "l", "task": "judge@1", "model": "n", "reply": "{}", "prompt_tokens": 11, "stored_at": None}
    for name, value in others.items():
        assert fault(record._replace(**{name: value})) is not None, name


@pytest.mark.parametrize("form", [1, 2])
def test_replies_of_older_formats_are_read_and_salvaged(tmp_path: Path, form: int) -> None:
    more = "" if form == 1 else ", crc INTEGER, stored_at TEXT"
    with contextlib.closing(sqlite3.connect(tmp_path / "journal.sqlite")) as db, db:
        db.execute(
            "CREATE TABLE replies (key TEXT PRIMARY KEY, task TEXT NOT NULL, model TEXT NOT NULL, reply TEXT NOT NULL,"
            f" prompt_tokens INTEGER, completion_tokens INTEGER{more}) WITHOUT ROWID"
        )
        for number in range(20):
            record = sealed(Record(key_of(number), "judge@1", "m", json.dumps(reply(text_of(number))), 10, 2))
            values = record[: 6 if form == 1 else 8]
            db.execute(f"INSERT INTO replies VALUES ({', '.join('?' * len(values))})", values)
    copy = shutil.copytree(tmp_path, tmp_path.parent / f"{tmp_path.name}-copy")
    whole = {key_of(number): text_of(number) for number in range(20)}
    assert entries(tmp_path) == whole
    data = bytearray((copy / "journal.sqlite").read_bytes())
    data[28:100] = bytes(72)
    data[:16] = b"another database"
    (copy / "journal.sqlite").write_bytes(data)
    assert salvage(copy).recovered == 20
    assert entries(copy) == whole


# --- a build ---------------------------------------------------------------------------------------------------------


def test_changed_scores_are_asked_again_and_give_the_same_bytes(tmp_path: Path) -> None:
    write_inputs(tmp_path)
    plan, run = plan_of(tmp_path), tmp_path / "run"
    backend = Scripted(scores_of)
    run_build(plan, run, stages=judged_by(plan, backend))
    before, asked = contents(run), len(backend.asked)
    with contextlib.closing(sqlite3.connect(run / "journal.sqlite")) as db, db:
        changed = db.execute("""UPDATE replies SET reply = replace(reply, 'quality\\": 8', 'quality\\": 3')""").rowcount
    assert changed == asked > 20
    heard = Heard()
    run_build(plan, run, stages=judged_by(plan, backend), restart_from="judge", progress=heard)
    assert contents(run) == before
    assert len(backend.asked) == 2 * asked
    assert [message for message in heard.said if "journal.sqlite" in message] == [
        f"{run / 'journal.sqlite'}: {asked} stored replies are damaged (its digest does not fit the record); set aside "
        "in its table `damaged`, counted as absent, and asked for again where needed"
    ]


def test_a_build_on_a_torn_journal_names_the_command_that_salvages_it(tmp_path: Path) -> None:
    write_inputs(tmp_path)
    plan, run = plan_of(tmp_path), tmp_path / "run"
    backend = Scripted(scores_of)
    run_build(plan, run, stages=judged_by(plan, backend))
    before, asked = contents(run), len(backend.asked)
    path = run / "journal.sqlite"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    for later in STAGES[STAGES.index("judge") :]:
        shutil.rmtree(stage_folder(run, later))
    with pytest.raises(StoreError, match=r"journal\.sqlite: not a usable journal .* `finemed journal salvage .*run`"):
        run_build(plan, run, stages=judged_by(plan, backend))
    result = salvage(run)
    assert 0 < result.recovered < asked
    run_build(plan, run, stages=judged_by(plan, backend))
    assert len(backend.asked) == 2 * asked - result.recovered
    after = contents(run)
    assert set(after) - set(before) == {"journal.damaged-1.sqlite"}
    assert {name: data for name, data in after.items() if name in before} == before


# --- the whole file --------------------------------------------------------------------------------------------------


def damage(run: Path, kind: str, chance: random.Random) -> None:
    """One of the things that happen to files."""
    name = "journal.sqlite-wal" if kind.startswith("log") else "journal.sqlite"
    data = bytearray((run / name).read_bytes())
    place = chance.randrange(len(data))
    if kind.endswith("cut"):
        data = data[:place]
    elif kind.endswith("zeroed"):
        start = place // 4096 * 4096
        data[start : start + 4096] = bytes(len(data[start : start + 4096]))
    elif kind == "first page":
        data[: chance.choice((16, 100, 512, 4096))] = chance.randbytes(16)
    elif kind == "noise":
        data[place : place + 3000] = chance.randbytes(len(data[place : place + 3000]))
    else:
        for _ in range(3):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    (run / name).write_bytes(data)


KINDS = ["cut", "zeroed", "first page", "noise", "bits", "log cut", "log zeroed", "log bits"]
COMMANDS: list[list[str]] = [
    ["verify"],
    ["stats"],
    ["stats", "--json"],
    ["export"],
    ["prune", "--task", "judge"],
    ["prune", "--damaged"],
    ["prune", "--damaged", "--yes"],
]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", KINDS)
def test_no_damage_ends_in_a_traceback_and_salvage_invents_nothing(
    run: Path, logged: Path, tmp_path: Path, kind: str, seed: int
) -> None:
    chance = random.Random(f"{kind} {seed}")
    chosen = logged if kind.startswith("log") else run
    damage(chosen, kind, chance)
    for command in COMMANDS:
        copy = shutil.copytree(chosen, tmp_path / "copy")
        result = call("journal", command[0], copy, *command[1:])
        assert result.exit_code == 0 or isinstance(result.exception, FineMedError | SystemExit), result.exception
        if isinstance(result.exception, FineMedError):
            assert f"finemed journal salvage {copy}" in str(result.exception)
        shutil.rmtree(copy)
    result = call("journal", "salvage", chosen, "--json")
    assert result.exit_code == 0, result.exception
    told = json.loads(result.stdout)
    found = entries(chosen)
    assert found.items() <= EVERYTHING.items()
    assert told["recovered"] == len(found)
    assert call("journal", "verify", chosen).stdout == f"{len(found)} replies, all sound\n"
    if len(found) < COUNT and not kind.startswith("log"):
        assert told["bad"] + told["unreadable"] > 0
    if kind == "bits":
        assert len(found) >= COUNT - 8


def test_salvage_of_a_sound_journal_does_nothing(run: Path) -> None:
    before = (run / "journal.sqlite").read_bytes()
    assert call("journal", "salvage", run).stdout == "60 replies, all sound; nothing to salvage\n"
    assert (run / "journal.sqlite").read_bytes() == before
    assert {path.name for path in run.iterdir()} <= {
        "journal.sqlite",
        "journal.sqlite-wal",
        "journal.sqlite-shm",
        ".lock",
    }


def test_salvage_takes_all_but_a_zeroed_page_and_keeps_the_old_file(run: Path) -> None:
    data = bytearray((run / "journal.sqlite").read_bytes())
    pages = [start for start in range(4096, len(data), 4096) if data[start] == 0x0A]
    data[pages[-1] : pages[-1] + 4096] = bytes(4096)
    (run / "journal.sqlite").write_bytes(data)
    result = salvage(run)
    assert result.kept == run / "journal.damaged-1.sqlite"
    assert result.kept.read_bytes() == data
    assert 0 < COUNT - result.recovered < 20
    assert result.unreadable > 0
    assert entries(run).items() <= EVERYTHING.items()
    assert len(entries(run)) == result.recovered


def test_replies_behind_a_damaged_place_of_the_log_are_not_silently_left_out(logged: Path) -> None:
    log = logged / "journal.sqlite-wal"
    data = bytearray(log.read_bytes())
    data[len(data) // 2] ^= 4
    log.write_bytes(data)
    with pytest.raises(StoreError, match=r"pages of its write-ahead log cannot be followed.*journal salvage"):
        Journal(logged / "journal.sqlite")
    assert log.read_bytes() == data, "SQLite has not cut it off"
    assert salvage(logged).recovered >= COUNT - 2


def test_an_empty_file_is_no_empty_journal(run: Path) -> None:
    (run / "journal.sqlite").write_bytes(b"")
    with pytest.raises(StoreError, match=r"the file is empty.*journal salvage"):
        Journal(run / "journal.sqlite")
    assert call("journal", "salvage", run).stdout.startswith("0 replies recovered, 0 bad, 1 page unreadable")
    assert entries(run) == {}


def test_a_renamed_table_is_no_empty_journal(run: Path) -> None:
    data = (run / "journal.sqlite").read_bytes()
    (run / "journal.sqlite").write_bytes(data.replace(b"replies", b"repmies"))
    with pytest.raises(StoreError, match=r"holds the tables .*repmies.*journal salvage"):
        Journal(run / "journal.sqlite")
    assert salvage(run).recovered == COUNT


def test_removed_replies_do_not_come_back(run: Path) -> None:
    assert call("journal", "prune", run, "--task", "judge", "--yes").exit_code == 0
    journal = Journal(run / "journal.sqlite")
    journal.put("new", task="judge@3", model="m", reply=reply())
    journal.close()
    data = bytearray((run / "journal.sqlite").read_bytes())
    data[:16] = bytes(16)
    (run / "journal.sqlite").write_bytes(data)
    salvage(run)
    assert list(entries(run)) == ["new"]
