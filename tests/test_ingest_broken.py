"""A folder of broken files beside good rows: nothing stops the run, no good row is lost, each bad one has its place.

A case is a file, the texts that must come through, and the faults as `record: code`, each with what its detail says.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import random
import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from finemed.config import Columns, SourceConfig
from finemed.sources.files import MAX_RECORD
from finemed.sources.records import find_files, record_batches

ROOT = Path(__file__).resolve().parents[1]
MANY = [f"Croup case {number}: the child barks at night and is better in cold air." for number in range(3000)]


@dataclass
class Case:
    """One file, and what is to become of it."""

    name: str
    write: bytes | Callable[[Path], object]
    good: list[str] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)


def jsonl(*texts: str) -> bytes:
    return b"".join(json.dumps({"text": text}).encode() + b"\n" for text in texts)


def around(bad: bytes, name: str, fault: str, detail: str = "") -> Case:
    """A JSON Lines file with a bad line between two good ones."""
    good = [f"{name}: Croup barks.", f"{name}: Asthma wheezes."]
    return Case(f"{name}.jsonl", jsonl(good[0]) + bad + b"\n" + jsonl(good[1]), good, {f"2: {fault}": detail})


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return bytes(sink.getvalue())


def cut_gzip(path: Path) -> None:
    whole = gzip.compress(jsonl(*MANY), mtime=0)
    path.write_bytes(whole[: len(whole) // 2])


def sound_lines_of_a_cut_gzip() -> list[str]:
    whole = gzip.compress(jsonl(*MANY), mtime=0)
    lines = zlib.decompressobj(31).decompress(whole[: len(whole) // 2]).splitlines()
    return [json.loads(line)["text"] for line in lines[:-1]]


def cut_zstd() -> bytes:
    salt = random.Random(7)
    whole = zstd(jsonl(*(f"{text} {salt.getrandbits(400):x}" for text in MANY)))
    return whole[: len(whole) * 2 // 3]


def sound_lines_of_a_cut_zstd() -> list[str]:
    """Byte by byte, as far as it goes: what a reader of pieces must give too."""
    content, found = pa.CompressedInputStream(pa.py_buffer(cut_zstd()), "zstd"), bytearray()
    with contextlib.suppress(OSError):
        while byte := content.read(1):
            found += byte
    return [json.loads(line)["text"] for line in found.splitlines()[:-1]]


def parquet(columns: dict[str, Any], **options: Any) -> Callable[[Path], object]:
    return lambda path: pq.write_table(pa.table(columns), path, **options)


def broken_footer(path: Path) -> None:
    pq.write_table(pa.table({"text": ["Croup."]}), path)
    path.write_bytes(path.read_bytes()[:-8] + b"\0" * 8)


def broken_page(path: Path) -> None:
    """Three row groups; the data of the second is overwritten."""
    texts = [f"Page {number}: gout hurts." for number in range(6)]
    pq.write_table(pa.table({"text": texts}), path, row_group_size=2, compression="zstd", use_dictionary=False)
    chunk = pq.read_metadata(path).row_group(1).column(0)
    data = bytearray(path.read_bytes())
    start = chunk.data_page_offset
    data[start : start + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
    path.write_bytes(data)


UNCLOSED = b'''text,title
Row 1 is sound.,One
"Row 2 opens a quote.,Two
Row 3 is sound.,Three
"Row 4, quoted, is sound.","Four"
Row 5 is sound.,"opens too
"Row 6
has two lines.",Six
"Row 7" has text behind its quote.,Seven
Row 8 is sound.,"Eight ""8"""
"Row 9 opens and nothing closes it.,Nine
Row 10 is sound.,Ten
'''
PRETTY = """[
  {
    "text": "Element 1 is sound.",
    "notes": [{"text": "Not a record."}]
  },
  {
    "text": "Element 2 is "broken"."
  },
  {
    "text": "Element 3 is sound."
  },
  "Element 4",
  {"text": "Element 5 is sound."}
]
"""

CASES = [
    Case("truncated.jsonl.gz", cut_gzip, sound_lines_of_a_cut_gzip(), {"*: unreadable_file": "ends too early"}),
    Case(
        "truncated.jsonl.zst",
        lambda path: path.write_bytes(cut_zstd()),
        sound_lines_of_a_cut_zstd(),
        {"*: unreadable_file": "Truncated compressed stream"},
    ),
    Case(
        "padded.jsonl.gz",
        gzip.compress(jsonl("Two members: one.")) + gzip.compress(jsonl("Two members: two.")) + b"\0" * 512,
        ["Two members: one.", "Two members: two."],
    ),
    Case("no_gzip.jsonl.gz", jsonl("Croup."), [], {"1: unreadable_file": "no gzip data"}),
    Case("no_zstd.csv.zst", b"text\nCroup.\n", [], {"1: unreadable_file": "Unknown frame descriptor"}),
    Case("gzip_unnamed.jsonl", gzip.compress(jsonl("Croup.")), [], {"1: unreadable_file": "name it .gz"}),
    Case("empty.jsonl", b"", [], {"1: empty_file": ""}),
    Case("empty.json", b"", [], {"1: empty_file": ""}),
    Case("empty.csv.gz", b"", [], {"1: empty_file": ""}),
    Case("header_only.csv", b"text,title\n", [], {"1: empty_file": ""}),
    Case("only_bom.jsonl", b"\xef\xbb\xbf", [], {"1: empty_file": ""}),
    Case("only_bom.txt", b"\xef\xbb\xbf", [], {"1: empty_text": ""}),
    Case("broken_footer.parquet", broken_footer, [], {"1: unreadable_file": "magic bytes"}),
    Case(
        "broken_page.parquet",
        broken_page,
        ["Page 0: gout hurts.", "Page 1: gout hurts.", "Page 4: gout hurts.", "Page 5: gout hurts."],
        {"3: unreadable_file": "rows 3 to 4 are lost"},
    ),
    Case("ints.parquet", parquet({"text": [1, 2]}), [], {"1: text_not_string": "int", "2: text_not_string": "int"}),
    Case("no_text.parquet", parquet({"body": ["Croup."]}), [], {"1: missing_column": "no `text` among body"}),
    Case("nulls.parquet", parquet({"text": [None, "Null: sound."]}), ["Null: sound."], {"1: empty_text": ""}),
    Case(
        "latin1.parquet",
        lambda path: pq.write_table(
            pa.table({"text": pa.array([b"Latin: sound.", b"Caf\xe9"]).cast(pa.string(), safe=False)}), path
        ),
        ["Latin: sound."],
        {"2: not_utf8": "byte 3"},
    ),
    Case("no_rows.parquet", parquet({"text": pa.array([], pa.string())}), [], {"1: empty_file": ""}),
    Case("no_parquet.parquet", b"PAR1 receptors", [], {"1: unreadable_file": ""}),
    around(b'{"text": "Caf\xe9 au lait spots"}', "not_utf8", "not_utf8", "byte 13 of the line"),
    Case("utf16.jsonl", jsonl("Croup.").decode().encode("utf-16"), [], {"1: not_utf8": "UTF-16"}),
    Case("utf16_no_mark.jsonl", '{"text": "Croup."}'.encode("utf-16-le"), [], {"1: nul_byte": ""}),
    Case(
        "latin1.csv",
        "text,title\nRow 1 is sound.,a\nCafé au lait spots.,b\nRow 3 is sound.,c\n".encode("latin-1"),
        ["Row 1 is sound.", "Row 3 is sound."],
        {"2: not_utf8": "(line 3)"},
    ),
    around(b'[{"text": "Croup."}]', "array", "not_an_object", "list"),
    Case(
        "whole_array.jsonl",
        b"[\n" + jsonl("Behind a bracket."),
        ["Behind a bracket."],
        {"1: not_json": "`format: json` reads a file that is one array"},
    ),
    around(b'{"text": NaN}', "nan", "text_not_string", "float"),
    around(b'{"text": {"en": "Croup."}}', "nested", "text_not_string", "dict"),
    around(b'{"text": "half \\ud83d"}', "surrogate", "not_utf8", "half of a surrogate pair"),
    around(b'{"text": "Croup\\u0000."}', "nul_in_text", "nul_byte", "the text"),
    around(b'{"text": "Croup\x00."}', "nul_in_line", "nul_byte", "the line"),
    around(b"\x00" * 4096, "hole", "nul_byte", "the line"),
    around(b"[" * 100_000, "deep", "not_json", "recursion"),
    around(b'{"text": "Croup', "cut_line", "not_json", "Unterminated string"),
    around(b'{"text": "' + b"a" * 30_000_000 + b'"}', "huge", "too_large", "30,000,013 bytes"),
    around(b'{"text": " \\n\\t "}', "blank", "empty_text", "`text` holds nothing"),
    around(b'\n\r\n{"text": 5}', "after_blank_lines", "text_not_string", "(line 4)"),
    around(b'{"text": "Croup.", "title": {"a": 1}}', "odd_title", "not_a_value", "`title` is dict"),
    Case(
        "unclosed.csv",
        UNCLOSED,
        [
            "Row 1 is sound.",
            "Row 3 is sound.",
            "Row 4, quoted, is sound.",
            "Row 6\nhas two lines.",
            "Row 8 is sound.",
            "Row 10 is sound.",
        ],
        {
            "2: broken_quotes": "closed by line 5 (line 3)",
            "5: broken_quotes": "closed by line 7 (line 6)",
            "7: broken_quotes": "text follows a closing quote; quotes inside a field are doubled (line 9)",
            "9: broken_quotes": "(line 11)",
        },
    ),
    Case(
        "fields.csv",
        b"text,title\nMany.,a,b\nRow 2 of the fields.,c\nFew.\n\nRow 4 of the fields.,d\n",
        ["Row 2 of the fields.", "Row 4 of the fields."],
        {"1: extra_fields": "3, the header has 2 (line 2)", "3: fewer_fields": "1, the header has 2 (line 4)"},
    ),
    Case(
        "semicolons.csv",
        b"\xef\xbb\xbfid;text\r\n1;Of semicolons, one.\r\n\r\n2;Too;many.\r\n3;Of semicolons, two.\r\n",
        ["Of semicolons, one.", "Of semicolons, two."],
        {"2: extra_fields": "3, the header has 2 (line 4)"},
    ),
    Case("quoted.csv", b'text|id\n"In | two\nlines."|1\nPlain.|2\n', ["In | two\nlines.", "Plain."]),
    Case("tabs.csv", b"id\ttext\n1\tOf tabs, one; two.\n", ["Of tabs, one; two."]),
    Case("stated.csv", b"sep=^\r\ntext^id\r\nStated; so.^1\r\n", ["Stated; so."]),
    Case("tabs.tsv", b"text, or so\ttext\na\tOf a TSV file, one.\n", ["Of a TSV file, one."]),
    Case("neither.csv", b"text;a|b\nCroup.\nAsthma;1\nGout|2\n", [], {"1: delimiter": "holds `;` and `|`, and the"}),
    Case("one;two.csv", b"text\nNo; mark.\nNo; mark; either.\n", ["No; mark.", "No; mark; either."]),
    Case(
        "cut_semicolons.csv.gz",
        gzip.compress(b"text;n\nCut; 1\nWhole of it.;2\nTruncat")[:-8],
        ["Cut", "Whole of it."],
        {"3: unreadable_file": ""},
    ),
    Case(
        "excel.csv",
        "text;n\nCaf\xe9.;1\nUnread.;\xfc\n".encode("cp1252"),
        ["Unread."],
        {"1: not_utf8": "`text` holds the byte 0xE9, a byte that is not UTF-8; the file is likely Windows-1252"},
    ),
    Case("twice.csv", b"text,title,text\nCroup.,a,Asthma.\n", [], {"1: duplicate_column": "`text` stands twice"}),
    Case("twice_unread.csv", b"text,x,x\nThe x is not read.,1,2\n", ["The x is not read."]),
    Case("no_header.csv", b"Croup.,a\nAsthma.,b\n", [], {"1: missing_column": "no `text` among Croup., a"}),
    Case("nul.csv", b"text\nNul\x00.\nBeside the NUL.\n", ["Beside the NUL."], {"1: nul_byte": "(line 2)"}),
    Case("huge.csv", b"text\n" + b"a" * 20_000_000 + b"\nBehind.\n", ["Behind."], {"1: too_large": "20,000,001"}),
    Case(
        "cut.csv.gz",
        gzip.compress(b"text\nFirst.\nSecond.\nTruncat")[:-8],
        ["First.", "Second."],
        {"3: unreadable_file": ""},
    ),
    Case("crlf.jsonl", jsonl("CRLF one.", "CRLF two.").replace(b"\n", b"\r\n"), ["CRLF one.", "CRLF two."]),
    Case("cr.jsonl", jsonl("CR one.", "CR two.").replace(b"\n", b"\r"), ["CR one.", "CR two."]),
    Case("crlf.csv", b'text\r\nCRLF row.\r\n"CRLF\r\nin quotes."\r\n', ["CRLF row.", "CRLF\r\nin quotes."]),
    Case("cr.csv", b"text,title\rCR row.,a\rCR row too.,b\r", ["CR row.", "CR row too."]),
    Case(
        "concatenated.jsonl",
        b"\xef\xbb\xbf" + jsonl("BOM one.") + b"\xef\xbb\xbf" + jsonl("BOM two."),
        ["BOM one.", "BOM two."],
    ),
    Case("garbage.txt", bytes(range(256)) * 20, [], {"1: not_utf8": "byte 128"}),
    Case("nul.txt", b"Croup\x00.", [], {"1: nul_byte": ""}),
    Case("blank.txt", b" \n\n", [], {"1: empty_text": ""}),
    Case("huge.md", b"a" * (MAX_RECORD + 1), [], {"1: too_large": "more than 16,000,000 bytes"}),
    Case("scan.pdf", b"%PDF-1.7", [], {"1: unknown_format": ".pdf files are not read"}),
    Case("disguised.txt", b"%PDF-1.7", [], {"1: unreadable_file": "holds a PDF"}),
    Case(
        "other.jsonl",
        b'{"body": "Croup."}\n' + jsonl("Beside another schema."),
        ["Beside another schema."],
        {"1: missing_column": "body"},
    ),
    Case(
        "pretty.json",
        PRETTY.encode(),
        ["Element 1 is sound.", "Element 3 is sound.", "Element 5 is sound."],
        {"2: not_json": "Expecting ',' delimiter", "4: not_an_object": "str (line 12)"},
    ),
    Case(
        "cut.json",
        b'[{"text": "Of a cut array."}, {"text": "Cr',
        ["Of a cut array."],
        {"2: not_json": "cannot be told apart"},
    ),
    Case("unclosed.json", b'[{"text": "Of an open array."},\n', ["Of an open array."], {"2: not_json": "not closed"}),
    Case(
        "two_arrays.json",
        b'[{"text": "Of the first array."}]\n[{}]',
        ["Of the first array."],
        {"2: not_json": "more text"},
    ),
    Case("lines.json", jsonl("JSON Lines as .json.", "A second line."), ["JSON Lines as .json.", "A second line."]),
    Case("single.json", b'{\n "text": "One object."\n}', ["One object."]),
    Case(
        "latin1.json",
        b'[\n{"text": "Caf\xe9"},\n{"text": "Behind Latin-1."}\n]',
        ["Behind Latin-1."],
        {"1: not_utf8": "not UTF-8"},
    ),
]


def test_every_fault_stands_in_the_documentation() -> None:
    (row,) = [
        line for line in (ROOT / "docs" / "pipeline.md").read_text("utf-8").splitlines() if "| `ingest` |" in line
    ]
    assert [f for case in CASES for f in case.faults if f"`{f.split(': ')[1]}`" not in row] == []


def write(case: Case, folder: Path) -> None:
    path = folder / case.name
    if isinstance(case.write, bytes):
        path.write_bytes(case.write)
    else:
        case.write(path)


def records(folder: Path, path: str = ".") -> list[dict[str, Any]]:
    source = SourceConfig(name="demo", path=path, columns=Columns(title="title"), layout="documents")
    return [row for _, rows in record_batches(find_files(source, folder), 500) for row in rows.iter_rows(named=True)]


def test_the_folder_has_more_than_twenty_kinds() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 50
    assert len({fault.split(": ")[1] for case in CASES for fault in case.faults}) >= 15


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_good_rows_come_through_and_bad_ones_are_told_with_their_place(tmp_path: Path, case: Case) -> None:
    write(case, tmp_path)
    (tmp_path / "z_behind.jsonl").write_bytes(jsonl("Behind it all."))
    *found, last = records(tmp_path)
    assert (last["fault"], last["text"]) == (None, "Behind it all.")
    repeated = [row for row in found if (row["fault"] or "").startswith("repeated_record")]
    assert [row["text"] for row in found if row["fault"] is None] == case.good
    faults = [row for row in found if row["fault"] is not None and row not in repeated]
    assert len(faults) == len(case.faults), faults
    for row, (expected, detail) in zip(faults, case.faults.items(), strict=True):
        number, code = expected.split(": ")
        at = row["record_id"].rpartition(":")[2] if number != "*" else "*"
        assert (at, row["fault"].partition(": ")[0]) == (number, code), row["fault"]
        assert detail in row["fault"]
        assert row["record_id"].startswith(f"demo/{case.name}:")
        assert str(tmp_path) not in row["fault"]
        assert len(row["fault"]) < 400
    assert len({row["record_id"] for row in found}) == len(found)


def odd_places(folder: Path) -> None:
    """What is no file, or not where its name says."""
    (folder / "folder.jsonl").mkdir()
    (folder / "folder.jsonl" / "inner.jsonl").write_bytes(jsonl("In a folder that is called like a file."))
    (folder / "dangling.jsonl").symlink_to(folder / "nowhere.jsonl")
    (folder / "loop_a.csv").symlink_to(folder / "loop_b.csv")
    (folder / "loop_b.csv").symlink_to(folder / "loop_a.csv")
    (folder / "folder.jsonl" / "up").symlink_to(folder)
    os.mkfifo(folder / "pipe.jsonl")


@pytest.mark.parametrize("path", [".", "**/*"])
def test_folders_links_and_pipes_under_a_files_name(tmp_path: Path, path: str) -> None:
    odd_places(tmp_path)
    if path != ".":
        (tmp_path / "folder.jsonl" / "up").unlink()  # a glob follows links
    told = {row["record_id"]: row["fault"] or row["text"] for row in records(tmp_path, path)}
    assert told == {
        "demo/dangling.jsonl:1": "unreadable_file: No such file or directory",
        "demo/folder.jsonl/inner.jsonl:1": "In a folder that is called like a file.",
        "demo/loop_a.csv:1": "unreadable_file: Too many levels of symbolic links",
        "demo/loop_b.csv:1": "unreadable_file: Too many levels of symbolic links",
    }


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_and_a_folder_that_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(jsonl("Croup."))
    (tmp_path / "b.jsonl").write_bytes(jsonl("Asthma."))
    (tmp_path / "closed").mkdir()
    for name in ("a.jsonl", "closed"):
        (tmp_path / name).chmod(0)
    told = {row["record_id"]: row["fault"] or row["text"] for row in records(tmp_path)}
    (tmp_path / "closed").chmod(0o700)
    assert told == {
        "demo/a.jsonl:1": "unreadable_file: Permission denied",
        "demo/b.jsonl:1": "Asthma.",
        "demo/closed:1": "unreadable_file: Permission denied",
    }


def finemed(*arguments: object) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT / "toolkit"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "finemed", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=300, check=False)


def test_a_build_over_all_of_them_goes_on_and_its_ledger_names_each(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for case in CASES:
        write(case, corpus)
    odd_places(corpus)
    (corpus / "control.jsonl").write_bytes(b'{"text": "\\u0001\\u0002"}\n' + jsonl("Behind control characters."))
    config = {
        "name": "broken",
        "sources": [{"name": "demo", "path": "corpus", "layout": "documents", "columns": {"title": "title"}}],
        "ingest": {"min_tokens": 0},
    }
    (tmp_path / "finemed.yaml").write_text(json.dumps(config))
    done = finemed("build", "-c", tmp_path / "finemed.yaml", "--until", "ingest")
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    run = tmp_path / "run"
    kept = pl.concat([pl.read_parquet(path) for path in (run / "stages" / "01-ingest").glob("kept-*.parquet")])
    good = {" ".join(text.split()) for case in CASES for text in case.good}
    good |= {"In a folder that is called like a file.", "Behind control characters."}
    assert {" ".join(text.split()) for text in kept["text"]} == good
    listed = finemed("ledger", run, "--limit", 0, "--json")
    rows = [json.loads(line) for line in listed.stdout.splitlines()]
    told = {(row["row_id"].split(":")[0].removeprefix("demo/"), row["drop_reason"]) for row in rows}
    expected = {(case.name, fault.split(": ")[1]) for case in CASES for fault in case.faults}
    expected |= {(name, "unreadable_file") for name in ("dangling.jsonl", "loop_a.csv", "loop_b.csv")}
    expected |= {("control.jsonl", "empty_text")}
    assert {pair for pair in told if pair[1] != "repeated_record"} == expected
    assert str(tmp_path) not in listed.stdout
    again = finemed("build", "-c", tmp_path / "finemed.yaml", "--until", "ingest", "--dry-run")
    assert "reuse" in again.stdout + again.stderr
