"""The index of ``finemed dedup``: texts decide, and what is damaged or no index is never taken as an empty one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner
from test_dedup_parts import Row, near, text

from finemed.cli.main import cli
from finemed.config import DedupConfig
from finemed.errors import FineMedError
from finemed.stages.dedup import dedup, index_at
from finemed.store.atomic import file_hash

CONFIG = DedupConfig()


def rows(numbers: range, **ids: Any) -> list[Row]:
    return [
        {"question": text(n, 20), "answer": text(500 + n, 20)} | {name: f"{prefix}{n}" for name, prefix in ids.items()}
        for n in numbers
    ]


def write(path: Path, found: list[Row]) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in found))
    return path


def run(path: Path, index: Path, *options: object) -> dict[str, Any]:
    command = ["dedup", str(path), "--index", str(index), *map(str, options), "--json"]
    result = CliRunner().invoke(cli, command)
    if result.exception is not None:
        raise result.exception
    told: dict[str, Any] = json.loads(result.stdout)
    return told


def refused(path: Path, index: Path, *options: object) -> str:
    with pytest.raises(FineMedError) as error:
        run(path, index, *options)
    return str(error.value)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


def held(index: Path) -> list[str]:
    return index_at(index, CONFIG).rows()["id"].to_list()


# --- texts decide ----------------------------------------------------------------------------------------------------


def test_a_second_file_of_the_same_name_is_compared(tmp_path: Path) -> None:
    one, two = (
        write(tmp_path / "a" / "r.jsonl", rows(range(40))),
        write(tmp_path / "b" / "r.jsonl", rows(range(20, 60))),
    )
    index, out = tmp_path / "index", tmp_path / "out.jsonl"
    assert run(one, index)["kept"] == 40
    told = run(two, index, "--out", out)
    assert (told["kept"], told["dropped"], told["already_indexed"]) == (20, {"exact_duplicate": 20}, 0)
    assert out.read_text().splitlines() == two.read_text().splitlines()[20:]
    assert len(set(held(index))) == 60
    again = run(two, index)
    assert (again["kept"], again["dropped"], again["already_indexed"]) == (20, {"exact_duplicate": 20}, 20)
    assert len(held(index)) == 60


def test_an_id_with_another_text_is_another_row(tmp_path: Path) -> None:
    index, why = tmp_path / "index", tmp_path / "why.jsonl"
    run(write(tmp_path / "one.jsonl", rows(range(3), id="r")), index)
    two = rows(range(3), id="r")
    two[1]["answer"], two[2]["question"] = text(900, 20), two[0]["question"]
    two[2]["answer"] = two[0]["answer"]
    path = write(tmp_path / "two.jsonl", two)
    told = run(path, index, "--dropped", why)
    assert (told["already_indexed"], told["kept"], told["dropped"]) == (1, 2, {"exact_duplicate": 1})
    assert json.loads(why.read_text())["detail"] == "of r0 in the index, Jaccard 1.0000"
    assert held(index) == ["r0", "r1", "r2", "r1"]
    assert run(path, index)["already_indexed"] == 2
    assert index_at(index, CONFIG).remove(pl.Series(["r1"])) == 2, "a retraction takes both"


def test_a_build_compares_an_id_with_another_text_too(tmp_path: Path) -> None:
    from test_dedup import rows as frame

    index = index_at(tmp_path / "index", CONFIG)
    index.append(dedup(frame({"a": text(1), "b": text(2)}), CONFIG, index).for_index())
    told = dedup(frame({"a": text(2), "b": text(3), "c": text(1)}), CONFIG, index)
    assert {row: drop.keeper for row, drop in told.dropped.items()} == {"a": "b", "c": "a"}
    assert (told.published, told.kept["id"].to_list()) == (0, ["b"])


def test_batches_of_several_parts_give_what_one_go_gives(tmp_path: Path) -> None:
    every = rows(range(30), id="r")
    every += [row | {"id": f"s{n}", "answer": near(text(500 + n, 60))} for n, row in enumerate(every[:10])]
    every += [{"id": f"t{n}", "question": near(text(n, 20)), "answer": text(500 + n, 20)} for n in range(10)]
    every += rows(range(5, 15), id="u")
    once = run(write(tmp_path / "all.jsonl", every), tmp_path / "once")
    index, dropped = tmp_path / "index", 0
    for start in range(0, len(every), 20):
        dropped += sum(run(write(tmp_path / f"b{start}.jsonl", every[start : start + 20]), index)["dropped"].values())
    assert dropped == sum(once["dropped"].values()) == 10
    assert sorted(held(index)) == sorted(held(tmp_path / "once"))


def test_rows_with_other_parts_are_counted_as_not_compared(tmp_path: Path) -> None:
    path, index = write(tmp_path / "r.jsonl", rows(range(4), id="r")), tmp_path / "index"
    run(path, index, "--on", "question")
    told = run(path, index, "--no-update")
    assert (told["not_comparable"], told["kept"]) == (4, 4)


# --- format 1 --------------------------------------------------------------------------------------------------------


def old_index(folder: Path, texts: dict[str, str], **facts: Any) -> Path:
    """An index as the version before wrote it: format 1, one text a row, no checksum."""
    from test_dedup import rows as frame

    found = dedup(frame(texts), CONFIG, index_at(folder / "none", CONFIG)).for_index()
    folder.mkdir()
    found.write_parquet(folder / "segment-00001.parquet")
    segment = {
        "name": "segment-00001.parquet",
        "rows": found.height,
        "hash": file_hash(folder / "segment-00001.parquet"),
    }
    settings = {"keys_version": 1, "ngram_size": 5, "num_bands": 25, "rows_per_band": 5}
    told = {"format": 1, "settings": settings, "segments": [segment], **facts}
    (folder / "index.json").write_text(json.dumps(told, indent=2, sort_keys=True))
    return folder


def test_an_index_of_format_1_is_read_and_grows(tmp_path: Path) -> None:
    index = old_index(tmp_path / "index", {f"r{n}": text(n) for n in range(5)})
    path = write(tmp_path / "r.jsonl", [{"id": f"r{n}", "text": text(n - n % 2)} for n in range(8)])
    told = run(path, index)
    assert (told["already_indexed"], told["kept"], told["dropped"]) == (3, 4, {"exact_duplicate": 4})
    assert held(index) == ["r0", "r1", "r2", "r3", "r4", "r6"]
    assert json.loads((index / "index.json").read_text())["format"] == 2
    assert run(path, index)["already_indexed"] == 4


def test_rows_of_one_unnamed_text_are_compared_with_the_one_column_that_is_named(tmp_path: Path) -> None:
    index = old_index(tmp_path / "index", {f"r{n}": text(n, 20) for n in range(5)})
    path = write(tmp_path / "r.jsonl", rows(range(3, 8), id="r"))
    assert "name the one column that it was made from with --on" in refused(path, index)
    told = run(path, index, "--on", "question")
    assert (told["already_indexed"], told["kept"]) == (2, 5)


def test_keys_of_an_older_version_are_made_again(tmp_path: Path) -> None:
    settings = {"keys_version": 0, "ngram_size": 5, "num_bands": 25, "rows_per_band": 5}
    index = old_index(tmp_path / "index", {f"r{n}": text(n) for n in range(5)}, settings=settings)
    path = write(tmp_path / "r.jsonl", [{"id": "s", "text": near(text(2))}])
    assert run(path, index)["dropped"] == {"near_duplicate": 1}
    from test_dedup import rows as frame

    assert list(dedup(frame({"t": near(text(3))}), CONFIG, index_at(index, CONFIG)).dropped) == ["t"]


# --- damage ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def index(tmp_path: Path) -> Path:
    folder = tmp_path / "index"
    for start in (0, 10, 20):
        run(write(tmp_path / f"r{start}.jsonl", rows(range(start, start + 10), id="r")), folder)
    return folder


def test_any_changed_character_of_the_facts_is_noticed(tmp_path: Path, index: Path) -> None:
    path, facts = write(tmp_path / "more.jsonl", rows(range(20, 40), id="r")), index / "index.json"
    whole = facts.read_text()
    before = contents(index)
    for at in range(0, len(whole), 7):
        changed = whole[:at] + ("7" if whole[at] != "7" else "8") + whole[at + 1 :]
        facts.write_text(changed)
        if whole[at].isspace() and changed.split() == whole.split():
            continue
        said = refused(path, index)
        assert "index.json" in said
        assert "remove" not in said
    facts.write_text(whole)
    assert contents(index) == before


@pytest.mark.parametrize(
    "facts",
    [
        "",
        "[]",
        "null",
        "{" * 100_000,
        '{"format": 1, "settings": {"num_bands": 25}, "segments": null}',
        '{"format": 1, "settings": null, "segments": []}',
        '{"format": 1, "settings": {}, "segments": []}',
        '{"format": 1, "settings": {"num_bands": 25}, "segments": [null]}',
        '{"format": 1, "settings": {"num_bands": 25}, "segments": [{"name": 5, "rows": 1, "hash": "x"}]}',
        '{"format": 1, "settings": {"num_bands": 25}, "segments": [{"name": "../x.parquet", "rows": 1, "hash": "00"}]}',
        '{"format": 2, "settings": {"num_bands": 25}, "segments": []}',
        '{"format": 3, "settings": {"num_bands": 25}, "segments": []}',
    ],
)
def test_malformed_facts_are_named_and_made_again_from_the_segments(tmp_path: Path, index: Path, facts: str) -> None:
    path = write(tmp_path / "more.jsonl", rows(range(25, 35), id="r"))
    before = contents(index)
    (index / "index.json").write_text(facts)
    said = refused(path, index)
    assert said.startswith(f"{index / 'index.json'}: damaged (")
    assert f"`finemed dedup FILE --index {index} --rebuild-index`" in said
    assert contents(index) == before | {"index.json": facts.encode()}
    told = run(path, index, "--rebuild-index", "--no-update")
    assert (told["already_indexed"], told["kept"]) == (5, 10)
    assert contents(index) == before


def test_segments_without_facts_are_no_empty_index(tmp_path: Path, index: Path) -> None:
    path = write(tmp_path / "more.jsonl", rows(range(25, 35), id="r"))
    (index / "index.json").unlink()
    before = contents(index)
    assert "holds segments of an index but no index.json" in refused(path, index)
    assert contents(index) == before
    assert run(path, index, "--rebuild-index")["already_indexed"] == 5


def test_a_damaged_segment_is_not_made_part_of_an_index_again(tmp_path: Path, index: Path) -> None:
    path = write(tmp_path / "more.jsonl", rows(range(25, 35), id="r"))
    (index / "index.json").unlink()
    segment = index / "segment-00002.parquet"
    whole = segment.read_bytes()
    segment.write_bytes(whole[:200] + bytes([whole[200] ^ 1]) + whole[201:])
    assert "segment-00002.parquet: missing or changed" in refused(path, index, "--rebuild-index")
    assert not (index / "index.json").exists()
    segment.write_bytes(whole)
    last = index / "segment-00003.parquet"
    last.write_bytes(last.read_bytes()[:-30])
    assert "segment-00003.parquet: damaged" in refused(path, index, "--rebuild-index")


def test_what_was_removed_does_not_come_back(tmp_path: Path, index: Path) -> None:
    old = contents(index)
    assert index_at(index, CONFIG).remove(pl.Series(["r3"])) == 1
    for name, data in old.items():
        if name.startswith("segment"):
            (index / name).write_bytes(data)  # as a kill before the last step leaves them
    (index / "index.json").write_text("damaged")
    run(write(tmp_path / "more.jsonl", rows(range(25, 35), id="r")), index, "--rebuild-index")
    assert "r3" not in held(index)
    assert len(held(index)) == 34


def test_the_segments_of_format_1_make_an_index_again(tmp_path: Path) -> None:
    index = old_index(tmp_path / "index", {f"r{n}": text(n) for n in range(5)})
    (index / "index.json").write_text("damaged")
    told = run(write(tmp_path / "r.jsonl", [{"id": "s", "text": near(text(2))}]), index, "--rebuild-index")
    assert told["dropped"] == {"near_duplicate": 1}


def test_a_path_that_is_no_index_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "data" / "r.jsonl", rows(range(3), id="r"))
    assert "is no index: it holds r.jsonl and no index.json" in refused(path, path.parent)
    assert [each.name for each in path.parent.iterdir()] == ["r.jsonl"]
    with pytest.raises(FineMedError, match="is a file, no folder of an index"):
        index_at(path, CONFIG).rows()
    assert "is no folder" in refused(path, tmp_path / "nothing", "--rebuild-index")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert run(path, empty)["kept"] == 3


def test_a_kill_in_the_first_update_leaves_an_index(tmp_path: Path, index: Path) -> None:
    first = tmp_path / "first"
    first.mkdir()
    index_at(first, CONFIG).append(index_at(index, CONFIG).rows().head(0))
    run(write(tmp_path / "one.jsonl", rows(range(3), id="r")), tmp_path / "whole")
    shutil.copy(tmp_path / "whole" / "segment-00001.parquet", first)
    empty = {"format": 2, "settings": json.loads((index / "index.json").read_text())["settings"], "segments": []}
    from finemed.store.index_facts import write_facts

    write_facts(first, empty["settings"], [])
    run(tmp_path / "one.jsonl", first)
    assert contents(first) == contents(tmp_path / "whole")
