"""What is retracted goes with all that was made of it, stays gone, and is said."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner
from releases import DAY, build, build_small, contents, manifest_of, put, rows_of
from rows import pooled

from finemed.cli.main import cli
from finemed.errors import ConfigError, InputError, PublishError, StoreError
from finemed.publish.checks.validate import validate
from finemed.publish.pools import PoolFiles, pool_of, published_row
from finemed.publish.targets.target import open_target
from finemed.publish.versions.compose import RETRACTED, compose
from finemed.publish.versions.folder import ReleaseFolder
from finemed.publish.versions.retract import Retraction, retract
from finemed.publish.versions.tombstones import COLUMNS, Tombstone, Tombstones
from finemed.training.data import load_pool

IDS = ("id", "response_id", "chosen_id", "rejected_id", "instruction_id", "passage_id", "document_id")
LEFT = {"id", "instruction_id", "response_id", "chosen_id", "rejected_id"}
"""Columns with ids of what goes with a question."""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, published: Path) -> Path:
    """The demo without its guide, its splits held against the whole demo."""
    return build_small(tmp_path_factory.mktemp("small"), previous=published)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, whole: Path) -> Path:
    """1.0.0 of the whole demo; tests that add to it take a copy."""
    folder = tmp_path_factory.mktemp("published") / "releases"
    put(whole, folder)
    return folder


@pytest.fixture
def releases(published: Path, tmp_path: Path) -> Path:
    return shutil.copytree(published, tmp_path / "releases")


def said_of(*arguments: object) -> str:
    return CliRunner().invoke(cli, ["versions", "diff", *map(str, arguments)]).stdout


def test_a_diff_calls_a_retraction_what_it_was_published_as(releases: Path) -> None:
    gone = min(rows_of(releases / "1.0.0")["sft"])
    assert str(take_out(releases, ids=[gone]).publication.version) == "1.0.1"
    assert said_of(releases, "1.0.0", "1.0.1").startswith("change: patch (a retraction)\n")
    assert said_of(releases, "1.0.1", "1.0.0").startswith("change: minor (seen back from 1.0.1 to 1.0.0)\n")
    found = json.loads(said_of(releases, "1.0.0", "1.0.1", "--json"))
    assert (found["change"], found["content_change"], found["why"]) == ("patch", "minor", "a retraction")


def test_a_diff_says_where_a_number_is_higher_than_needed(releases: Path, small: Path) -> None:
    put(small, releases, version="2.0.0")
    said = said_of(releases, "1.0.0", "2.0.0").splitlines()[0]
    assert said in ("change: major", "change: major (by its number; what differs would be minor)")


def take_out(releases: Path, **options: Any) -> Retraction:
    return retract(open_target(str(releases)), **{"reason": "a patient is named", "date": DAY, **options})


def values_in(release: Path, columns: set[str] | tuple[str, ...] = IDS) -> set[str]:
    """All ids that some row of a release carries."""
    rows = [row for by_id in rows_of(release).values() for row in by_id.values()]
    return {row[name] for row in rows for name in columns if name in row}


def some(release: Path, config: str, **wanted: Any) -> dict[str, Any]:
    """The first row of a config whose columns have these values."""
    rows = rows_of(release)[config].values()
    return next(row for row in rows if all(row[name] == value for name, value in wanted.items()))


# --- what goes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "column"), [("dpo", "document_id"), ("dpo", "rejected_id"), ("sft", "passage_id"), ("ttt", "id")]
)
def test_an_id_takes_everything_that_was_made_of_it_and_nothing_else(
    releases: Path, config: str, column: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_plots(monkeypatch)
    row = some(releases / "1.0.0", config)
    whole_unit = column if column in ("passage_id", "document_id") else "instruction_id"
    done = take_out(releases, ids=[row[column]])
    assert str(done.publication.version) == "1.0.1"
    before, after = rows_of(releases / "1.0.0"), rows_of(releases / "1.0.1")
    for name, rows in before.items():
        expected = {id_: each for id_, each in rows.items() if each[whole_unit] != row[whole_unit]}
        assert after.get(name, {}) == expected, name
        assert done.publication.taken_out.get(name, 0) == len(rows) - len(expected)
    assert validate(releases / "1.0.1", previous=releases / "1.0.0").faults == []
    manifest = manifest_of(releases / "1.0.1")
    assert manifest["configs"] == ReleaseFolder.open(releases / "1.0.1").counts()
    questions = {each["instruction_id"] for rows in after.values() for each in rows.values()}
    assert manifest["figures"]["phi"]["none_found"] == len(questions)


def without_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves the pictures out, which take most of the time and are tested elsewhere."""
    from finemed.publish.cards import plots

    monkeypatch.setattr(plots, "pictures", lambda manifest: {})


