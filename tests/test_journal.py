"""The journal's own commands, damage, several processes, and reading stored replies again."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from finemed.cli.main import cli
from finemed.errors import InputError
from finemed.store.journal import Journal

REPLY = {"text": "{}", "finish": "stop", "reasoning": "", "usage": {"prompt_tokens": 10, "completion_tokens": 2}}


def reply(text: str = "{}", **values: Any) -> dict[str, Any]:
    return {**REPLY, "text": text, "detail": "", **values}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run whose journal holds two judgements, one of an older prompt, and a classification."""
    journal = Journal(tmp_path / "journal.sqlite")
    journal.put("k1", task="judge@1", model="openai:m", reply=reply("old"))
    journal.put("k2", task="judge@2", model="openai:m", reply=reply("half \ud83d"))
    journal.put("k3", task="judge_answer@1", model="openai:m", reply=reply())
    journal.put("k4", task="classify@1", model="openai:n", reply=reply(usage={}))
    journal.close()
    return tmp_path


def call(*arguments: Any) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def test_put_says_whether_it_stored(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.sqlite")
    assert journal.put("k", task="t@1", model="m", reply=reply("first"))
    assert not journal.put("k", task="t@1", model="m", reply=reply("second"))
    assert journal.get("k") == reply("first")
    journal.close()


def test_stats_count_replies_and_tokens(run: Path) -> None:
    lines = [line.split() for line in call("journal", "stats", run).stdout.splitlines()]
    assert lines[1:] == [
        ["classify@1", "openai:n", "1", "0", "0"],
        ["judge@1", "openai:m", "1", "10", "2"],
        ["judge@2", "openai:m", "1", "10", "2"],
        ["judge_answer@1", "openai:m", "1", "10", "2"],
    ]
    assert json.loads(call("journal", "stats", run, "--json").stdout)[1]["replies"] == 1


def test_export_writes_every_reply_once_as_json(run: Path, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in call("journal", "export", run).stdout.splitlines()]
    assert [line["key"] for line in lines] == ["k1", "k2", "k3", "k4"]
    assert lines[1]["text"] == "half \ud83d"
    assert lines[0]["usage"] == REPLY["usage"]
    assert call("journal", "export", run, "-o", tmp_path / "all.jsonl").exit_code == 0
    assert [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()] == lines


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        (["--task", "judge"], ["k1", "k2"]),
        (["--task", "judge@2"], ["k2"]),
        (["--model", "openai:n"], ["k4"]),
        (["--task", "judge", "--model", "openai:n"], []),
    ],
)
def test_a_choice_of_replies(run: Path, options: list[str], keys: list[str]) -> None:
    exported = call("journal", "export", run, *options).stdout.splitlines()
    assert [json.loads(line)["key"] for line in exported] == keys


def test_prune_tells_first_and_removes_with_yes(run: Path) -> None:
    told = call("journal", "prune", run, "--task", "judge")
    assert told.stdout == "would remove 2 replies that cost 24 tokens; add --yes to do it\n"
    assert len(call("journal", "export", run).stdout.splitlines()) == 4
    assert call("journal", "prune", run, "--task", "judge", "--yes").stdout.startswith("removed 2 replies")
    left = [json.loads(line)["key"] for line in call("journal", "export", run).stdout.splitlines()]
    assert left == ["k3", "k4"]


def test_prune_by_time(run: Path) -> None:
    assert "would remove 0 replies" in call("journal", "prune", run, "--before", "2020-01-01").stdout
    assert "would remove 4 replies" in call("journal", "prune", run, "--before", "2999-01-01").stdout


def test_prune_wants_a_choice(run: Path) -> None:
    assert call("journal", "prune", run, "--yes").exit_code == 2
    assert len(call("journal", "export", run).stdout.splitlines()) == 4


