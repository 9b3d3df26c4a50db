from __future__ import annotations

import csv
import io
import json
import os
import select
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finemed.config import Columns, SourceConfig
from finemed.errors import ConfigError, InputError, StoreError
from finemed.records import Message, Row, frame, frame_schema
from finemed.sources import streams
from finemed.sources.columns import check_columns
from finemed.sources.files import InputFile, Quarantined, compression_of, format_of
from finemed.sources.raw import raw_records
from finemed.sources.records import RAW_SCHEMA, find_files, read_records, record_batches
from finemed.store.atomic import (
    file_hash,
    locked,
    read_json,
    remove_temporaries,
    replace_folder,
    write_atomic,
    write_json,
    write_with,
)
from finemed.store.journal import Journal
from finemed.store.shards import DROP_SCHEMA, ShardFolder, read_parquet, write_parquet


class Note(Row):
    note_id: str
    text: str | None
    score: int
    messages: list[Message]


NOTES = frame(
    Note,
    [
        {"note_id": "n1", "text": "Croup", "score": 3, "messages": [{"role": "user", "content": "Why?"}]},
        {"note_id": "n2", "text": None, "score": 1, "messages": []},
    ],
)
DROPS = pl.DataFrame(
    {"row_id": ["n3"], "drop_reason": ["too_short"], "detail": ["2 words, minimum 25"]}, schema=DROP_SCHEMA
)


def python(code: str, *arguments: object, **options: Any) -> subprocess.Popen[str]:
    """Runs code in a process of its own."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True, **options)


def next_line(process: subprocess.Popen[str], within_s: float = 30) -> str:
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], within_s)[0], "the process says nothing"
    return process.stdout.readline().strip()


# --- atomic ----------------------------------------------------------------------------------------------------------


def test_a_failing_write_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "manifest.json"
    write_atomic(target, b"old")

    def fails(temporary: Path) -> None:
        temporary.write_bytes(b"half of the n")
        raise OSError("disk full")

    with pytest.raises(StoreError, match=r"manifest\.json: cannot be written \(disk full\); free space"):
        write_with(target, fails)
    assert target.read_bytes() == b"old"
    remove_temporaries(tmp_path, ["manifest.json"])
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


def test_a_write_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "down" / "a.bin"
    write_atomic(target, b"old")
    write_atomic(target, b"new")
    assert target.read_bytes() == b"new"
    assert list(target.parent.iterdir()) == [target]


def test_remove_temporaries_takes_what_it_is_told_and_nothing_of_anybody_else(tmp_path: Path) -> None:
    (tmp_path / "b.tmp").mkdir()
    (tmp_path / "b.tmp" / "c.parquet").write_text("x")
    (tmp_path / "d.parquet.tmp").write_text("x")
    (tmp_path / "thesis.tmp").write_text("keep")
    (tmp_path / "notes").mkdir()
    (tmp_path / "linked.tmp").symlink_to(tmp_path / "notes")
    remove_temporaries(tmp_path, ["b", "d.parquet", "linked", "absent"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes", "thesis.tmp"]


def test_json_is_canonical(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1, "a": "é"})
    write_json(tmp_path / "b.json", {"a": "é", "b": 1})
    assert (tmp_path / "a.json").read_text("utf-8") == '{\n  "a": "é",\n  "b": 1\n}\n'
    assert file_hash(tmp_path / "a.json") == file_hash(tmp_path / "b.json")
    assert read_json(tmp_path / "a.json") == {"a": "é", "b": 1}


def test_damaged_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "stage.json"
    path.write_text('{"a": ')
    with pytest.raises(StoreError, match=r"stage\.json: damaged .* run the same command again"):
        read_json(path)


def test_replace_folder_with_and_without_an_old_one(tmp_path: Path) -> None:
    target = tmp_path / "release"
    for content in ("first", "second"):
        new = tmp_path / "release.new"
        new.mkdir()
        (new / content).write_text(content)
        replace_folder(new, target)
        assert [path.name for path in target.iterdir()] == [content]
        assert [path.name for path in tmp_path.iterdir()] == ["release"]


def test_replace_folder_goes_on_where_a_kill_left_it(tmp_path: Path) -> None:
    (tmp_path / "release.old.tmp").mkdir()
    (tmp_path / "release.old.tmp" / "old").write_text("old")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "fresh").write_text("fresh")
    replace_folder(tmp_path / "new", tmp_path / "release")
    assert [path.name for path in tmp_path.iterdir()] == ["release"]
    assert [path.name for path in (tmp_path / "release").iterdir()] == ["fresh"]


HOLD = """
import sys
import threading
from pathlib import Path
from finemed.store.atomic import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_locked_refuses_a_second_process_until_the_first_ends(tmp_path: Path) -> None:
    with python(HOLD, tmp_path) as other:
        assert next_line(other) == "held"
        with pytest.raises(StoreError, match="another finemed process"), locked(tmp_path):
            pass
        other.kill()
        other.wait()
        with locked(tmp_path):
            pass


def test_locked_lets_go_at_the_end_of_the_block(tmp_path: Path) -> None:
    with locked(tmp_path):
        pass
    with python(HOLD, tmp_path) as other:
        assert next_line(other) == "held"
        other.communicate("\n")
    assert other.returncode == 0


# --- shards ----------------------------------------------------------------------------------------------------------


def notes_folder(tmp_path: Path) -> ShardFolder:
    return ShardFolder(tmp_path / "02-filter", frame_schema(Note))


def test_shards_round_trip_in_order(tmp_path: Path) -> None:
    folder = notes_folder(tmp_path)
    folder.begin("f1")
    for index in (1, 0, 10):
        folder.write(index, NOTES.with_columns(score=pl.lit(index, dtype=pl.Int64)), DROPS)
    kept, dropped = folder.read(10)
    assert kept["score"].to_list() == [10, 10]
    assert kept.drop("score").equals(NOTES.drop("score"))
    assert dropped.equals(DROPS)
    assert [(index, rows["score"][0]) for index, rows in folder.frames()] == [(0, 0), (1, 1), (10, 10)]
    assert sum(rows.height for rows in folder.drops()) == 3