def test_a_source_takes_all_its_rows_and_is_not_in_the_card_any_more(
    releases: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_plots(monkeypatch)
    done = take_out(releases, sources=["demo-guide"], reason="licence withdrawn")
    after = rows_of(releases / "1.0.1")
    assert {row["source"] for rows in after.values() for row in rows.values()} == {"demo"}
    gone = sum(row["source"] != "demo" for rows in rows_of(releases / "1.0.0").values() for row in rows.values())
    assert sum(done.publication.taken_out.values()) == gone > 0
    licences = manifest_of(releases / "1.0.1")["figures"]["licences"]
    assert {line["source"] for line in licences} == {"demo"}
    assert "Source demo\\-guide" in done.publication.entry
    assert put(whole, releases).version is None, "the run still has the rows; without them it is the last version"


def test_the_ttt_pool_that_a_session_reads_is_without_the_row(releases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_plots(monkeypatch)
    row = some(releases / "1.0.0", "ttt", split="train")
    take_out(releases, ids=[row["instruction_id"]])
    before, after = (
        {each["id"] for each in load_pool(str(releases / name), "ttt", "train", columns=("id",))}
        for name in ("1.0.0", "1.0.1")
    )
    assert before - after == {row["id"]}


# --- what stays gone -------------------------------------------------------------------------------------------------


def test_tombstones_name_what_was_asked_and_the_questions_of_rows(
    releases: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_plots(monkeypatch)
    row, other = some(releases / "1.0.0", "sft"), some(releases / "1.0.0", "dpo")
    take_out(releases, ids=[row["id"], other["document_id"]], reason="two\nlines, <b>and</b> *marks*")
    lines = (releases / "1.0.1" / "tombstones.jsonl").read_text("utf-8").splitlines()
    shared = {"reason": "two\nlines, <b>and</b> *marks*", "version": "1.0.1"}
    assert [json.loads(line) for line in lines] == [
        {"kind": "document", "value": other["document_id"], **shared},
        {"kind": "instruction", "value": row["instruction_id"], **shared},
        {"kind": "row", "value": row["id"], **shared},
    ]
    log = (releases / "1.0.1" / "CHANGELOG.md").read_text("utf-8")
    assert f"- document `{other['document_id']}`: two lines, &lt;b\\>and&lt;/b\\> \\*marks\\*\n" in log
    assert row["instruction_id"] not in log, "only what the curator named"


def test_later_versions_leave_it_out_and_keep_the_tombstones(
    releases: Path, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_plots(monkeypatch)
    row = some(releases / "1.0.0", "dpo", source="demo")
    take_out(releases, ids=[row["document_id"]])
    done = put(small, releases)
    assert row["document_id"] in values_in(small / "release")
    assert row["document_id"] not in values_in(releases / str(done.version))
    stones = [(releases / version / "tombstones.jsonl").read_bytes() for version in ("1.0.1", str(done.version))]
    assert stones[0] == stones[1]
    assert sum(done.taken_out.values()) > 0


def test_retracting_in_two_steps_and_publishing_again_gives_the_same_release(
    releases: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_plots(monkeypatch)
    take_out(releases, ids=[some(releases / "1.0.0", "sft")["document_id"]])
    take_out(releases, ids=[some(releases / "1.0.1", "dpo")["id"]])
    again = put(whole, releases)
    assert (again.version, again.change) == (None, "none")
    assert [path.name for path in sorted(releases.iterdir()) if not path.name.startswith(".")] == [
        "1.0.0",
        "1.0.1",
        "1.0.2",
    ]


def test_the_ledger_keeps_the_counts_but_no_details_of_it(whole: Path, tmp_path: Path) -> None:
    release = ReleaseFolder.open(whole / "release")
    ledger = pl.read_parquet(release.path / "ledger.parquet")
    names = ledger.filter(pl.col("drop_reason") == "near_duplicate")["detail"].str.extract(r"(p[0-9a-f]{20})")
    rows = [row for by_id in rows_of(release.path).values() for row in by_id.values()]
    row = next(row for row in rows if row["passage_id"] in set(names))
    compose(release, Tombstones([Tombstone("passage", row["passage_id"], "x", "1.0.1")]), tmp_path / "out")
    after = pl.read_parquet(tmp_path / "out" / "ledger.parquet")
    assert after.drop("detail").equals(ledger.drop("detail"))
    changed = ledger["detail"] != after["detail"]
    assert changed.sum() > 0
    assert set(after.filter(changed)["detail"]) == {RETRACTED}
    assert not any(row["passage_id"] in detail for detail in after["detail"])


# --- what cannot be, and what is said --------------------------------------------------------------------------------


def test_unknown_ids_are_named_and_nothing_happens(releases: Path) -> None:
    before = contents(releases)
    row = some(releases / "1.0.0", "sft")
    with pytest.raises(InputError, match=r"no version holds nobody, nowhere; nothing was retracted"):
        take_out(releases, ids=[row["id"], "nowhere"], sources=["nobody"])
    assert contents(releases) == before


def test_what_is_retracted_already_is_said_and_makes_no_version(
    releases: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_plots(monkeypatch)
    row, other = some(releases / "1.0.0", "sft"), some(releases / "1.0.0", "ttt")
    take_out(releases, ids=[row["id"]])
    again = take_out(releases, ids=[row["id"]], reason="another reason")
    assert (again.publication.version, again.already) == (None, [row["id"]])
    more = take_out(releases, ids=[row["id"], other["id"]], reason="another reason")
    assert (str(more.publication.version), more.already) == ("1.0.2", [row["id"]])
    stone = Tombstones.read(releases / "1.0.2").get("row", row["id"])
    assert stone == Tombstone("row", row["id"], "a patient is named", "1.0.1")
    assert stone is not None
    assert (stone.reason, stone.version) == ("a patient is named", "1.0.1")


def test_an_id_of_older_versions_alone_gets_its_tombstone_too(
    releases: Path, small: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_plots(monkeypatch)
    guide = some(releases / "1.0.0", "sft", source="demo-guide")
    second = put(small, releases)
    assert guide["document_id"] not in values_in(releases / str(second.version))
    done = take_out(releases, ids=[guide["document_id"]])
    assert (done.only_older, done.publication.taken_out) == ([guide["document_id"]], {})
    last = done.publication.version
    assert last is not None
    assert rows_of(releases / str(last)) == rows_of(releases / str(second.version))
    back = put(whole, releases)
    assert back.version is not None
    assert guide["document_id"] not in values_in(releases / str(back.version))


def test_reason_ids_and_version_are_required_and_checked(releases: Path, tmp_path: Path) -> None:
    row = some(releases / "1.0.0", "sft")
    for options in ({"ids": [row["id"]], "reason": "  "}, {"ids": []}):
        with pytest.raises(ConfigError, match=r"names ids or sources, and its reason"):
            take_out(releases, **options)
    with pytest.raises(ConfigError, match=r"version 1.0.0: not above 1.0.0"):
        take_out(releases, ids=[row["id"]], version="1.0.0")
    with pytest.raises(PublishError, match=r"nothing is published there; check `--to`"):
        take_out(tmp_path / "nowhere", ids=[row["id"]])


def test_everything_cannot_be_retracted(releases: Path) -> None:
    with pytest.raises(PublishError, match=r"no row is left after what was retracted"):
        take_out(releases, sources=["demo", "demo-guide"])


def test_a_dry_run_of_the_command_shows_it_and_changes_nothing(releases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_plots(monkeypatch)
    row = some(releases / "1.0.0", "dpo")
    before = contents(releases)
    command = ["retract", "--to", str(releases), "--id", row["id"], "--reason", "wrong dose", "--date", DAY]
    done = CliRunner().invoke(cli, [*command, "--dry-run"])
    assert done.exit_code == 0, done.exception
    assert done.stdout.startswith(f"version 1.0.1, after 1.0.0\n\n## 1.0.1 ({DAY})\n\nRetracted, with everything")
    assert "(2 rows of the pools)" in done.stdout
    assert re.search(r"^add +tombstones\.jsonl", done.stdout, flags=re.MULTILINE)
    assert contents(releases) == before
    done = CliRunner().invoke(cli, command)
    assert done.stdout == f"{releases / '1.0.1'}\n"
    assert "Older versions still hold the rows" in done.stderr
    done = CliRunner().invoke(cli, [*command, "--json"])
    assert json.loads(done.stdout)["already_retracted"] == [row["id"]]


# --- indexes ---------------------------------------------------------------------------------------------------------


def test_dedup_indexes_are_purged_by_what_was_retracted(releases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published = pytest.importorskip("finemed.store.published")
    without_plots(monkeypatch)
    row, other = some(releases / "1.0.0", "dpo"), some(releases / "1.0.0", "sft")
    path = releases.parent / "index"
    index = published.PublishedIndex(path, 3, (("ngram_size", 5),))
    ids = [row["passage_id"], row["instruction_id"], other["passage_id"], other["instruction_id"]]
    blank = dict.fromkeys(("text", "title", "language"))
    index.append(
        pl.DataFrame([{"id": each, **blank, "keys": [1, 2, 3, 4]} for each in ids], schema=index.empty(3).schema)
    )
    held = contents(path)
    done = take_out(releases, ids=[row["document_id"], other["id"]], indexes=[path], dry_run=True)
    assert (done.purged, contents(path)) == ({str(path): 3}, held)
    done = take_out(releases, ids=[row["document_id"], other["id"]], indexes=[path])
    assert done.purged == {str(path): 3}
    assert index.rows()["id"].to_list() == [other["passage_id"]], "a row's retraction leaves its passage"

    index.append(pl.DataFrame([{"id": row["passage_id"], **blank, "keys": [1, 2, 3, 4]}], schema=index.empty(3).schema))
    again = take_out(releases, ids=[row["document_id"]], indexes=[path])
    assert (again.publication.version, again.purged) == (None, {str(path): 1})


def test_a_folder_without_index_is_refused_before_the_push(releases: Path) -> None:
    pytest.importorskip("finemed.store.published")
    row = some(releases / "1.0.0", "sft")
    with pytest.raises(InputError, match=r"none: holds no index \(index.json\)"):
        take_out(releases, ids=[row["id"]], indexes=[releases / "none"])
    assert not (releases / "1.0.1").exists()


# --- the list --------------------------------------------------------------------------------------------------------


def test_tombstones_are_sorted_written_once_and_read_back(tmp_path: Path) -> None:
    stones = Tombstones([Tombstone("source", "b", "why\u2028", "1.0.1"), Tombstone("document", "d1", "", "1.0.1")])
    stones = stones.plus([Tombstone("source", "b", "other", "1.0.2"), Tombstone("row", "s1", "é", "1.0.2")])
    stones.write(tmp_path)
    read = list(Tombstones.read(tmp_path))
    assert [(stone.kind, stone.value, stone.reason, stone.version) for stone in read] == [
        ("document", "d1", "", "1.0.1"),
        ("row", "s1", "é", "1.0.2"),
        ("source", "b", "why\u2028", "1.0.1"),
    ]
    empty = tmp_path / "empty"
    empty.mkdir()
    Tombstones().write(empty)
    assert list(empty.iterdir()) == []
    assert len(Tombstones.read(empty)) == 0


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"kind": "row"}', '{"kind": "x", "value": "", "reason": "", "version": ""}']
)
def test_a_damaged_list_stops_everything(tmp_path: Path, line: str) -> None:
    good = '{"kind": "row", "reason": "", "value": "s1", "version": "1.0.1"}\n'
    (tmp_path / "tombstones.jsonl").write_text(good + line + "\n")
    with pytest.raises(StoreError, match=r"tombstones.jsonl:2: damaged .*retracted rows could come back"):
        Tombstones.read(tmp_path)


@pytest.mark.parametrize("kind", COLUMNS)
def test_every_kind_is_held_back_in_every_column_that_may_hold_it(tmp_path: Path, kind: str) -> None:
    rows = {
        "sft": published_row(pooled(source="kept", **dict.fromkeys(["row_id"], "kept"))),
        "dpo": published_row(pooled(pool="dpo", row_id="kept2", reasoning_id="q", reasoning="T", reasoning_score=9.0)),
    }
    for column in COLUMNS[kind]:
        config = "dpo" if column in ("chosen_id", "rejected_id") else "sft"
        folder = tmp_path / column
        with PoolFiles(folder / "data") as files:
            files.write(config, "train", [rows[config], rows[config] | {"id": "other", column: "target"}])
        assert pool_of(config) == config
        stones = Tombstones([Tombstone(kind, "target", "", "1.0.1")])
        frame = pl.read_parquet(folder / "data" / config / "train.parquet")
        assert frame.select(stones.mask(frame.columns))["retracted"].to_list() == [False, True]