def test_verify_finds_a_changed_reply_and_prune_takes_it_out(run: Path) -> None:
    assert call("journal", "verify", run).stdout == "4 replies, all sound\n"
    with sqlite3.connect(run / "journal.sqlite") as db:
        db.execute("UPDATE replies SET reply = replace(reply, 'old', 'odd') WHERE key = 'k1'")
        db.execute("UPDATE replies SET reply = '{', crc = NULL, digest = NULL WHERE key = 'k2'")
        db.execute("UPDATE replies SET reply = '{}', crc = NULL, digest = NULL WHERE key = 'k3'")
    db.close()
    found = call("journal", "verify", run)
    assert found.exit_code == 1
    assert found.stdout.splitlines() == [
        "k1\tits digest does not fit the record",
        "k2\tthe reply is no JSON",
        "k3\tthe reply lacks text, finish, reasoning, usage, detail",
    ]
    assert "3 faults in 4 replies" in found.stderr
    assert call("journal", "prune", run, "--damaged", "--yes").stdout == "removed 3 damaged replies\n"
    assert call("journal", "verify", run).stdout == "1 reply, all sound\n"


def test_a_journal_of_format_1_is_brought_up_to_date(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "journal.sqlite") as db:
        db.execute(
            "CREATE TABLE replies (key TEXT PRIMARY KEY, task TEXT NOT NULL, model TEXT NOT NULL, reply TEXT NOT NULL,"
            " prompt_tokens INTEGER, completion_tokens INTEGER) WITHOUT ROWID"
        )
        db.execute("INSERT INTO replies VALUES ('k', 'judge@1', 'm', ?, 10, 2)", (json.dumps(reply("kept")),))
    db.close()
    journal = Journal(tmp_path / "journal.sqlite")
    assert journal.get("k") == reply("kept")
    assert journal.put("l", task="judge@1", model="m", reply=reply())
    assert journal.verify() == (2, [])
    journal.close()


def test_a_run_without_a_journal_is_said(tmp_path: Path) -> None:
    result = call("journal", "stats", tmp_path)
    assert isinstance(result.exception, InputError)
    assert "holds no journal" in str(result.exception)
    assert not (tmp_path / "journal.sqlite").exists()


def test_a_torn_tail_loses_only_what_was_not_committed(tmp_path: Path) -> None:
    """The write-ahead log cut at any length: what is read is a prefix of what was written, nothing is damaged."""
    source = tmp_path / "source"
    script = (
        "import sys, os; from pathlib import Path; from finemed.store.journal import Journal\n"
        "j = Journal(Path(sys.argv[1]))\n"
        "for n in range(40):\n"
        "    j.put(f'k{n:02d}', task='t@1', model='m', reply={'text': 'x' * 300, 'finish': 'stop', 'reasoning': '',"
        " 'usage': {}, 'detail': ''})\n"
        "os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(source / "journal.sqlite")], check=False)
    database, log = (source / "journal.sqlite").read_bytes(), (source / "journal.sqlite-wal").read_bytes()
    seen = set()
    for number, length in enumerate(range(0, len(log) + 1, max(1, len(log) // 25))):
        folder = tmp_path / f"cut-{number}"
        folder.mkdir()
        (folder / "journal.sqlite").write_bytes(database)
        (folder / "journal.sqlite-wal").write_bytes(log[:length])
        journal = Journal(folder / "journal.sqlite")
        count, faults = journal.verify()
        assert faults == []
        assert [entry["key"] for entry in journal.entries()] == [f"k{n:02d}" for n in range(count)]
        journal.close()
        seen.add(count)
    assert len(seen) > 10
    assert max(seen) >= 38


def test_two_processes_share_one_journal(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from finemed.store.journal import Journal\n"
        "j = Journal(Path(sys.argv[1])); n = 0\n"
        "for k in range(300):\n"
        "    n += j.put(f'k{k}', task='t@1', model=sys.argv[2], reply={'text': sys.argv[2], 'finish': 'stop',"
        " 'reasoning': '', 'usage': {}, 'detail': ''})\n"
        "print(n)\n"
    )
    path = tmp_path / "journal.sqlite"
    children = [
        subprocess.Popen([sys.executable, "-c", script, str(path), name], stdout=subprocess.PIPE) for name in ("a", "b")
    ]
    stored = [int(child.communicate(timeout=60)[0]) for child in children]
    assert sum(stored) == 300
    journal = Journal(path)
    assert journal.verify() == (300, [])
    assert sum(line["replies"] for line in journal.stats()) == 300
    journal.close()