def test_begin_keeps_shards_of_the_same_fingerprint(tmp_path: Path) -> None:
    folder = notes_folder(tmp_path)
    folder.begin("f1")
    folder.write(0, NOTES, DROPS)
    (folder.path / "kept-00001.parquet.tmp").write_text("half")
    folder.begin("f1")
    assert folder.indices() == [0]
    assert not list(folder.path.glob("*.tmp"))


def test_begin_with_another_fingerprint_wipes(tmp_path: Path) -> None:
    folder = notes_folder(tmp_path)
    folder.begin("f1")
    folder.write(0, NOTES, DROPS)
    folder.finish({"fingerprint": "f1", "counts": {}})
    folder.begin("f2")
    assert [path.name for path in folder.path.iterdir()] == ["begun.json"]
    assert folder.finished("f1") is None
    assert folder.finished("f2") is None


def test_begin_reopens_a_finished_stage(tmp_path: Path) -> None:
    folder = notes_folder(tmp_path)
    folder.begin("f1")
    folder.finish({"fingerprint": "f1", "counts": {}})
    folder.begin("f1")
    assert folder.finished("f1") is None


def test_a_shard_without_its_drops_is_not_there(tmp_path: Path) -> None:
    folder = notes_folder(tmp_path)
    folder.begin("f1")
    folder.write(0, NOTES, DROPS)
    assert folder.has(0)
    folder.drop_path(0).unlink()
    again = notes_folder(tmp_path)
    again.begin("f1")
    assert not again.has(0)


def test_finished_knows_its_own_fingerprint_only(tmp_path: Path) -> None:
    folder = notes_folder(tmp_path)
    folder.begin("f1")
    folder.write(0, NOTES, DROPS)
    assert folder.finished("f1") is None
    report = folder.finish({"fingerprint": "f1", "counts": {}})
    assert folder.finished("f1") == report
    assert folder.finished("f2") is None
    assert set(report["files"]) == {"kept-00000.parquet", "drop-00000.parquet"}


@pytest.mark.parametrize("name", ["kept-00000.parquet", "drop-00000.parquet"])
@pytest.mark.parametrize("gone", [True, False])
def test_finished_detects_a_changed_file_and_names_it(tmp_path: Path, name: str, gone: bool) -> None:
    folder = notes_folder(tmp_path)
    folder.begin("f1")
    folder.write(0, NOTES, DROPS)
    folder.finish({"fingerprint": "f1", "counts": {}})
    path = folder.path / name
    if gone:
        path.unlink()
    else:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    said: list[str] = []
    again = notes_folder(tmp_path)
    assert again.finished("f1", said.append) is None
    assert len(said) == 1
    assert f"{name}: {'missing' if gone else 'changed since it was written'}" in said[0]
    with pytest.raises(StoreError, match=r"(missing|changed).*run `finemed build` again"):
        notes_folder(tmp_path).read(0)


def test_equal_rows_give_equal_bytes(tmp_path: Path) -> None:
    many = pl.concat([NOTES] * 5000, rechunk=True)
    pieces = pl.concat([many[:7], many[7:5000], many[5000:]], rechunk=False)
    write_parquet(tmp_path / "a.parquet", many)
    write_parquet(tmp_path / "b.parquet", pieces)
    write_parquet(tmp_path / "c.parquet", many.reverse())
    assert (many.n_chunks(), pieces.n_chunks()) == (1, 3)
    assert file_hash(tmp_path / "a.parquet") == file_hash(tmp_path / "b.parquet")
    assert file_hash(tmp_path / "a.parquet") != file_hash(tmp_path / "c.parquet")


def test_damaged_or_foreign_parquet_is_named(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", NOTES)
    with pytest.raises(StoreError, match=r"a\.parquet: holds .*note_id.*expected .*row_id"):
        read_parquet(tmp_path / "a.parquet", DROP_SCHEMA)
    (tmp_path / "a.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:-20])
    with pytest.raises(StoreError, match=r"a\.parquet: damaged"):
        read_parquet(tmp_path / "a.parquet")


# --- journal ---------------------------------------------------------------------------------------------------------

REPLY = {"text": "{}", "finish": "stop", "usage": {"prompt_tokens": 12, "completion_tokens": 3}}


def test_journal_put_and_get(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "run" / "journal.sqlite")
    assert journal.get("k1") is None
    journal.put("k1", task="judge@1", model="m", reply=REPLY)
    assert journal.get("k1") == REPLY
    journal.close()
    again = Journal(tmp_path / "run" / "journal.sqlite")
    assert again.get("k1") == REPLY
    again.close()


def test_the_first_reply_stays(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.put("k1", task="judge@1", model="m", reply={"text": "first"})
    journal.put("k1", task="judge@1", model="m", reply={"text": "second"})
    assert journal.get("k1") == {"text": "first"}
    journal.close()


@pytest.mark.parametrize("text", ["Köln 肺 \U0001f600", "nul \x00", "half a pair \ud83d"])
def test_any_text_that_a_server_can_send_is_stored(tmp_path: Path, text: str) -> None:
    journal = Journal(tmp_path / "j")
    journal.put("k1", task="t", model="m", reply={"text": text})
    assert journal.get("k1") == {"text": text}
    journal.close()


def test_journal_counts_tokens_by_task_and_model(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    for key, task in (("k1", "judge@1"), ("k2", "judge@1"), ("k3", "classify@1")):
        journal.put(key, task=task, model="m", reply=REPLY)
    assert journal.stats() == [
        {"task": "classify@1", "model": "m", "replies": 1, "prompt_tokens": 12, "completion_tokens": 3},
        {"task": "judge@1", "model": "m", "replies": 2, "prompt_tokens": 24, "completion_tokens": 6},
    ]
    journal.close()


def test_a_file_that_is_no_journal_is_named(tmp_path: Path) -> None:
    (tmp_path / "j").write_bytes(b"this is not a database, and long enough to be sure of it\n" * 40)
    with pytest.raises(StoreError, match="j: not a usable journal"):
        Journal(tmp_path / "j")


WRITER = """
import sys
import threading
from pathlib import Path
from finemed.sources.columns import check_columns
from finemed.store.journal import Journal
print("ready", flush=True)
sys.stdin.readline()
journal = Journal(Path(sys.argv[1]))
for number in range(int(sys.argv[3])):
    key = f"{sys.argv[2]}-{number}"
    journal.put(key, task="t", model="m", reply={"text": key * 50})
    print(key, flush=True)
"""


def test_two_processes_share_a_journal(tmp_path: Path) -> None:
    with python(WRITER, tmp_path / "j", "a", 200) as one, python(WRITER, tmp_path / "j", "b", 200) as two:
        assert next_line(one) == next_line(two) == "ready"
        for process in (one, two):
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        for process in (one, two):
            process.communicate()
            assert process.returncode == 0
    journal = Journal(tmp_path / "j")
    for name in ("a", "b"):
        assert all(journal.get(f"{name}-{n}") == {"text": f"{name}-{n}" * 50} for n in range(200))
    journal.close()


def test_a_killed_writer_loses_no_acknowledged_reply(tmp_path: Path) -> None:
    acknowledged: list[str] = []
    for name in ("first", "second"):
        with python(WRITER, tmp_path / "j", name, 1_000_000) as writer:
            assert writer.stdin is not None
            assert writer.stdout is not None
            writer.stdin.write("\n")
            writer.stdin.flush()
            lines = [next_line(writer) for _ in range(150)]
            os.kill(writer.pid, signal.SIGKILL)
            lines += [line.strip() for line in writer.stdout if line.endswith("\n")]
            assert writer.wait() == -signal.SIGKILL
        acknowledged += lines[1:]
    assert len(acknowledged) >= 298
    journal = Journal(tmp_path / "j")
    assert [key for key in acknowledged if journal.get(key) != {"text": key * 50}] == []
    journal.close()


# --- readers ---------------------------------------------------------------------------------------------------------


def source(path: str, **settings: Any) -> SourceConfig:
    return SourceConfig(name="demo", path=path, **settings)


def read(folder: Path, path: str, **settings: Any) -> list[dict[str, Any]]:
    return [record for file in find_files(source(path, **settings), folder) for record in read_records(file)]


def batches(files: list[InputFile], size: int = 100) -> list[dict[str, Any]]:
    return [row for _, rows in record_batches(files, size) for row in rows.iter_rows(named=True)]


MAPPED = Columns(text="body", title="head", id="key", url="link", language="lang", license="lic", attribution="by")
FULL = {"body": "Croup.", "head": "Croup", "key": "7", "link": "https://e.org", "lang": "en", "lic": "CC0", "by": "Ann"}


@pytest.mark.parametrize("ending", ["jsonl", "ndjson", "parquet", "csv"])
def test_every_format_maps_every_column(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    if ending == "parquet":
        pl.DataFrame({**{key: [value] for key, value in FULL.items()}, "other": [1]}).write_parquet(path)
    elif ending == "csv":
        pl.DataFrame({**{key: [value] for key, value in FULL.items()}, "other": [1]}).write_csv(path)
    else:
        path.write_text(json.dumps({**FULL, "other": 1}) + "\n\n")
    (record,) = read(tmp_path, path.name, columns=MAPPED)
    assert record["document_id"].startswith("d")
    assert {**record, "document_id": "d"} == {
        "record_id": f"demo/a.{ending}:1",
        "fault": None,
        "document_id": "d",
        "source": "demo",
        "text": "Croup.",
        "title": "Croup",
        "url": "https://e.org",
        "language": "en",
        "license": "CC0",
        "attribution": "Ann",
        "source_id": "7",
        "extra": None,
        "given_instruction": None,
        "given_response": None,
        "given_chosen": None,
    }


def test_the_same_record_has_the_same_document_id_in_every_format(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps(FULL))
    pl.DataFrame([FULL]).write_parquet(tmp_path / "b.parquet")
    pl.DataFrame([FULL]).write_csv(tmp_path / "c.csv")
    assert len({record["document_id"] for record in read(tmp_path, ".", columns=MAPPED)}) == 1


def test_what_a_record_lacks_comes_from_the_source(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "Croup.", "lic": ""}\n{"text": "Asthma.", "lic": "CC-BY-4.0"}\n')
    columns = Columns(license="lic")
    records = read(tmp_path, "a.jsonl", columns=columns, license="CC0-1.0", url="https://e.org", attribution="Ann")
    assert [(r["license"], r["url"], r["attribution"]) for r in records] == [
        ("CC0-1.0", "https://e.org", "Ann"),
        ("CC-BY-4.0", "https://e.org", "Ann"),
    ]
    assert [r["license"] for r in read(tmp_path, "a.jsonl")] == [None, None]


def test_text_files_take_their_first_line_as_title(tmp_path: Path) -> None:
    (tmp_path / "croup.txt").write_text("\n  Croup \n\nIt barks.\n")
    (tmp_path / "b.md").write_text("# Asthma")
    asthma, croup = read(tmp_path, ".")
    assert (croup["title"], croup["text"]) == ("Croup", "\n  Croup \n\nIt barks.\n")
    assert (asthma["record_id"], asthma["title"]) == ("demo/b.md:1", "# Asthma")


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.txt"])
def test_a_byte_order_mark_is_no_text(tmp_path: Path, name: str) -> None:
    content = {"a.jsonl": '{"text": "Croup."}\n', "a.csv": "text\nCroup.\n", "a.txt": "Croup."}[name]
    (tmp_path / name).write_text(content, encoding="utf-8-sig")
    assert [(r["fault"], r["text"]) for r in read(tmp_path, name)] == [(None, "Croup.")]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b'{"text": ', "not_json: "),
        (b"[" * 100_000, "not_json: "),
        (b'["Croup."]', "not_an_object: the line holds list"),
        (b"null", "not_an_object: the line holds NoneType"),
        (b'{"body": "Croup.", "a": 1}', "missing_column: no `text` among a, body"),
        (b'{"text": " \\n"}', "empty_text: "),
        (b'{"text": null}', "empty_text: "),
        (b'{"text": "Caf\xe9"}', "not_utf8: byte 13"),
        (b'{"text": "Caf\\ufffd"}', "not_utf8: "),
        (b'{"text": "half \\ud83d"}', "not_utf8: `text` holds half of a surrogate pair"),
        (b'{"text": "Croup\\u0000"}', "nul_byte: "),
        (b'{"text": ["Croup."]}', "text_not_string: `text` is list"),
        (b'{"text": 5}', "text_not_string: `text` is int"),
    ],
)
def test_a_bad_line_is_one_fault_and_no_more(tmp_path: Path, line: bytes, fault: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "Croup."}\n' + line + b'\n{"text": "Asthma."}\n')
    rows = batches(find_files(source("a.jsonl"), tmp_path))
    assert [row["record_id"] for row in rows] == ["demo/a.jsonl:1", "demo/a.jsonl:2", "demo/a.jsonl:3"]
    assert [row["fault"] is None for row in rows] == [True, False, True]
    assert rows[1]["fault"].startswith(fault)
    assert rows[1]["document_id"] is None
    assert rows[1]["text"] is None


def test_half_a_surrogate_pair_beside_the_text_is_a_fault_too(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "Croup.", "head": "\\udc00"}\n')
    (row,) = batches(find_files(source("a.jsonl", columns=Columns(title="head")), tmp_path))
    assert row["fault"] == "not_utf8: `head` holds half of a surrogate pair"


def test_repeated_records_are_marked_across_batches_and_files(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "Croup."}\n{"text": "Asthma."}\n')
    (tmp_path / "b.jsonl").write_text('{"text": "Rickets."}\n{"text": "Croup."}\n{"body": 1}\n{"body": 1}\n')
    faults = [(r["fault"] or "").partition(":")[0] for r in batches(find_files(source("."), tmp_path), size=2)]
    assert faults == ["", "", "", "repeated_record", "missing_column", "missing_column"]


def test_the_same_text_under_another_id_or_source_is_no_repeat(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "Croup.", "id": "1"}\n{"text": "Croup.", "id": "2"}\n')
    columns = Columns(id="id")
    files = [
        file
        for name in ("one", "two")
        for file in find_files(SourceConfig(name=name, path="a.jsonl", columns=columns), tmp_path)
    ]
    rows = batches(files)
    assert [row["fault"] for row in rows] == [None] * 4
    assert len({row["document_id"] for row in rows}) == 4


def test_parquet_with_a_broken_footer_is_one_fault(tmp_path: Path) -> None:
    pl.DataFrame({"text": ["Croup."]}).write_parquet(tmp_path / "a.parquet")
    (tmp_path / "a.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:-8] + b"\0" * 8)
    pl.DataFrame({"text": ["Asthma."]}).write_parquet(tmp_path / "b.parquet")
    broken, sound = read(tmp_path, ".")
    assert broken["record_id"] == "demo/a.parquet:1"
    assert broken["fault"].startswith("unreadable_file: ")
    assert (sound["fault"], sound["text"]) == (None, "Asthma.")


@pytest.mark.parametrize("name", ["a.parquet", "a.csv", "a.txt"])
def test_a_file_that_vanished_is_a_fault_without_its_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("x")
    (file,) = find_files(source(name), tmp_path)
    (tmp_path / name).unlink()
    (record,) = read_records(file)
    assert record["fault"].startswith("unreadable_file: ")
    assert file.facts() == {
        "source": "demo",
        "file": name,
        "bytes": None,
        "sha256": None,
        "unreadable": "No such file or directory",
    }
    assert str(tmp_path) not in record["fault"]


def test_parquet_rows_without_the_column_or_with_another_type(tmp_path: Path) -> None:
    pl.DataFrame({"body": ["Croup.", "Asthma."], "n": [1, 2]}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"text": [b"\x01", None]}).write_parquet(tmp_path / "b.parquet")
    faults = [record["fault"] for record in read(tmp_path, ".")]
    assert faults == [
        "missing_column: no `text` among body, n",
        "missing_column: no `text` among body, n",
        "text_not_string: `text` is bytes",
        "empty_text: `text` holds nothing",
    ]


def test_csv_faults(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(
        b'text,title\n"Croup,\nin two lines",Croup\nAsthma.\nRickets,b,c\n,empty\nCaf\xe9,latin\nNul\x00,n\n'
    )
    records = read(tmp_path, "a.csv", columns=Columns(title="title"))
    assert [(r["text"], (r["fault"] or "").partition(":")[0]) for r in records] == [
        ("Croup,\nin two lines", ""),
        (None, "fewer_fields"),
        (None, "extra_fields"),
        (None, "empty_text"),
        (None, "not_utf8"),
        (None, "nul_byte"),
    ]


def test_a_text_file_that_is_not_utf8_or_empty(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"Caf\xe9")
    (tmp_path / "b.txt").write_bytes(b"")
    assert [r["fault"].partition(":")[0] for r in read(tmp_path, ".")] == ["not_utf8", "empty_text"]


def test_every_record_fits_the_schema_even_the_broken_ones(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "Croup.", "title": 5, "url": {"a": 1}}\n[]\n')
    files = find_files(source("a.jsonl", columns=Columns(title="title", url="url")), tmp_path)
    ((index, rows),) = list(record_batches(files, 10))
    assert (index, rows.schema) == (0, RAW_SCHEMA)
    assert rows["title"].to_list() == ["5", None]


# --- bytes, lines and pieces -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Held:
    """A file's bytes in memory."""

    data: bytes

    def open(self) -> BinaryIO:
        return io.BytesIO(self.data)

    def facts(self) -> dict[str, Any]:
        return {"bytes": len(self.data), "sha256": None}


def raw(data: bytes, name: str, chunk: int = 1 << 18, **settings: Any) -> list[tuple[Any, ...]]:
    """What a reader makes of bytes that come in pieces of `chunk`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "CHUNK", chunk)
        file = InputFile(source(name, **settings), Held(data), name, format_of(name) or "unknown")
        return list(raw_records(file))


WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30)
CHUNKS = st.integers(1, 40)


@given(st.binary(max_size=200).map(lambda data: data.replace(b"\0", b"\n").replace(b"\1", b"\r")), CHUNKS)
def test_lines_are_the_same_in_pieces_of_any_size(data: bytes, chunk: int) -> None:
    data = b"x" + data  # no mark of another format
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "CHUNK", chunk)
        file = InputFile(source("a.jsonl"), Held(data), "a.jsonl", "jsonl")
        assert [line.data for line in streams.lines(file)] == data.splitlines(keepends=True)


@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=8), CHUNKS, st.sampled_from(["\n", "\r\n", "\r"]))
def test_what_a_csv_writer_wrote_comes_back(rows: list[tuple[str, str]], chunk: int, end: str) -> None:
    written = io.StringIO()
    quoting = csv.QUOTE_MINIMAL if end == "\r\n" else csv.QUOTE_ALL  # the writer quotes the line end that it uses
    csv.writer(written, lineterminator=end, quoting=quoting).writerows([("text", "title"), *rows])
    found = raw(written.getvalue().encode(), "a.csv", chunk)
    assert [(values["text"], values["title"], fault) for _, _, values, fault in found] == [(*row, None) for row in rows]


@given(st.integers(2, 30), st.data(), CHUNKS)
def test_a_quote_that_nobody_closes_costs_one_row(count: int, draw: st.DataObject, chunk: int) -> None:
    at = draw.draw(st.integers(0, count - 1))
    quoted = draw.draw(st.lists(st.booleans(), min_size=count, max_size=count))
    rows = [f'"Row, {n}",t\n' if quote else f"Row {n},t\n" for n, quote in enumerate(quoted)]
    rows[at] = f'"Row {at},t\n'
    found = raw(("text,title\n" + "".join(rows)).encode(), "a.csv", chunk)
    assert [number for number, _, _, _ in found] == list(range(1, count + 1))
    assert [number - 1 for number, _, _, fault in found if fault] == [at]
    assert found[at][1] == at + 2
    assert found[at][3].startswith("broken_quotes: ")


ELEMENTS = st.lists(
    st.dictionaries(WORDS, st.recursive(WORDS | st.integers() | st.none(), st.lists, max_leaves=5), max_size=4),
    max_size=6,
)


@given(ELEMENTS, st.sampled_from([None, 0, 2]), CHUNKS, st.booleans())
def test_an_array_is_the_same_in_pieces_of_any_size(elements: Any, indent: int | None, chunk: int, plain: bool) -> None:
    data = json.dumps(elements, indent=indent, ensure_ascii=plain).encode()
    found = raw(data, "a.json", chunk)
    if not elements:
        assert [fault for _, _, _, fault in found] == ["empty_file: it holds no record"]
    else:
        assert found == [
            (n, line, values, None) for n, (values, (_, line, _, _)) in enumerate(zip(elements, found, strict=True), 1)
        ]
        lines = [line for _, line, _, _ in found]
        assert lines == sorted(lines)
    assert [
        values
        for _, _, values, fault in raw(b"\n".join(json.dumps(e).encode() for e in elements), "a.jsonl")
        if not fault
    ] == elements


def test_an_unclosed_quote_in_a_large_file_is_given_up_within_bounds() -> None:
    rows = b"".join(b"Croup barks at night and is better in cold air %d,x\n" % n for n in range(350_000))
    found = raw(b'text,title\n"Asthma,x\n' + rows, "a.csv")
    assert len(found) == 350_001
    assert [number for number, _, _, fault in found if fault] == [1]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.JSONL", ("jsonl", None)),
        ("a.b.jsonl.gz", ("jsonl", "gzip")),
        ("a.csv.ZST", ("csv", "zstd")),
        ("a.json", ("json", None)),
        ("a.md.gz", ("text", "gzip")),
        ("a.parquet.gz", (None, "gzip")),
        ("a.gz", (None, "gzip")),
        ("jsonl", (None, None)),
        ("v1.2/part", (None, None)),
    ],
)
def test_formats_go_by_endings(name: str, expected: tuple[str | None, str | None]) -> None:
    assert (format_of(name), compression_of(name)) == expected


# --- where -----------------------------------------------------------------------------------------------------------

TABLE = {
    "text": ["Croup.", "Offside.", "Asma.", "Gout.", "Rickets."],
    "domain": ["medical", "sports", "medical", "medical", None],
    "language": ["en", "en", "es", "en", "en"],
    "year": [2019, 2020, 2020, 2020, 2020],
    "open": [True, True, True, False, True],
}


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.parquet", "a.json"])
@pytest.mark.parametrize(
    ("where", "numbers"),
    [
        ({"domain": ["medical"]}, [1, 3, 4]),
        ({"domain": ["medical"], "language": ["en"]}, [1, 4]),
        ({"year": [2020], "open": [True]}, [2, 3, 5]),
        ({"year": ["2019"]}, [1]),
        ({"domain": ["sports", "medical"], "language": ["es", "fr"]}, [3]),
    ],
)
def test_where_keeps_the_records_that_hold_a_value_and_their_numbers(
    tmp_path: Path, name: str, where: dict[str, Any], numbers: list[int]
) -> None:
    table = pl.DataFrame(TABLE)
    if name.endswith("parquet"):
        table.write_parquet(tmp_path / name, row_group_size=2)
    elif name.endswith("json"):
        (tmp_path / name).write_text(json.dumps(table.to_dicts()))
    else:
        {"a.jsonl": table.write_ndjson, "a.csv": table.write_csv}[name](tmp_path / name)
    found = read(tmp_path, name, where=where)
    assert [record["record_id"] for record in found] == [f"demo/{name}:{number}" for number in numbers]
    assert [record["text"] for record in found] == [TABLE["text"][number - 1] for number in numbers]
    limited = batches(find_files(source(name, where=where, limit=1), tmp_path))
    assert [row["record_id"] for row in limited] == [f"demo/{name}:{numbers[0]}"]


def test_where_looks_into_lists_and_keeps_what_is_broken(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"text": "Croup.", "tags": ["lung", "child"]}\nbroken\n{"text": "Gout.", "tags": ["joint"]}\n{"text": "A."}\n'
    )
    found = read(tmp_path, "a.jsonl", where={"tags": ["child"]})
    assert [(record["record_id"], record["fault"] is None) for record in found] == [
        ("demo/a.jsonl:1", True),
        ("demo/a.jsonl:2", False),
    ]


@pytest.mark.parametrize("groups", [6000, 700, 2000])
def test_rows_that_where_asks_for_are_read_from_all_of_a_row_group(tmp_path: Path, groups: int) -> None:
    domains = ["medical"] * 2000 + ["sports"] * 2000 + ["medical"] * 2000
    rows = pl.DataFrame({"text": [f"Text {n}." for n in range(6000)], "domain": domains})
    rows.write_parquet(tmp_path / "a.parquet", row_group_size=groups)
    found = read(tmp_path, "a.parquet", where={"domain": ["medical"]})
    assert [record["text"] for record in found] == [f"Text {n}." for n in (*range(2000), *range(4000, 6000))]
    assert [record["record_id"] for record in found[1999:2001]] == ["demo/a.parquet:2000", "demo/a.parquet:4001"]


@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
def test_folders_give_columns_that_where_and_the_mapping_can_name(tmp_path: Path, ending: str) -> None:
    for language, text in (("en", "Croup."), ("zh", "Gout.")):
        folder = tmp_path / "d" / f"lang={language}" / "year=2020"
        folder.mkdir(parents=True)
        table = pl.DataFrame({"text": [text]})
        if ending == "parquet":
            table.write_parquet(folder / "p.parquet")
        else:
            table.write_ndjson(folder / "p.jsonl")
    settings: dict[str, Any] = {"where": {"lang": ["zh"], "year": [2020]}, "columns": Columns(language="lang")}
    check_columns(source("d", **settings), find_files(source("d", **settings), tmp_path))
    found = read(tmp_path, "d", **settings)
    assert [(record["text"], record["language"]) for record in found] == [("Gout.", "zh")]
    assert len(read(tmp_path, "d")) == 2


def test_papers_beside_data_are_no_passages(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    chat = {"messages": [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]}
    (tmp_path / "data" / "train.jsonl").write_text(json.dumps(chat) + "\n")
    (tmp_path / "README.md").write_text("# My chats")
    (tmp_path / "LICENSE.txt").write_text("Creative Commons")
    (tmp_path / "report.json").write_text('{"kept": 1}')
    passed_over: list[Quarantined] = []
    files = find_files(source("."), tmp_path, passed_over=passed_over)
    assert [(file.name, file.layout) for file in files] == [("data/train.jsonl", "messages")]
    assert [found.place for found in passed_over] == ["LICENSE.txt", "README.md", "report.json"]
    assert [record["given_instruction"] for record in read(tmp_path, ".")] == ["Why?"]
    (tmp_path / "data" / "train.jsonl").unlink()
    (tmp_path / "report.json").unlink()
    assert [file.name for file in find_files(source("."), tmp_path)] == ["LICENSE.txt", "README.md"]


class Broken(io.RawIOBase):
    """A file whose code is wrong."""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        raise AttributeError("a fault of the code")

    def readinto(self, buffer: Any) -> int:
        raise AttributeError("a fault of the code")


class BrokenPlace:
    """Where such a file is."""

    def open(self) -> BinaryIO:
        return io.BufferedReader(Broken())

    def facts(self) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "json", "csv", "text"])
def test_a_fault_of_the_code_is_not_filed_as_a_broken_file(kind: str) -> None:
    file = InputFile(source("x"), BrokenPlace(), f"x.{kind}", kind)
    with pytest.raises(AttributeError, match="a fault of the code"):
        list(read_records(file))


def test_a_parquet_file_is_read_in_the_thread_that_asks(tmp_path: Path) -> None:
    columns = {name: [f"{name} {n} " + "croup " * 40 for n in range(4000)] for name in ("text", "b", "c", "d")}
    pl.DataFrame(columns).write_parquet(tmp_path / "a.parquet", row_group_size=1000, compression="uncompressed")
    threads: set[int] = set()

    class Watched(io.FileIO):
        def readinto(self, buffer: Any) -> int:
            threads.add(threading.get_ident())
            return super().readinto(buffer) or 0

    class WatchedPlace(BrokenPlace):
        def open(self) -> BinaryIO:
            return io.BufferedReader(Watched(str(tmp_path / "a.parquet")))

    mapped = source("a.parquet", columns=Columns(title="b", url="c", attribution="d"), where={"c": [columns["c"][5]]})
    for asked in (mapped, source("a.parquet", columns=Columns(title="b"))):
        assert list(read_records(InputFile(asked, WatchedPlace(), "a.parquet", "parquet")))
    assert threads == {threading.get_ident()}


@pytest.mark.parametrize("name", ["q.csv", "q.jsonl", "q.parquet"])
def test_a_question_that_stands_twice_is_never_dropped_silently(tmp_path: Path, name: str) -> None:
    if name.endswith("parquet"):
        table = pa.table(
            [pa.array(["Why?"]), pa.array(["When?"]), pa.array(["So."])], ["question", "question", "answer"]
        )
        pq.write_table(table, tmp_path / name)
    elif name.endswith("csv"):
        (tmp_path / name).write_text("question,question,answer\nWhy?,When?,So.\n")
    else:
        (tmp_path / name).write_text('{"question": "Why?", "question": "When?", "answer": "So."}\n')
    (record,) = read(tmp_path, name, layout="question_answer")
    assert record["fault"].startswith("duplicate_column: `question` stands twice")


def test_a_column_of_where_that_no_file_has_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "Croup.", "domain": "medical"}\n')
    (tmp_path / "b.txt").write_text("Croup.")
    wrong = source(".", where={"domian": ["medical"]})
    with pytest.raises(ConfigError, match=r"no column `domian` \(where\) in a\.jsonl; it has domain, text"):
        check_columns(wrong, find_files(wrong, tmp_path))
    texts = source("b.txt", where={"domain": ["medical"]})
    with pytest.raises(ConfigError, match=r"`domain` \(where\) in b\.txt; it has text files, which have no columns"):
        check_columns(texts, find_files(texts, tmp_path))


def test_where_without_any_record_is_refused_with_the_values_there_are(tmp_path: Path) -> None:
    pl.DataFrame(TABLE).write_parquet(tmp_path / "a.parquet")
    files = find_files(source("a.parquet", where={"domain": ["Medical"]}), tmp_path)
    with pytest.raises(InputError, match=r"no record has `domain` of Medical; .* `domain`: medical, sports, None"):
        list(record_batches(files, 10))


# --- questions with answers ------------------------------------------------------------------------------------------

ASKED = "How is croup recognised?"
EXCHANGES = {
    "alpaca.json": [{"instruction": "Answer briefly.", "input": ASKED, "output": "By its cough."}],
    "sharegpt.jsonl": [
        {"id": "7", "conversations": [{"from": "human", "value": ASKED}, {"from": "gpt", "value": "By its cough."}]}
    ],
    "messages.parquet": [
        {"messages": [{"role": "user", "content": ASKED}, {"role": "assistant", "content": "By its cough."}], "n": 1}
    ],
    "question_answer.csv": [{"question": ASKED, "answer": "By its cough."}],
    "preference.jsonl": [{"prompt": ASKED, "chosen": "By its cough.", "rejected": "It cannot be."}],
    "question_alone.jsonl": [{"question": ASKED, "topic": "croup"}],
}


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    if path.suffix == ".json":
        path.write_text(json.dumps(rows, indent=1))
    else:
        table = pl.DataFrame(rows)
        {".jsonl": table.write_ndjson, ".csv": table.write_csv, ".parquet": table.write_parquet}[path.suffix](path)


@pytest.mark.parametrize("name", EXCHANGES)
def test_questions_with_answers_are_recognised_and_mapped(tmp_path: Path, name: str) -> None:
    write_rows(tmp_path / name, EXCHANGES[name])
    files = find_files(source(name, license="CC0-1.0"), tmp_path)
    check_columns(files[0].source, files)
    (row,) = batches(files)
    question = f"Answer briefly.\n\n{ASKED}" if name == "alpaca.json" else ASKED
    given = {
        "preference.jsonl": ("It cannot be.", "By its cough."),
        "question_alone.jsonl": (None, None),
    }.get(name, ("By its cough.", None))
    assert (row["fault"], row["license"]) == (None, "CC0-1.0")
    assert (row["given_instruction"], row["given_response"], row["given_chosen"]) == (question, *given)
    assert row["text"] == "\n\n".join(text for text in (question, *given) if text)
    assert row["document_id"].startswith("d")


def test_a_question_with_another_answer_is_another_document(tmp_path: Path) -> None:
    rows = [
        {"question": ASKED, "answer": answer, "id": "1"} for answer in ("By its cough.", "By stridor.", "By its cough.")
    ]
    write_rows(tmp_path / "a.jsonl", rows)
    found = batches(find_files(source("a.jsonl", columns=Columns(id="id")), tmp_path))
    assert [(row["fault"] or "").partition(":")[0] for row in found] == ["", "", "repeated_record"]
    assert len({row["document_id"] for row in found}) == 2


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"layout": "documents", "columns": Columns(text="answer")}, "By its cough."),
        ({"columns": Columns(text="answer")}, "By its cough."),
        ({"layout": "question_answer"}, f"{ASKED}\n\nBy its cough."),
        ({}, f"{ASKED}\n\nBy its cough."),
    ],
)
def test_settings_decide_what_records_are(tmp_path: Path, settings: dict[str, Any], text: str) -> None:
    write_rows(tmp_path / "a.jsonl", EXCHANGES["question_answer.csv"])
    (row,) = batches(find_files(source("a.jsonl", **settings), tmp_path))
    assert (row["text"], row["fault"]) == (text, None)
    assert (row["given_instruction"] is None) == ("columns" in settings)


def test_the_layout_is_that_of_the_first_file_that_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("broken\n")
    (tmp_path / "b.parquet").write_bytes(b"PAR1")
    write_rows(tmp_path / "c.jsonl", EXCHANGES["preference.jsonl"])
    (tmp_path / "d.jsonl").write_text('{"text": "A document among pairs."}\n')
    files = find_files(source("."), tmp_path)
    assert {file.layout for file in files} == {"preference"}
    assert [(row["fault"] or "").partition(":")[0] for row in batches(files)] == [
        "not_json",
        "unreadable_file",
        "",
        "missing_column",
    ]


def test_an_unusable_exchange_is_a_fault_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("question,answer\nWhat is croup?,A cough.\n ,Nothing was asked.\n")
    first, second = batches(find_files(source("a.csv"), tmp_path))
    assert first["fault"] is None
    assert second["fault"] == "empty_question: `question` holds nothing (line 3)"
    assert (second["text"], second["given_instruction"], second["document_id"]) == (None, None, None)


def test_several_turns_are_dropped_or_cut_to_the_first_exchange(tmp_path: Path) -> None:
    turns = [("human", ASKED), ("gpt", "By its cough."), ("human", "And then?"), ("gpt", "Steam.")]
    row = {"conversations": [{"from": role, "value": text} for role, text in turns]}
    (tmp_path / "a.jsonl").write_text(json.dumps(row))
    (dropped,) = batches(find_files(source("a.jsonl"), tmp_path))
    assert dropped["fault"].startswith("multi_turn: ")
    (first,) = batches(find_files(source("a.jsonl", multi_turn="first"), tmp_path))
    assert (first["given_instruction"], first["given_response"]) == (ASKED, "By its cough.")


def test_values_that_are_no_text_become_one_or_a_fault(tmp_path: Path) -> None:
    values = ['["Ann", "Bo"]', "NaN", "2.5", "true", '{"a": 1}', "[[1]]", "null"]
    (tmp_path / "a.jsonl").write_text("".join(f'{{"text": "Croup {n}.", "by": {v}}}\n' for n, v in enumerate(values)))
    found = read(tmp_path, "a.jsonl", columns=Columns(attribution="by"))
    assert [record["attribution"] for record in found] == ["Ann; Bo", None, "2.5", "True", None, None, None]
    assert [(record["fault"] or "").partition(":")[0] for record in found] == [""] * 4 + ["not_a_value"] * 2 + [""]


# --- finding files ---------------------------------------------------------------------------------------------------


def corpus(tmp_path: Path) -> None:
    for name in ("b/2.jsonl", "a.jsonl", "b/1.csv", "b/notes.pdf", "b/c.jsonl/part.jsonl"):
        (tmp_path / "corpus" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "corpus" / name).write_text("text\n" if name.endswith("csv") else '{"text": "Croup."}\n')


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("corpus", ["a.jsonl", "b/1.csv", "b/2.jsonl", "b/c.jsonl/part.jsonl", "b/notes.pdf"]),
        ("corpus/a.jsonl", ["a.jsonl"]),
        ("corpus/*.jsonl", ["a.jsonl"]),
        ("corpus/**/*.jsonl", ["a.jsonl", "b/2.jsonl", "b/c.jsonl/part.jsonl"]),
        ("corpus/b/[12].*", ["1.csv", "2.jsonl"]),
        ("corpus/*/*.jsonl", ["b/2.jsonl"]),
    ],
)
def test_files_are_named_from_the_sources_folder_in_order(tmp_path: Path, path: str, names: list[str]) -> None:
    corpus(tmp_path)
    assert [file.name for file in find_files(source(path), tmp_path)] == names
    assert [file.name for file in find_files(source(str(tmp_path / path)), Path("/elsewhere"))] == names


@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize("path", ["corpus", "corpus/a.jsonl", "corpus/**/*.jsonl", "corpus/b/../*.jsonl"])
def test_record_ids_and_facts_never_hold_an_absolute_path(tmp_path: Path, path: str, absolute: bool) -> None:
    corpus(tmp_path)
    where = str(tmp_path / path) if absolute else path
    files = find_files(source(where), tmp_path)
    told = json.dumps([batches(files), [file.facts() for file in files]])
    assert tmp_path.name not in told
    assert all(row["record_id"].startswith("demo/") for row in batches(files))


def test_facts_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"abc")
    (file,) = find_files(source("a.txt"), tmp_path)
    sha = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert file.facts() == {"source": "demo", "file": "a.txt", "bytes": 3, "sha256": sha}


def test_no_file_and_unknown_endings_are_errors(tmp_path: Path) -> None:
    corpus(tmp_path)
    with pytest.raises(InputError, match=r"source `demo`: nowhere/\*\.jsonl matches no file .* check `sources.path`"):
        find_files(source("nowhere/*.jsonl"), tmp_path)
    with pytest.raises(InputError, match=r"notes\.pdf: format unknown .* set `format`"):
        find_files(source("corpus/b/notes.pdf"), tmp_path)
    (file,) = find_files(source("corpus/b/notes.pdf", format="jsonl"), tmp_path)
    assert [record["text"] for record in read_records(file)] == ["Croup."]


def test_limit_counts_records_of_the_whole_source(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "1"}\n[]\n')
    (tmp_path / "b.jsonl").write_text('{"text": "3"}\n{"text": "4"}\n')
    other = SourceConfig(name="other", path="b.jsonl")
    files = find_files(source("[ab].jsonl", limit=3), tmp_path) + find_files(other, tmp_path)
    assert [row["record_id"] for row in batches(files)] == [
        "demo/a.jsonl:1",
        "demo/a.jsonl:2",
        "demo/b.jsonl:1",
        "other/b.jsonl:1",
        "other/b.jsonl:2",
    ]


def test_batches_are_numbered_and_full(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("".join(f'{{"text": "{n}"}}\n' for n in range(5)))
    found = [(index, rows.height) for index, rows in record_batches(find_files(source("a.jsonl"), tmp_path), 2)]
    assert found == [(0, 2), (1, 2), (2, 1)]


# --- columns ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.parquet"])
def test_a_mapped_column_that_no_file_has_is_refused_with_what_there_is(tmp_path: Path, name: str) -> None:
    rows = pl.DataFrame({"text": ["Croup barks."], "licence": ["CC0-1.0"]})
    {"a.jsonl": rows.write_ndjson, "a.csv": rows.write_csv, "a.parquet": rows.write_parquet}[name](tmp_path / name)
    wrong = SourceConfig(name="demo", path=name, columns=Columns(license="license"))
    with pytest.raises(ConfigError, match=rf"no column `license` \(columns\.license\) in {name}; it has licence, text"):
        check_columns(wrong, find_files(wrong, tmp_path))
    right = SourceConfig(name="demo", path=name, columns=Columns(license="licence"))
    check_columns(right, find_files(right, tmp_path))


def test_a_column_that_only_some_files_have_is_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "Croup."}\n')
    (tmp_path / "b.jsonl").write_text('{"text": "Gout.", "url": "https://example.org"}\n')
    (tmp_path / "c.jsonl").write_text("not JSON at all\n")
    source = SourceConfig(name="demo", path="*.jsonl", columns=Columns(url="url"))
    check_columns(source, find_files(source, tmp_path))


def test_a_damaged_shard_of_an_unfinished_stage_is_made_again(tmp_path: Path) -> None:
    folder = notes_folder(tmp_path)
    folder.begin("f1")
    folder.write(0, NOTES, DROPS)
    folder.write(1, NOTES, DROPS)
    folder.kept_path(1).write_bytes(b"")
    folder.begin("f1")
    assert folder.indices() == [0]
    assert not folder.has(1)


def test_a_run_may_lie_in_a_folder_with_brackets(tmp_path: Path) -> None:
    path = tmp_path / "d[x]" / "kept-*.parquet"
    write_parquet(path, pl.DataFrame({"text": ["Croup."]}))
    assert read_parquet(path)["text"].to_list() == ["Croup."]
